#include "common/safetensors/safetensors_folder.h"

#include <gmock/gmock.h>

#include "common/base/status_testing.h"
#include "common/safetensors/safetensors_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::FileOf;
using ::switchyard::testing::StatusIs;
using ::switchyard::testing::TemporaryFolder;
using ::switchyard::testing::WriteBytes;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kIndex[] = "model.safetensors.index.json";

// A file with one tensor of one byte.
std::string FileWith(absl::string_view tensor) {
  return FileOf(
      absl::StrCat("{\"", tensor,
                   R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})"),
      "x");
}

void WriteTwoFiles(const TemporaryFolder& folder, absl::string_view index) {
  WriteBytes(folder / "m1.safetensors", FileWith("a"));
  WriteBytes(folder / "m2.safetensors", FileWith("b"));
  WriteBytes(folder / kIndex, index);
}

TEST(SafetensorsFolderTest, ReadsASingleFile) {
  const TemporaryFolder folder;
  WriteBytes(folder / "model.safetensors", FileWith("a"));
  ASSERT_OK_AND_ASSIGN(const SafetensorsFolder opened,
                       SafetensorsFolder::Open(folder.path() + "/"));
  EXPECT_EQ(opened.directory(), folder.path());
  ASSERT_OK_AND_ASSIGN(const auto location, opened.Get("a"));
  EXPECT_EQ(location.tensor->bytes, "x");
  EXPECT_EQ(location.file->name(), folder / "model.safetensors");
  EXPECT_EQ(opened.tensors().size(), 1u);
}

TEST(SafetensorsFolderTest, ReadsSeveralFilesByTheirIndex) {
  const TemporaryFolder folder;
  WriteTwoFiles(
      folder, R"({"weight_map":{"a":"m1.safetensors","b":"m2.safetensors"}})");
  ASSERT_OK_AND_ASSIGN(const SafetensorsFolder opened,
                       SafetensorsFolder::Open(folder.path()));
  EXPECT_EQ(opened.files().size(), 2u);
  ASSERT_OK_AND_ASSIGN(const auto location, opened.Get("b"));
  EXPECT_EQ(location.file->name(), folder / "m2.safetensors");
  EXPECT_THAT(opened.Get("c"), StatusIs(absl::StatusCode::kNotFound,
                                        folder.path() + ": has no tensor c"));
}

TEST(SafetensorsFolderTest, LeavesOutWhatTheIndexLeavesOut) {
  const TemporaryFolder folder;
  WriteTwoFiles(folder, R"({"weight_map":{"a":"m1.safetensors"}})");
  ASSERT_OK_AND_ASSIGN(const SafetensorsFolder opened,
                       SafetensorsFolder::Open(folder.path()));
  EXPECT_EQ(opened.Find("b").tensor, nullptr);
  EXPECT_EQ(opened.tensors().size(), 1u);
}

TEST(SafetensorsFolderTest, RefusesAFolderWithoutACheckpoint) {
  const TemporaryFolder folder;
  EXPECT_THAT(SafetensorsFolder::Open(folder.path()),
              StatusIs(absl::StatusCode::kNotFound,
                       folder.path() + ": has neither model.safetensors nor "
                                       "model.safetensors.index.json"));
}

struct BadIndex {
  const char* name;
  const char* json;
  const char* message;
};

class BadIndexTest : public ::testing::TestWithParam<BadIndex> {};

TEST_P(BadIndexTest, IsRefused) {
  const TemporaryFolder folder;
  WriteTwoFiles(folder, GetParam().json);
  EXPECT_THAT(
      SafetensorsFolder::Open(folder.path()),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr(folder.path()), HasSubstr(GetParam().message))));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadIndexTest,
    ::testing::Values(
        BadIndex{"NoJson", "nonsense", "is not a JSON object"},
        BadIndex{"NoMap", "{}", "weight_map: expected an object"},
        BadIndex{"MapIsAList", R"({"weight_map":[]})",
                 "weight_map: expected an object"},
        BadIndex{"FileIsANumber", R"({"weight_map":{"a":1}})",
                 "weight_map.a: got number, expected the name of a file"},
        BadIndex{"FileIsMissing", R"({"weight_map":{"a":"m3.safetensors"}})",
                 "names the file m3.safetensors, which is not in the folder"},
        BadIndex{"FileLiesElsewhere",
                 R"({"weight_map":{"a":"../model.safetensors"}})",
                 "weight_map.a: got \"../model.safetensors\", expected the "
                 "name of a file in the folder"},
        BadIndex{"FileIsTheFolder", R"({"weight_map":{"a":".."}})",
                 "is not a regular file"},
        BadIndex{"TensorIsInAnotherFile",
                 R"({"weight_map":{"a":"m2.safetensors"}})",
                 "m2.safetensors: has no tensor a, which "
                 "model.safetensors.index.json says it has"},
        BadIndex{"FileIsDamaged",
                 R"({"weight_map":{"a":"model.safetensors.index.json"}})",
                 "header: got"}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace switchyard
