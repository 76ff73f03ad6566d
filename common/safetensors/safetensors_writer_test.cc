#include "common/safetensors/safetensors_writer.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "common/base/status_testing.h"
#include "common/safetensors/safetensors_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::ReadBytes;
using ::switchyard::testing::StatusIs;
using ::switchyard::testing::TemporaryFolder;
using ::testing::HasSubstr;

TEST(SafetensorsWriterTest, WritesWhatTheReaderReads) {
  const TemporaryFolder folder;
  ASSERT_OK_AND_ASSIGN(SafetensorsWriter writer,
                       SafetensorsWriter::Create(folder / "f",
                                                 {{"b", StoredType::kU8, {3}},
                                                  {"a", StoredType::kF16, {1}}},
                                                 {{"format", "pt"}}));
  ASSERT_OK(writer.Append("01"));
  ASSERT_OK(writer.Append("234"));
  ASSERT_OK(writer.Finish());
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                       SafetensorsFile::Open(folder / "f"));
  EXPECT_EQ(file.Find("b")->bytes, "012");
  EXPECT_EQ(file.Find("a")->bytes, "34");
  EXPECT_EQ(file.metadata()[0].second, "pt");
}

TEST(SafetensorsWriterTest, RefusesTooManyAndTooFewBytes) {
  const TemporaryFolder folder;
  ASSERT_OK_AND_ASSIGN(SafetensorsWriter writer,
                       SafetensorsWriter::Create(
                           folder / "f", {{"t", StoredType::kU8, {3}}}, {}));
  EXPECT_THAT(writer.Append("0123"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("got 4 bytes, expected 3")));
  ASSERT_OK(writer.Append("01"));
  EXPECT_THAT(writer.Finish(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("1 bytes of tensors are missing")));
  EXPECT_FALSE(std::filesystem::exists(folder / "f"));
}

TEST(SafetensorsWriterTest, NamesTheFileInErrors) {
  const TemporaryFolder folder;
  EXPECT_THAT(SafetensorsWriter::Create(folder / "f",
                                        {{"t", StoredType::kU8, {-3}}}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr((folder / "f") + ": t.shape")));
}

// Files that the reference implementation wrote come out byte by byte, both
// with their header made anew and with it copied.
TEST(SafetensorsWriterTest, RepeatsFilesOfTheReferenceImplementation) {
  const TemporaryFolder folder;
  int num_files = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(SWITCHYARD_FAMILIES_DIR)) {
    const std::string path = entry.path().string();
    if (!absl::EndsWith(path, ".safetensors")) continue;
    ++num_files;
    ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                         SafetensorsFile::Open(path));
    std::vector<TensorDeclaration> declarations;
    for (const SafetensorsTensor& tensor : file.tensors()) {
      declarations.push_back(tensor.declaration);
    }
    for (const bool copies_header : {false, true}) {
      ASSERT_OK_AND_ASSIGN(
          SafetensorsWriter writer,
          copies_header ? SafetensorsWriter::CreateLike(folder / "f", file)
                        : SafetensorsWriter::Create(folder / "f", declarations,
                                                    file.metadata()));
      for (const SafetensorsTensor& tensor : file.tensors()) {
        ASSERT_OK(writer.Append(tensor.bytes));
      }
      ASSERT_OK(writer.Finish());
      EXPECT_TRUE(ReadBytes(folder / "f") == ReadBytes(path)) << path;
    }
  }
  EXPECT_GE(num_files, 30);
}

}  // namespace
}  // namespace switchyard
