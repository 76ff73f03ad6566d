#ifndef SWITCHYARD_COMMON_BASE_STATUS_MACROS_H_
#define SWITCHYARD_COMMON_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the enclosing function when `expr` is not OK.
#define SWITCHYARD_RETURN_IF_ERROR(expr)                     \
  do {                                                       \
    ::absl::Status switchyard_status_ = (expr);              \
    if (!switchyard_status_.ok()) return switchyard_status_; \
  } while (false)

// Assigns the value of a StatusOr to `lhs`, or returns its error.
#define SWITCHYARD_ASSIGN_OR_RETURN(lhs, expr) \
  SWITCHYARD_ASSIGN_OR_RETURN_IMPL_(           \
      SWITCHYARD_CONCAT_(switchyard_statusor_, __LINE__), lhs, expr)

#define SWITCHYARD_ASSIGN_OR_RETURN_IMPL_(statusor, lhs, expr) \
  auto statusor = (expr);                                      \
  if (!statusor.ok()) return std::move(statusor).status();     \
  lhs = *std::move(statusor)

#define SWITCHYARD_CONCAT_(a, b) SWITCHYARD_CONCAT_IMPL_(a, b)
#define SWITCHYARD_CONCAT_IMPL_(a, b) a##b

#endif  // SWITCHYARD_COMMON_BASE_STATUS_MACROS_H_
