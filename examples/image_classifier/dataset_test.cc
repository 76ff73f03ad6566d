#include "examples/image_classifier/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"

namespace switchyard::image_classifier {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

using Bytes = std::vector<uint8_t>;

constexpr size_t kCifarRecordBytes = 3073;

void AppendBigEndian32(uint32_t value, Bytes& bytes) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<uint8_t>(value >> shift));
  }
}

Bytes IdxImages(uint32_t num_images, uint32_t height, uint32_t width) {
  Bytes bytes = {0, 0, 8, 3};
  for (const uint32_t extent : {num_images, height, width}) {
    AppendBigEndian32(extent, bytes);
  }
  bytes.resize(bytes.size() + num_images * height * width);
  std::iota(bytes.begin() + 16, bytes.end(), uint8_t{1});
  return bytes;
}

Bytes IdxLabels(const Bytes& labels) {
  Bytes bytes = {0, 0, 8, 1};
  AppendBigEndian32(static_cast<uint32_t>(labels.size()), bytes);
  bytes.insert(bytes.end(), labels.begin(), labels.end());
  return bytes;
}

Bytes CifarRecords(const Bytes& labels) {
  Bytes bytes;
  for (const uint8_t label : labels) {
    bytes.push_back(label);
    bytes.insert(bytes.end(), kCifarRecordBytes - 1,
                 static_cast<uint8_t>(100 + label));
  }
  return bytes;
}

class DatasetTest : public ::testing::Test {
 protected:
  DatasetTest()
      : folder_(std::filesystem::path(::testing::TempDir()) /
                absl::StrCat("dataset_test_", ::getpid())) {
    std::filesystem::create_directories(folder_);
  }
  ~DatasetTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }

  std::string Write(const std::string& name, const Bytes& bytes) const {
    std::ofstream file(Path(name), std::ios::binary);
    file << std::string(bytes.begin(), bytes.end());
    return Path(name);
  }

  std::string WriteGzipped(const std::string& name, const Bytes& bytes) const {
    gzFile file = gzopen(Path(name).c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
    return Path(name);
  }

  void WriteFashionMnist() const {
    WriteGzipped("train-images-idx3-ubyte.gz", IdxImages(3, 28, 28));
    WriteGzipped("train-labels-idx1-ubyte.gz", IdxLabels({9, 0, 3}));
    WriteGzipped("t10k-images-idx3-ubyte.gz", IdxImages(1, 28, 28));
    WriteGzipped("t10k-labels-idx1-ubyte.gz", IdxLabels({7}));
  }

  const std::filesystem::path folder_;
};

using IdxTest = DatasetTest;
using Cifar10Test = DatasetTest;

TEST_F(IdxTest, ReadsGzippedImagesAndLabels) {
  ASSERT_OK_AND_ASSIGN(const ImageSet set,
                       ReadIdxImages(WriteGzipped("i", IdxImages(2, 2, 3)),
                                     WriteGzipped("l", IdxLabels({4, 9}))));
  EXPECT_EQ(set.shape.num_channels, 1);
  EXPECT_EQ(set.shape.height, 2);
  EXPECT_EQ(set.shape.width, 3);
  EXPECT_THAT(set.pixels, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
  EXPECT_THAT(set.labels, ElementsAre(4, 9));
}

TEST_F(IdxTest, ReadsUnpackedFiles) {
  ASSERT_OK_AND_ASSIGN(const ImageSet set,
                       ReadIdxImages(Write("i", IdxImages(1, 1, 2)),
                                     Write("l", IdxLabels({0}))));
  EXPECT_THAT(set.pixels, ElementsAre(1, 2));
}

TEST_F(IdxTest, NamesAFileThatIsMissing) {
  EXPECT_THAT(
      ReadIdxImages(Path("nothing"), Path("nothing")),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr(Path("nothing"))));
}

TEST_F(IdxTest, RefusesAFileShorterThanItsHeader) {
  EXPECT_THAT(
      ReadIdxImages(Write("i", {0, 0, 8, 3, 0, 0}), Path("l")),
      StatusIs(absl::StatusCode::kInvalidArgument,
               EndsWith("/i: at byte 6: got the end of the file, expected an "
                        "IDX header of 16 bytes")));
}

TEST_F(IdxTest, RefusesAnEmptyFile) {
  EXPECT_THAT(
      ReadIdxImages(Write("i", {}), Path("l")),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at byte 0")));
}

TEST_F(IdxTest, RefusesLabelsInPlaceOfImages) {
  EXPECT_THAT(ReadIdxImages(Write("i", IdxLabels(Bytes(20))), Path("l")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       EndsWith("/i: at byte 0: got magic number 0x00000801, "
                                "expected 0x00000803 (unsigned bytes, 3 "
                                "dimensions)")));
}

TEST_F(IdxTest, RefusesAFileThatIsCutOff) {
  Bytes images = IdxImages(2, 2, 3);
  images.pop_back();
  EXPECT_THAT(ReadIdxImages(Write("i", images), Write("l", IdxLabels({1, 2}))),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       EndsWith("/i: at byte 27: got a file of 27 bytes, "
                                "expected 28 bytes for 2 of 6 bytes each")));
}

