#include "cli/process/resident_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <vector>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

TEST(ResidentBytesTest, GrowsWithWhatAProcessTouches) {
  ASSERT_OK_AND_ASSIGN(const int64_t before, ResidentBytes(getpid()));
  const std::vector<char> touched(64 << 20, 'x');
  ASSERT_OK_AND_ASSIGN(const int64_t after, ResidentBytes(getpid()));
  EXPECT_GE(after - before, 60 << 20) << touched.back();
}

TEST(ResidentBytesTest, ThereMustBeSuchAProcess) {
  EXPECT_THAT(ResidentBytes(-1),
              testing::StatusIs(absl::StatusCode::kNotFound, "no process -1"));
}

}  // namespace
}  // namespace switchyard
