#include "expert_worker/import/import_root.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/base/status_testing.h"
#include "common/safetensors/safetensors_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kFamilies[] = SWITCHYARD_FAMILIES_DIR;
const std::string kMixtral = absl::StrCat(kFamilies, "/mixtral");

uint64_t FingerprintOf(const std::string& directory) {
  const auto folder = CheckpointFolder::Open(directory);
  EXPECT_OK(folder.status());
  return folder.ok() ? folder->Fingerprint() : 1;
}

TEST(ImportRootTest, OpensAFolderBelowIt) {
  ImportRoot root(kFamilies);
  ASSERT_OK_AND_ASSIGN(const auto folder,
                       root.Open(kMixtral, FingerprintOf(kMixtral)));
  EXPECT_EQ(folder->family(), "mixtral");
  ASSERT_OK_AND_ASSIGN(const auto again,
                       root.Open(kMixtral, FingerprintOf(kMixtral)));
  EXPECT_EQ(folder, again);
}

TEST(ImportRootTest, WithoutOneNothingMayBeRead) {
  EXPECT_THAT(ImportRoot("").Open(kMixtral, 1).status(),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("--import-root is not set")));
}

TEST(ImportRootTest, NothingLeadsOutOfIt) {
  const testing::TemporaryFolder folder;
  std::filesystem::create_directory(folder / "root");
  std::filesystem::create_directory_symlink(kMixtral, folder / "root/link");
  ImportRoot root(folder / "root");
  for (const std::string& path :
       {folder / "root/link", folder / "root/..", kMixtral,
        // A sibling whose name begins as the root's does.
        folder / "root/../root/../"}) {
    EXPECT_THAT(root.Open(path, 1).status(),
                StatusIs(absl::StatusCode::kPermissionDenied,
                         HasSubstr("expected one below")))
        << path;
  }
}

TEST(ImportRootTest, ASiblingOfTheSamePrefixIsNotBelow) {
  const testing::TemporaryFolder folder;
  std::filesystem::create_directory(folder / "root");
  std::filesystem::create_directory(folder / "root2");
  EXPECT_THAT(ImportRoot(folder / "root").Open(folder / "root2", 1).status(),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("")));
}

TEST(ImportRootTest, ARelativePathIsRefused) {
  const std::string relative = std::filesystem::relative(kMixtral).string();
  EXPECT_THAT(ImportRoot(kFamilies).Open(relative, 1).status(),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("expected an absolute path")));
}

TEST(ImportRootTest, AMissingFolderIsNotFound) {
  EXPECT_THAT(
      ImportRoot(kFamilies).Open(absl::StrCat(kFamilies, "/none"), 1).status(),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("/none")));
}

TEST(ImportRootTest, AnotherFingerprintIsRefused) {
  EXPECT_THAT(ImportRoot(kFamilies).Open(kMixtral, 0xabc).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("got abc, expected")));
}

}  // namespace
}  // namespace switchyard
