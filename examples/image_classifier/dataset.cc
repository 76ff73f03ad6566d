#include "examples/image_classifier/dataset.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"

namespace switchyard::image_classifier {
namespace {

// A file that unpacks to more is none of ours, and would fill the memory.
constexpr int64_t kMaxFileBytes = int64_t{1} << 30;
constexpr int64_t kMaxImageExtent = 1024;
constexpr int64_t kFashionMnistExtent = 28;
constexpr ImageShape kCifar10Shape = {3, 32, 32};

struct CloseGzFile {
  void operator()(gzFile_s* file) const { gzclose(file); }
};

absl::Status Malformed(absl::string_view path, int64_t offset,
                       absl::string_view got, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrFormat(
      "%s: at byte %d: got %s, expected %s", path, offset, got, expected));
}

// The whole file, unpacked if it is gzipped.
absl::StatusOr<std::vector<uint8_t>> ReadFile(const std::string& path) {
  const std::unique_ptr<gzFile_s, CloseGzFile> file(gzopen(path.c_str(), "rb"));
  if (file == nullptr) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be opened"));
  }
  constexpr int64_t kChunkBytes = int64_t{1} << 20;
  std::vector<uint8_t> bytes;
  int64_t num_read = 0;
  while (num_read <= kMaxFileBytes) {
    bytes.resize(static_cast<size_t>(num_read + kChunkBytes));
    const int chunk =
        gzread(file.get(), bytes.data() + num_read, unsigned{kChunkBytes});
    int code = Z_OK;
    const char* reason = gzerror(file.get(), &code);
    // A gzip stream that ends too early is read without complaint up to there;
    // only the file's error code tells.
    if (chunk < 0 || code != Z_OK) {
      return Malformed(path, num_read + std::max(chunk, 0), reason,
                       "a complete gzip or plain file");
    }
    num_read += chunk;
    if (chunk < kChunkBytes) {
      bytes.resize(static_cast<size_t>(num_read));
      return bytes;
    }
  }
  return Malformed(path, num_read, "more data",
                   absl::StrCat("at most ", kMaxFileBytes, " bytes"));
}

struct IdxFile {
  std::vector<int64_t> extents;
  std::vector<uint8_t> bytes;
  int64_t header_bytes = 0;
};

uint32_t ReadBigEndian32(const std::vector<uint8_t>& bytes, int64_t offset) {
  uint32_t value = 0;
  for (int64_t i = 0; i < 4; ++i) {
    value = value << 8 | bytes[static_cast<size_t>(offset + i)];
  }
  return value;
}

// The header: two zero bytes, the type (8: unsigned byte), the number of
// dimensions, and each dimension's extent, big-endian.
absl::StatusOr<IdxFile> ReadIdxFile(const std::string& path,
                                    int32_t num_dimensions) {
  IdxFile file;
  SWITCHYARD_ASSIGN_OR_RETURN(file.bytes, ReadFile(path));
  file.header_bytes = 4 + 4 * int64_t{num_dimensions};
  const int64_t num_bytes = static_cast<int64_t>(file.bytes.size());
  if (num_bytes < file.header_bytes) {
    return Malformed(
        path, num_bytes, "the end of the file",
        absl::StrCat("an IDX header of ", file.header_bytes, " bytes"));
  }
  const uint32_t magic = ReadBigEndian32(file.bytes, 0);
  const uint32_t expected_magic =
      0x0800u + static_cast<uint32_t>(num_dimensions);
  if (magic != expected_magic) {
    return Malformed(path, 0, absl::StrFormat("magic number 0x%08x", magic),
                     absl::StrFormat("0x%08x (unsigned bytes, %d dimensions)",
                                     expected_magic, num_dimensions));
  }
  for (int32_t i = 0; i < num_dimensions; ++i) {
    file.extents.push_back(ReadBigEndian32(file.bytes, 4 + 4 * int64_t{i}));
  }
  return file;
}

absl::Status CheckIdxSize(const std::string& path, const IdxFile& file,
                          int64_t bytes_per_image) {
  const int64_t num_images = file.extents[0];
  if (num_images == 0) {
    return Malformed(path, 4, "0 images", "at least one");
  }
  // Neither factor exceeds 32 bits.
  const int64_t expected = file.header_bytes + num_images * bytes_per_image;
  const int64_t got = static_cast<int64_t>(file.bytes.size());
  if (got != expected) {
    return Malformed(path, std::min(got, expected),
                     absl::StrCat("a file of ", got, " bytes"),
                     absl::StrCat(expected, " bytes for ", num_images, " of ",
                                  bytes_per_image, " bytes each"));
  }
  return absl::OkStatus();
}

// Reports labels by their place in the file: label i is at
// first_offset + i * stride.
absl::Status CheckLabels(const std::string& path,
                         const std::vector<uint8_t>& labels, size_t first_label,
                         int64_t first_offset, int64_t stride) {
  for (size_t i = first_label; i < labels.size(); ++i) {
    if (labels[i] >= kNumClasses) {
      const int64_t idx = static_cast<int64_t>(i - first_label);
      return Malformed(path, first_offset + idx * stride,
                       absl::StrCat("label ", labels[i]),
                       absl::StrCat("a label below ", kNumClasses));
    }
  }
  return absl::OkStatus();
}

std::vector<uint8_t> WithoutHeader(IdxFile file) {
  file.bytes.erase(file.bytes.begin(), file.bytes.begin() + file.header_bytes);
  return std::move(file.bytes);
}

