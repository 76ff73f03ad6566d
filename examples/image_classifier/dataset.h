// Reads Fashion-MNIST (IDX files, gzipped or not) and CIFAR-10 (its binary
// version). The files are somebody else's: whatever is in them, the answer is
// images or an error that names the file, the offset and what was expected.
#ifndef SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_DATASET_H_
#define SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_DATASET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace switchyard::image_classifier {

inline constexpr int64_t kNumClasses = 10;

struct ImageShape {
  int64_t num_channels = 0;
  int64_t height = 0;
  int64_t width = 0;

  int64_t num_pixels() const { return num_channels * height * width; }
};

struct ImageSet {
  ImageShape shape;
  // [images, channels, height, width], row-major, 0 to 255.
  std::vector<uint8_t> pixels;
  // [images], each below kNumClasses.
  std::vector<uint8_t> labels;

  int64_t num_images() const { return static_cast<int64_t>(labels.size()); }
  // Forgets all images but the first `num_images`; 0 keeps all.
  void Truncate(int64_t num_images);
};

struct Dataset {
  // "fashion-mnist" or "cifar10".
  std::string name;
  ImageSet train;
  ImageSet test;
};

// The two files of an IDX set: unsigned bytes [images, height, width] and
// unsigned bytes [images]. NOT_FOUND for a file that cannot be opened,
// INVALID_ARGUMENT for one that is not what it should be.
// Format: http://yann.lecun.com/exdb/mnist/.
absl::StatusOr<ImageSet> ReadIdxImages(const std::string& images_path,
                                       const std::string& labels_path);

// Records of one label and 3 * 32 * 32 pixels (red, green, blue), from all
// files one after another. Errors as above.
// Format: https://www.cs.toronto.edu/~kriz/cifar.html.
absl::StatusOr<ImageSet> ReadCifar10Images(
    const std::vector<std::string>& paths);

// {train,t10k}-{images-idx3,labels-idx1}-ubyte.gz in `folder`.
absl::StatusOr<Dataset> LoadFashionMnist(const std::string& folder);

// data_batch_{1..5}.bin and test_batch.bin in `folder`.
absl::StatusOr<Dataset> LoadCifar10(const std::string& folder);

}  // namespace switchyard::image_classifier

#endif  // SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_DATASET_H_
