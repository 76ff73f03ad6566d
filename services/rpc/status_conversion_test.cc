#include "services/rpc/status_conversion.h"

#include <string>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;

TEST(StatusConversionTest, EveryCodeComesBackWithItsMessage) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why");
    const grpc::Status converted = ToGrpcStatus(status);
    EXPECT_EQ(converted.error_code(), code);
    EXPECT_EQ(FromGrpcStatus(converted), status);
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_OK(FromGrpcStatus(grpc::Status::OK));
}

TEST(StatusConversionTest, CutsMessagesAtOneKibibyte) {
  const std::string longest(1024, 'm');
  EXPECT_EQ(ToGrpcStatus(absl::InternalError(longest)).error_message(),
            longest);
  const grpc::Status cut = ToGrpcStatus(absl::InternalError(longest + "m"));
  EXPECT_EQ(cut.error_message(), std::string(1021, 'm') + "...");
}

TEST(StatusConversionTest, AnUnknownCodeBecomesUnknown) {
  EXPECT_THAT(
      FromGrpcStatus(grpc::Status(static_cast<grpc::StatusCode>(20), "why")),
      StatusIs(absl::StatusCode::kUnknown, "status code 20: why"));
}

}  // namespace
}  // namespace switchyard
