#include "services/rpc/status_conversion.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace switchyard {
namespace {

constexpr size_t kMaxMessageBytes = 1024;
constexpr absl::string_view kCut = "...";

constexpr bool Equal(absl::StatusCode ours, grpc::StatusCode theirs) {
  return static_cast<int>(ours) == static_cast<int>(theirs);
}

static_assert(Equal(absl::StatusCode::kOk, grpc::OK));
static_assert(Equal(absl::StatusCode::kCancelled, grpc::CANCELLED));
static_assert(Equal(absl::StatusCode::kUnknown, grpc::UNKNOWN));
static_assert(Equal(absl::StatusCode::kInvalidArgument,
                    grpc::INVALID_ARGUMENT));
static_assert(Equal(absl::StatusCode::kDeadlineExceeded,
                    grpc::DEADLINE_EXCEEDED));
static_assert(Equal(absl::StatusCode::kNotFound, grpc::NOT_FOUND));
static_assert(Equal(absl::StatusCode::kAlreadyExists, grpc::ALREADY_EXISTS));
static_assert(Equal(absl::StatusCode::kPermissionDenied,
                    grpc::PERMISSION_DENIED));
static_assert(Equal(absl::StatusCode::kResourceExhausted,
                    grpc::RESOURCE_EXHAUSTED));
static_assert(Equal(absl::StatusCode::kFailedPrecondition,
                    grpc::FAILED_PRECONDITION));
static_assert(Equal(absl::StatusCode::kAborted, grpc::ABORTED));
static_assert(Equal(absl::StatusCode::kOutOfRange, grpc::OUT_OF_RANGE));
static_assert(Equal(absl::StatusCode::kUnimplemented, grpc::UNIMPLEMENTED));
static_assert(Equal(absl::StatusCode::kInternal, grpc::INTERNAL));
static_assert(Equal(absl::StatusCode::kUnavailable, grpc::UNAVAILABLE));
static_assert(Equal(absl::StatusCode::kDataLoss, grpc::DATA_LOSS));
static_assert(Equal(absl::StatusCode::kUnauthenticated, grpc::UNAUTHENTICATED));

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  absl::string_view message = status.message();
  const auto code = static_cast<grpc::StatusCode>(status.code());
  if (message.size() <= kMaxMessageBytes) {
    return grpc::Status(code, std::string(message));
  }
  return grpc::Status(
      code,
      absl::StrCat(message.substr(0, kMaxMessageBytes - kCut.size()), kCut));
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  const int code = status.error_code();
  if (code < grpc::OK || code > grpc::UNAUTHENTICATED) {
    return absl::UnknownError(
        absl::StrCat("status code ", code, ": ", status.error_message()));
  }
  return absl::Status(static_cast<absl::StatusCode>(code),
                      status.error_message());
}

}  // namespace switchyard
