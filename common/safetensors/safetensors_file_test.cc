#include "common/safetensors/safetensors_file.h"

#include <gmock/gmock.h>

#include "common/base/status_testing.h"
#include "common/safetensors/safetensors_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::FileOf;
using ::switchyard::testing::StatusIs;
using ::switchyard::testing::TemporaryFolder;
using ::switchyard::testing::WriteBytes;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kTwoTensors[] =
    R"({"b":{"dtype":"U8","shape":[3],"data_offsets":[2,5]},)"
    R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";

TEST(SafetensorsFileTest, ShowsTensorsWithoutCopyingThem) {
  const TemporaryFolder folder;
  WriteBytes(folder / "f", FileOf(kTwoTensors, "01234"));
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                       SafetensorsFile::Open(folder / "f"));
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].declaration.name, "a");
  EXPECT_EQ(file.tensors()[0].bytes, "01");
  ASSERT_NE(file.Find("b"), nullptr);
  EXPECT_EQ(file.Find("b")->bytes, "234");
  EXPECT_EQ(file.Find("b")->bytes.data(),
            file.bytes().data() + file.header_bytes().size() + 2);
  EXPECT_EQ(file.Find("c"), nullptr);
}

TEST(SafetensorsFileTest, ReadsThroughAFileThatWasReplaced) {
  const TemporaryFolder folder;
  WriteBytes(folder / "f", FileOf(kTwoTensors, "01234"));
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                       SafetensorsFile::Open(folder / "f"));
  WriteBytes(folder / "g", "short");
  std::filesystem::rename(folder / "g", folder / "f");
  EXPECT_EQ(file.Find("b")->bytes, "234");
}

TEST(SafetensorsFileTest, AdviceChangesNothing) {
  const TemporaryFolder folder;
  WriteBytes(folder / "f", FileOf(kTwoTensors, "01234"));
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                       SafetensorsFile::Open(folder / "f"));
  AdviseWillRead(file.bytes());
  AdviseDone(file.Find("b")->bytes);
  AdviseDone("");
  EXPECT_EQ(file.Find("b")->bytes, "234");
}

TEST(SafetensorsFileTest, ErrorsNameTheFile) {
  const TemporaryFolder folder;
  EXPECT_THAT(
      SafetensorsFile::Open(folder / "none"),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr(folder / "none")));
  EXPECT_THAT(SafetensorsFile::Open(folder.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is not a regular file")));
  WriteBytes(folder / "empty", "");
  EXPECT_THAT(SafetensorsFile::Open(folder / "empty"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       StartsWith((folder / "empty") + ": got 0 bytes")));
  WriteBytes(folder / "cut", FileOf(kTwoTensors, "0123"));
  EXPECT_THAT(
      SafetensorsFile::Open(folder / "cut"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               StartsWith((folder / "cut") + ": b.data_offsets: got [2, 5]")));
  EXPECT_THAT(
      SafetensorsFile::Parse("", "fuzz"),
      StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("fuzz: ")));
}

// However much of the end is lost, it is seen.
TEST(SafetensorsFileTest, EveryTruncationIsRefused) {
  const std::string whole = FileOf(kTwoTensors, "01234");
  EXPECT_OK(SafetensorsFile::Parse(whole, "whole"));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(
        SafetensorsFile::Parse(absl::string_view(whole).substr(0, size), "cut")
            .ok())
        << size;
  }
}

}  // namespace
}  // namespace switchyard