TEST_F(IdxTest, RefusesBytesAfterTheLastImage) {
  Bytes images = IdxImages(2, 2, 3);
  images.push_back(0);
  EXPECT_THAT(
      ReadIdxImages(Write("i", images), Write("l", IdxLabels({1, 2}))),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at byte 28")));
}

TEST_F(IdxTest, RefusesAGzipStreamThatIsCutOff) {
  const std::string path = WriteGzipped("i", IdxImages(50, 28, 28));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  EXPECT_THAT(ReadIdxImages(path, Path("l")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       EndsWith("expected a complete gzip or plain file")));
}

TEST_F(IdxTest, RefusesAnExtentThatWouldOverflow) {
  Bytes images = {0, 0, 8, 3};
  for (int i = 0; i < 3; ++i) AppendBigEndian32(0xffffffffu, images);
  EXPECT_THAT(
      ReadIdxImages(Write("i", images), Write("l", IdxLabels({1}))),
      StatusIs(absl::StatusCode::kInvalidArgument,
               EndsWith("/i: at byte 8: got an extent of 4294967295, expected "
                        "1 to 1024")));
}

TEST_F(IdxTest, RefusesASetWithoutImages) {
  EXPECT_THAT(
      ReadIdxImages(Write("i", IdxImages(0, 2, 2)), Write("l", IdxLabels({}))),
      StatusIs(absl::StatusCode::kInvalidArgument,
               EndsWith("/i: at byte 4: got 0 images, expected at "
                        "least one")));
}

TEST_F(IdxTest, RefusesAnotherNumberOfLabelsThanImages) {
  EXPECT_THAT(ReadIdxImages(Write("i", IdxImages(2, 2, 2)),
                            Write("l", IdxLabels({1, 2, 3}))),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("/l: at byte 4: got 3 labels, expected 2")));
}

TEST_F(IdxTest, RefusesALabelThatIsNoClass) {
  EXPECT_THAT(ReadIdxImages(Write("i", IdxImages(2, 2, 2)),
                            Write("l", IdxLabels({1, 10}))),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       EndsWith("/l: at byte 9: got label 10, expected a "
                                "label below 10")));
}

TEST_F(IdxTest, LoadsFashionMnistFromItsFolder) {
  WriteFashionMnist();
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, LoadFashionMnist(folder_));
  EXPECT_EQ(dataset.name, "fashion-mnist");
  EXPECT_THAT(dataset.train.labels, ElementsAre(9, 0, 3));
  EXPECT_THAT(dataset.test.labels, ElementsAre(7));
}

TEST_F(IdxTest, RefusesFashionMnistOfAnotherSize) {
  WriteFashionMnist();
  WriteGzipped("t10k-images-idx3-ubyte.gz", IdxImages(1, 28, 14));
  EXPECT_THAT(LoadFashionMnist(folder_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       EndsWith("/t10k-images-idx3-ubyte.gz: at byte 8: got "
                                "images of 28x14, expected 28x28")));
}

TEST_F(Cifar10Test, ReadsTheRecordsOfAllFilesInOrder) {
  ASSERT_OK_AND_ASSIGN(const ImageSet set,
                       ReadCifar10Images({Write("a", CifarRecords({5, 1})),
                                          Write("b", CifarRecords({9}))}));
  EXPECT_EQ(set.shape.num_channels, 3);
  EXPECT_EQ(set.shape.height, 32);
  EXPECT_EQ(set.shape.width, 32);
  EXPECT_THAT(set.labels, ElementsAre(5, 1, 9));
  ASSERT_THAT(set.pixels, SizeIs(3 * 3072));
  EXPECT_EQ(set.pixels[0], 105);
  EXPECT_EQ(set.pixels[3072], 101);
  EXPECT_EQ(set.pixels.back(), 109);
}

TEST_F(Cifar10Test, RefusesAFileThatIsCutOffInARecord) {
  Bytes records = CifarRecords({5, 1});
  records.pop_back();
  EXPECT_THAT(
      ReadCifar10Images({Write("a", records)}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               EndsWith("/a: at byte 3073: got a file of 6145 bytes, expected "
                        "a positive multiple of 3073 bytes (label and "
                        "pixels)")));
}

TEST_F(Cifar10Test, RefusesAnEmptyFile) {
  EXPECT_THAT(ReadCifar10Images({Write("a", {})}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("got a file of 0 bytes")));
}

TEST_F(Cifar10Test, NamesTheFileAndOffsetOfALabelThatIsNoClass) {
  EXPECT_THAT(
      ReadCifar10Images({Write("a", CifarRecords({1, 2})),
                         Write("b", CifarRecords({3, 77}))}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               EndsWith("/b: at byte 3073: got label 77, expected a label "
                        "below 10")));
}

TEST_F(Cifar10Test, LoadsFiveTrainingFilesAndOneTestFile) {
  for (uint8_t i = 1; i <= 5; ++i) {
    Write(absl::StrCat("data_batch_", i, ".bin"), CifarRecords({i}));
  }
  Write("test_batch.bin", CifarRecords({0, 9}));
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, LoadCifar10(folder_));
  EXPECT_EQ(dataset.name, "cifar10");
  EXPECT_THAT(dataset.train.labels, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(dataset.test.labels, ElementsAre(0, 9));
}

TEST_F(Cifar10Test, NamesTheFileThatIsMissingFromTheFolder) {
  Write("data_batch_1.bin", CifarRecords({1}));
  EXPECT_THAT(LoadCifar10(folder_),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(StartsWith(folder_.string()),
                             HasSubstr("data_batch_2.bin"))));
}

TEST_F(Cifar10Test, TruncateKeepsTheFirstImages) {
  ASSERT_OK_AND_ASSIGN(
      ImageSet set, ReadCifar10Images({Write("a", CifarRecords({5, 1, 3}))}));
  set.Truncate(0);
  EXPECT_EQ(set.num_images(), 3);
  set.Truncate(2);
  EXPECT_THAT(set.labels, ElementsAre(5, 1));
  EXPECT_THAT(set.pixels, SizeIs(2 * 3072));
  set.Truncate(100);
  EXPECT_EQ(set.num_images(), 2);
}

}  // namespace
}  // namespace switchyard::image_classifier
