// GoogleMock matchers and assertions for absl::Status and absl::StatusOr.
#ifndef SWITCHYARD_COMMON_BASE_STATUS_TESTING_H_
#define SWITCHYARD_COMMON_BASE_STATUS_TESTING_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/status_macros.h"

namespace switchyard::testing {

inline const absl::Status& GetStatus(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& GetStatus(const absl::StatusOr<T>& statusor) {
  return statusor.status();
}

MATCHER(IsOk, "is OK") {
  *result_listener << GetStatus(arg).ToString();
  return GetStatus(arg).ok();
}

MATCHER_P2(StatusIs, code, message_matcher, "") {
  const absl::Status& status = GetStatus(arg);
  *result_listener << status.ToString();
  return status.code() == code &&
         ::testing::Matches(message_matcher)(std::string(status.message()));
}

}  // namespace switchyard::testing

#define ASSERT_OK(expr) ASSERT_THAT(expr, ::switchyard::testing::IsOk())
#define EXPECT_OK(expr) EXPECT_THAT(expr, ::switchyard::testing::IsOk())

#define ASSERT_OK_AND_ASSIGN(lhs, expr) \
  ASSERT_OK_AND_ASSIGN_IMPL_(           \
      SWITCHYARD_CONCAT_(switchyard_test_statusor_, __LINE__), lhs, expr)
#define ASSERT_OK_AND_ASSIGN_IMPL_(statusor, lhs, expr) \
  auto statusor = (expr);                               \
  ASSERT_OK(statusor);                                  \
  lhs = *std::move(statusor)

#endif  // SWITCHYARD_COMMON_BASE_STATUS_TESTING_H_
