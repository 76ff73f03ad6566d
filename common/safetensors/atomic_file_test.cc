#include "common/safetensors/atomic_file.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "common/base/status_testing.h"
#include "common/safetensors/safetensors_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::ReadBytes;
using ::switchyard::testing::StatusIs;
using ::switchyard::testing::TemporaryFolder;
using ::switchyard::testing::WriteBytes;
using ::testing::HasSubstr;

std::vector<std::string> NamesIn(const TemporaryFolder& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

TEST(AtomicFileTest, AppearsWholeOnCommit) {
  const TemporaryFolder folder;
  ASSERT_OK_AND_ASSIGN(AtomicFile file, AtomicFile::Create(folder / "f"));
  ASSERT_OK(file.Append("one "));
  // More than is gathered.
  const std::string large(3 << 20, 'x');
  ASSERT_OK(file.Append(large));
  ASSERT_OK(file.Append(" two"));
  EXPECT_FALSE(std::filesystem::exists(folder / "f"));
  ASSERT_OK(file.Commit());
  EXPECT_EQ(ReadBytes(folder / "f"), "one " + large + " two");
  EXPECT_THAT(NamesIn(folder), ::testing::ElementsAre("f"));
}

TEST(AtomicFileTest, LeavesWhatWasThereUnlessCommitted) {
  const TemporaryFolder folder;
  WriteBytes(folder / "f", "old");
  {
    ASSERT_OK_AND_ASSIGN(AtomicFile file, AtomicFile::Create(folder / "f"));
    ASSERT_OK(file.Append("new"));
  }
  EXPECT_EQ(ReadBytes(folder / "f"), "old");
  EXPECT_THAT(NamesIn(folder), ::testing::ElementsAre("f"));
}

TEST(AtomicFileTest, ReplacesWhatWasThereOnCommit) {
  const TemporaryFolder folder;
  WriteBytes(folder / "f", "old and longer");
  ASSERT_OK_AND_ASSIGN(AtomicFile file, AtomicFile::Create(folder / "f"));
  ASSERT_OK(file.Append("new"));
  ASSERT_OK(file.Commit());
  EXPECT_EQ(ReadBytes(folder / "f"), "new");
}

TEST(AtomicFileTest, NamesAFolderThatIsMissing) {
  EXPECT_THAT(
      AtomicFile::Create("/nonexistent/f"),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/f")));
}

}  // namespace
}  // namespace switchyard
