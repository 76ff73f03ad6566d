#include "cli/process/socket_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::StatusIs;

std::filesystem::path PathOf(const std::string& address) {
  return address.substr(std::string("unix:").size());
}

class SocketFolderTest : public ::testing::Test {
 protected:
  void TearDown() override { unsetenv("XDG_RUNTIME_DIR"); }
};

TEST_F(SocketFolderTest, IsForThisUserAloneAndGoesWithWhatIsInIt) {
  ASSERT_OK_AND_ASSIGN(auto folder, SocketFolder::Create());
  const std::string address = folder->AddressOf("w0");
  EXPECT_THAT(address, StartsWith("unix:/"));
  EXPECT_THAT(address, EndsWith("/w0.sock"));
  const std::filesystem::path path = PathOf(address);
  struct stat status = {};
  ASSERT_EQ(stat(path.parent_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700);
  std::ofstream(path) << "left over";
  folder.reset();
  EXPECT_FALSE(std::filesystem::exists(path.parent_path()));
}

TEST_F(SocketFolderTest, LiesInTheRuntimeFolderOfTheUser) {
  const std::string runtime = ::testing::TempDir() + "run";
  std::filesystem::create_directory(runtime);
  setenv("XDG_RUNTIME_DIR", runtime.c_str(), 1);
  ASSERT_OK_AND_ASSIGN(auto folder, SocketFolder::Create());
  EXPECT_THAT(folder->AddressOf("w0"), HasSubstr(runtime));
}

TEST_F(SocketFolderTest, APathTooLongForASocketIsRefused) {
  const std::string runtime = ::testing::TempDir() + std::string(100, 'r');
  std::filesystem::create_directory(runtime);
  setenv("XDG_RUNTIME_DIR", runtime.c_str(), 1);
  EXPECT_THAT(SocketFolder::Create(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bytes")));
}

}  // namespace
}  // namespace switchyard