absl::Status CheckImageExtents(const std::string& path, const IdxFile& file) {
  for (size_t i = 1; i < file.extents.size(); ++i) {
    if (file.extents[i] < 1 || file.extents[i] > kMaxImageExtent) {
      return Malformed(path, 4 + 4 * static_cast<int64_t>(i),
                       absl::StrCat("an extent of ", file.extents[i]),
                       absl::StrCat("1 to ", kMaxImageExtent));
    }
  }
  return absl::OkStatus();
}

std::string InFolder(const std::string& folder, absl::string_view name) {
  return absl::StrCat(folder, "/", name);
}

// `part` is the prefix of its files' names.
absl::StatusOr<ImageSet> ReadFashionMnistPart(const std::string& folder,
                                              absl::string_view part) {
  const std::string images_path =
      InFolder(folder, absl::StrCat(part, "-images-idx3-ubyte.gz"));
  SWITCHYARD_ASSIGN_OR_RETURN(
      ImageSet set,
      ReadIdxImages(
          images_path,
          InFolder(folder, absl::StrCat(part, "-labels-idx1-ubyte.gz"))));
  if (set.shape.height != kFashionMnistExtent ||
      set.shape.width != kFashionMnistExtent) {
    return Malformed(
        images_path, 8,
        absl::StrCat("images of ", set.shape.height, "x", set.shape.width),
        absl::StrCat(kFashionMnistExtent, "x", kFashionMnistExtent));
  }
  return set;
}

}  // namespace

void ImageSet::Truncate(int64_t num_images) {
  if (num_images <= 0 || num_images >= this->num_images()) return;
  labels.resize(static_cast<size_t>(num_images));
  pixels.resize(static_cast<size_t>(num_images * shape.num_pixels()));
}

absl::StatusOr<ImageSet> ReadIdxImages(const std::string& images_path,
                                       const std::string& labels_path) {
  SWITCHYARD_ASSIGN_OR_RETURN(IdxFile images, ReadIdxFile(images_path, 3));
  SWITCHYARD_RETURN_IF_ERROR(CheckImageExtents(images_path, images));
  SWITCHYARD_ASSIGN_OR_RETURN(IdxFile labels, ReadIdxFile(labels_path, 1));

  ImageSet set;
  set.shape = {1, images.extents[1], images.extents[2]};
  SWITCHYARD_RETURN_IF_ERROR(
      CheckIdxSize(images_path, images, set.shape.num_pixels()));
  SWITCHYARD_RETURN_IF_ERROR(CheckIdxSize(labels_path, labels, 1));
  if (labels.extents[0] != images.extents[0]) {
    return Malformed(labels_path, 4, absl::StrCat(labels.extents[0], " labels"),
                     absl::StrCat(images.extents[0], ", one for each image of ",
                                  images_path));
  }
  const int64_t labels_offset = labels.header_bytes;
  set.pixels = WithoutHeader(std::move(images));
  set.labels = WithoutHeader(std::move(labels));
  SWITCHYARD_RETURN_IF_ERROR(CheckLabels(labels_path, set.labels,
                                         /*first_label=*/0, labels_offset,
                                         /*stride=*/1));
  return set;
}

absl::StatusOr<ImageSet> ReadCifar10Images(
    const std::vector<std::string>& paths) {
  ImageSet set;
  set.shape = kCifar10Shape;
  const int64_t record_bytes = 1 + set.shape.num_pixels();
  for (const std::string& path : paths) {
    SWITCHYARD_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes,
                                ReadFile(path));
    const int64_t num_bytes = static_cast<int64_t>(bytes.size());
    if (num_bytes == 0 || num_bytes % record_bytes != 0) {
      return Malformed(path, num_bytes - num_bytes % record_bytes,
                       absl::StrCat("a file of ", num_bytes, " bytes"),
                       absl::StrCat("a positive multiple of ", record_bytes,
                                    " bytes (label and pixels)"));
    }
    const size_t first_label = set.labels.size();
    for (auto record = bytes.begin(); record != bytes.end();
         record += record_bytes) {
      set.labels.push_back(*record);
      set.pixels.insert(set.pixels.end(), record + 1, record + record_bytes);
    }
    SWITCHYARD_RETURN_IF_ERROR(CheckLabels(path, set.labels, first_label,
                                           /*first_offset=*/0, record_bytes));
  }
  return set;
}

absl::StatusOr<Dataset> LoadFashionMnist(const std::string& folder) {
  Dataset dataset;
  dataset.name = "fashion-mnist";
  SWITCHYARD_ASSIGN_OR_RETURN(dataset.train,
                              ReadFashionMnistPart(folder, "train"));
  SWITCHYARD_ASSIGN_OR_RETURN(dataset.test,
                              ReadFashionMnistPart(folder, "t10k"));
  return dataset;
}

absl::StatusOr<Dataset> LoadCifar10(const std::string& folder) {
  Dataset dataset;
  dataset.name = "cifar10";
  std::vector<std::string> paths;
  for (int i = 1; i <= 5; ++i) {
    paths.push_back(InFolder(folder, absl::StrCat("data_batch_", i, ".bin")));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(dataset.train, ReadCifar10Images(paths));
  SWITCHYARD_ASSIGN_OR_RETURN(
      dataset.test, ReadCifar10Images({InFolder(folder, "test_batch.bin")}));
  return dataset;
}

}  // namespace switchyard::image_classifier
