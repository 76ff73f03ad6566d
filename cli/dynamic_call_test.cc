#include "cli/dynamic_call.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"
#include "switchyard/v1/gateway.grpc.pb.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::_;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Answers two methods; the rest are UNIMPLEMENTED.
class FakeGateway : public v1::Gateway::Service {
 public:
  grpc::Status GetPlacement(grpc::ServerContext*,
                            const v1::GetPlacementRequest* request,
                            v1::GetPlacementResponse* response) override {
    if (request->layer() != "moe") {
      return {grpc::StatusCode::NOT_FOUND,
              absl::StrCat("layer: no '", request->layer(), "'")};
    }
    response->mutable_placement()->set_version(7);
    return grpc::Status::OK;
  }
};

class DynamicCallTest : public ::testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(&gateway_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  DynamicCaller Caller() const {
    return DynamicCaller(absl::StrCat("127.0.0.1:", port_), {});
  }

  FakeGateway gateway_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST(FindMethodTest, KnowsTheMethodsOfBothServices) {
  ASSERT_OK_AND_ASSIGN(const auto* forward, FindMethod("Forward"));
  EXPECT_EQ(forward->full_name(), "switchyard.v1.Gateway.Forward");
  ASSERT_OK_AND_ASSIGN(const auto* list, FindMethod("ListWorkers"));
  EXPECT_EQ(list->full_name(), "switchyard.v1.Registry.ListWorkers");
  EXPECT_EQ(AllMethods().size(), 17);
}

TEST(FindMethodTest, NamesTheMethodsThereAre) {
  EXPECT_THAT(FindMethod("Sideways"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("'Sideways'"), HasSubstr("Forward, "),
                             HasSubstr("ListWorkers"))));
}

TEST_F(DynamicCallTest, CarriesRequestAndResponse) {
  v1::GetPlacementRequest request;
  request.set_layer("moe");
  v1::GetPlacementResponse response;
  ASSERT_OK_AND_ASSIGN(const auto* method, FindMethod("GetPlacement"));
  ASSERT_OK(Caller().Call(*method, request, response));
  EXPECT_EQ(response.placement().version(), 7);
}

TEST_F(DynamicCallTest, HandsTheServersErrorOn) {
  v1::GetPlacementRequest request;
  request.set_layer("other");
  v1::GetPlacementResponse response;
  ASSERT_OK_AND_ASSIGN(const auto* method, FindMethod("GetPlacement"));
  EXPECT_THAT(Caller().Call(*method, request, response),
              StatusIs(absl::StatusCode::kNotFound, "layer: no 'other'"));
}

TEST_F(DynamicCallTest, NobodyThereIsUnavailable) {
  DynamicCaller caller = Caller();
  server_->Shutdown();
  server_.reset();
  v1::GetPlacementResponse response;
  ASSERT_OK_AND_ASSIGN(const auto* method, FindMethod("GetPlacement"));
  EXPECT_THAT(caller.Call(*method, v1::GetPlacementRequest(), response),
              StatusIs(absl::StatusCode::kUnavailable, _));
}

TEST_F(DynamicCallTest, AMessageOverTheLimitIsRefusedHere) {
  DynamicCaller caller(absl::StrCat("127.0.0.1:", port_),
                       {.max_message_bytes = 1024});
  v1::GetPlacementRequest request;
  request.set_layer(std::string(4096, 'x'));
  v1::GetPlacementResponse response;
  ASSERT_OK_AND_ASSIGN(const auto* method, FindMethod("GetPlacement"));
  EXPECT_THAT(caller.Call(*method, request, response),
              StatusIs(absl::StatusCode::kResourceExhausted, _));
}

}  // namespace
}  // namespace switchyard
