#include "client/gateway_client.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"
#include "services/rpc/rpc_server.h"
#include "switchyard/v1/gateway.grpc.pb.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Answers what the test says; a Forward without answer is left hanging.
class FakeGateway final : public v1::Gateway::CallbackService {
 public:
  grpc::ServerUnaryReactor* ReadParameters(
      grpc::CallbackServerContext* context,
      const v1::ReadParametersRequest* request,
      v1::ReadParametersResponse* response) override {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(read(*request, *response));
    return reactor;
  }
  grpc::ServerUnaryReactor* Forward(grpc::CallbackServerContext* context,
                                    const v1::ForwardRequest* request,
                                    v1::ForwardResponse* response) override {
    if (forward != nullptr) {
      grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
      reactor->Finish(forward(*request, *response));
      return reactor;
    }
    class Reactor final : public grpc::ServerUnaryReactor {
      void OnCancel() override { Finish(grpc::Status::CANCELLED); }
      void OnDone() override { delete this; }
    };
    return new Reactor;
  }

  std::function<grpc::Status(const v1::ReadParametersRequest&,
                             v1::ReadParametersResponse&)>
      read;
  std::function<grpc::Status(const v1::ForwardRequest&, v1::ForwardResponse&)>
      forward;
};

class GatewayClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(
        server_, RpcServer::Start("127.0.0.1:0", {}, {{"gateway", &gateway_}}));
  }

  FakeGateway gateway_;
  std::unique_ptr<RpcServer> server_;
};

v1::ReadParametersResponse Page(const std::string& name,
                                const std::string& next_cursor, uint64_t step) {
  v1::ReadParametersResponse page;
  v1::ParameterSlice& slice = *page.add_slices();
  slice.set_name(name);
  slice.add_shape(0);
  slice.mutable_values()->set_dtype(v1::DTYPE_FLOAT32);
  slice.mutable_values()->add_shape(0);
  page.set_next_cursor(next_cursor);
  page.set_step(step);
  return page;
}

ReadParametersRequest ReadRequest() {
  ReadParametersRequest request;
  request.layer = "m";
  return request;
}

ForwardRequest OneToken() {
  ForwardRequest request;
  request.layer = "m";
  request.x = Tensor::FromSpan({1, 2}, {1.0f, 2.0f});
  return request;
}

TEST_F(GatewayClientTest, ReadAllParametersFollowsTheCursors) {
  std::vector<std::string> cursors;
  gateway_.read = [&](const v1::ReadParametersRequest& request,
                      v1::ReadParametersResponse& response) {
    cursors.push_back(request.cursor());
    response = cursors.size() == 1   ? Page("a", "one", 7)
               : cursors.size() == 2 ? Page("b", "two", 7)
                                     : Page("c", "", 7);
    return grpc::Status::OK;
  };
  GatewayClient client(server_->address());
  ASSERT_OK_AND_ASSIGN(const std::vector<ParameterSlice> slices,
                       client.ReadAllParameters(ReadRequest()));
  EXPECT_THAT(cursors, ElementsAre("", "one", "two"));
  ASSERT_EQ(slices.size(), 3u);
  EXPECT_EQ(slices[0].name + slices[1].name + slices[2].name, "abc");
}

TEST_F(GatewayClientTest, ReadAllParametersFailsWhenAStepComesBetween) {
  gateway_.read = [](const v1::ReadParametersRequest& request,
                     v1::ReadParametersResponse& response) {
    response =
        request.cursor().empty() ? Page("a", "one", 7) : Page("b", "", 8);
    return grpc::Status::OK;
  };
  GatewayClient client(server_->address());
  EXPECT_THAT(client.ReadAllParameters(ReadRequest()),
              StatusIs(absl::StatusCode::kAborted,
                       "layer m went from step 7 to 8 while its parameters "
                       "were read"));
}

TEST_F(GatewayClientTest, ReadAllParametersEndsThoughTheCursorStands) {
  gateway_.read = [](const v1::ReadParametersRequest&,
                     v1::ReadParametersResponse& response) {
    response = Page("a", "one", 7);
    return grpc::Status::OK;
  };
  GatewayClient client(server_->address());
  EXPECT_THAT(client.ReadAllParameters(ReadRequest()),
              StatusIs(absl::StatusCode::kInternal,
                       HasSubstr("the cursor does not advance")));
}

TEST_F(GatewayClientTest, SendsActivationsAsItWasTold) {
  std::vector<v1::DType> dtypes;
  gateway_.forward = [&](const v1::ForwardRequest& request,
                         v1::ForwardResponse& response) {
    dtypes.push_back(request.x().dtype());
    *response.mutable_y() = request.x();
    return grpc::Status::OK;
  };
  for (const bool bfloat16 : {false, true}) {
    GatewayClient client(server_->address(),
                         {.bfloat16_activations = bfloat16});
    ASSERT_OK_AND_ASSIGN(const ForwardResult result,
                         client.Forward(OneToken()));
    EXPECT_THAT(result.y.values(), ElementsAre(1.0f, 2.0f));
  }
  EXPECT_THAT(dtypes, ElementsAre(v1::DTYPE_FLOAT32, v1::DTYPE_BFLOAT16));
}

TEST_F(GatewayClientTest, TheGatewaysErrorsComeAsTheyAre) {
  gateway_.forward = [](const v1::ForwardRequest&, v1::ForwardResponse&) {
    return grpc::Status(grpc::INVALID_ARGUMENT, "x.shape: got [1, 2]");
  };
  GatewayClient client(server_->address());
  EXPECT_THAT(
      client.Forward(OneToken()),
      StatusIs(absl::StatusCode::kInvalidArgument, "x.shape: got [1, 2]"));
}

TEST_F(GatewayClientTest, AnIllFormedResponseIsInternal) {
  gateway_.forward = [](const v1::ForwardRequest&, v1::ForwardResponse&) {
    return grpc::Status::OK;
  };
  GatewayClient client(server_->address());
  EXPECT_THAT(client.Forward(OneToken()),
              StatusIs(absl::StatusCode::kInternal,
                       HasSubstr("ill-formed response: y.dtype: got")));
}

TEST_F(GatewayClientTest, ACallEndsAtTheTimeout) {
  GatewayClient client(server_->address(), {.timeout = absl::Milliseconds(30)});
  EXPECT_THAT(client.Forward(OneToken()),
              StatusIs(absl::StatusCode::kDeadlineExceeded, _));
}

TEST_F(GatewayClientTest, NamesAGatewayThatIsNotThere) {
  const std::string address = server_->address();
  server_.reset();
  GatewayClient moved(address);
  GatewayClient client = std::move(moved);
  EXPECT_THAT(client.GetLayer("m"),
              StatusIs(absl::StatusCode::kUnavailable,
                       StartsWith(absl::StrCat("gateway at ", address, ": "))));
}

}  // namespace
}  // namespace switchyard
