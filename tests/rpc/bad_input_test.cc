// What a client may send by mistake or by malice, through real sockets: each
// gets a status that names field, value and expectation, and the service goes
// on serving.
#include <grpcpp/grpcpp.h>

#include <cmath>
#include <functional>
#include <limits>
#include <ostream>
#include <string>

#include "common/base/status_testing.h"
#include "switchyard/v1/gateway.grpc.pb.h"
#include "tests/testing/remote_layer_api.h"

namespace switchyard::testing {
namespace {

using ::testing::HasSubstr;

constexpr grpc::StatusCode kInvalid = grpc::StatusCode::INVALID_ARGUMENT;
constexpr grpc::StatusCode kNotFound = grpc::StatusCode::NOT_FOUND;
constexpr grpc::StatusCode kPrecondition =
    grpc::StatusCode::FAILED_PRECONDITION;
constexpr int kHidden = 4;

void SetTensor(v1::Tensor& tensor, int64_t rows, int64_t cols, float value) {
  tensor.set_dtype(v1::DTYPE_FLOAT32);
  tensor.clear_shape();
  tensor.add_shape(rows);
  tensor.add_shape(cols);
  const std::vector<float> values(static_cast<size_t>(rows * cols), value);
  tensor.set_data(values.data(), values.size() * sizeof(float));
}

v1::LayerSpec ValidSpec(const std::string& name) {
  v1::LayerSpec spec;
  spec.set_name(name);
  spec.set_hidden_size(kHidden);
  spec.set_num_experts(4);
  spec.mutable_expert()->mutable_linear();
  return spec;
}

v1::ForwardRequest ValidForward(v1::Mode mode) {
  v1::ForwardRequest request;
  request.set_layer("moe");
  request.set_mode(mode);
  SetTensor(*request.mutable_x(), 3, kHidden, 0.5f);
  return request;
}

v1::TrainStepRequest ValidTrainStep() {
  v1::TrainStepRequest request;
  request.set_layer("moe");
  SetTensor(*request.mutable_x(), 2, kHidden, 0.5f);
  request.mutable_cross_entropy()->add_labels(0);
  request.mutable_cross_entropy()->add_labels(3);
  return request;
}

// One cluster with layer `moe` for all cases: none may harm it.
class BadInputTest : public ::testing::Test {
 public:
  static void SetUpTestSuite() {
    cluster_ = new LoopbackCluster(2);
    grpc::ChannelArguments arguments;
    arguments.SetMaxSendMessageSize(-1);
    stub_ = v1::Gateway::NewStub(grpc::CreateCustomChannel(
        cluster_->gateway().address(), grpc::InsecureChannelCredentials(),
        arguments));
    v1::CreateLayerRequest request;
    *request.mutable_spec() = ValidSpec("moe");
    ASSERT_TRUE(Call(&v1::Gateway::Stub::CreateLayer, request,
                     v1::CreateLayerResponse())
                    .ok());
  }
  static void TearDownTestSuite() {
    stub_.reset();
    delete cluster_;
    cluster_ = nullptr;
  }
  // The layer still answers.
  void TearDown() override {
    const grpc::Status status =
        Call(&v1::Gateway::Stub::Forward, ValidForward(v1::MODE_EVAL),
             v1::ForwardResponse());
    EXPECT_TRUE(status.ok()) << status.error_message();
  }

  template <typename Method, typename Request, typename Response>
  static grpc::Status Call(Method method, const Request& request,
                           Response response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(30));
    return ((*stub_).*method)(&context, request, &response);
  }
  static grpc::Status Create(const v1::LayerSpec& spec) {
    v1::CreateLayerRequest request;
    *request.mutable_spec() = spec;
    return Call(&v1::Gateway::Stub::CreateLayer, request,
                v1::CreateLayerResponse());
  }
  static grpc::Status Forward(const v1::ForwardRequest& request) {
    return Call(&v1::Gateway::Stub::Forward, request, v1::ForwardResponse());
  }
  static void ExpectError(const grpc::Status& status, grpc::StatusCode code,
                          const std::string& message) {
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(message));
  }

 protected:
  static LoopbackCluster* cluster_;
  static std::unique_ptr<v1::Gateway::Stub> stub_;
};
LoopbackCluster* BadInputTest::cluster_ = nullptr;
std::unique_ptr<v1::Gateway::Stub> BadInputTest::stub_;

void SetRoutes(v1::ForwardRequest& request, const std::vector<int>& ids) {
  for (const int id : ids) {
    request.add_topk_ids(id);
    request.add_topk_weights(0.5f);
  }
}

struct BadForward {
  std::string name;
  grpc::StatusCode code;
  std::string message;
  std::function<void(v1::ForwardRequest&)> spoil;
  v1::Mode mode = v1::MODE_TRAIN;
};

void PrintTo(const BadForward& bad, std::ostream* os) { *os << bad.name; }

class BadForwardTest : public BadInputTest,
                       public ::testing::WithParamInterface<BadForward> {};

TEST_P(BadForwardTest, IsRefused) {
  v1::ForwardRequest request = ValidForward(GetParam().mode);
  GetParam().spoil(request);
  ExpectError(Forward(request), GetParam().code, GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Requests, BadForwardTest,
    ::testing::Values(
        BadForward{"no_mode", kInvalid, "mode: got",
                   [](auto& r) { r.set_mode(v1::MODE_UNSPECIFIED); }},
        BadForward{"unknown_mode", kInvalid, "mode: got",
                   [](auto& r) { r.set_mode(static_cast<v1::Mode>(77)); }},
        BadForward{"unknown_layer", kNotFound, "layer: got 'none'",
                   [](auto& r) { r.set_layer("none"); }},
        BadForward{"no_tensor", kInvalid, "x.dtype: got",
                   [](auto& r) { r.clear_x(); }},
        BadForward{
            "no_dtype", kInvalid, "x.dtype: got DTYPE_UNSPECIFIED",
            [](auto& r) { r.mutable_x()->set_dtype(v1::DTYPE_UNSPECIFIED); }},
        BadForward{"unknown_dtype", kInvalid, "x.dtype: got",
                   [](auto& r) {
                     r.mutable_x()->set_dtype(static_cast<v1::DType>(99));
                   }},
        BadForward{"wrong_width", kInvalid, "x.shape: got [3, 5], expected",
                   [](auto& r) { SetTensor(*r.mutable_x(), 3, 5, 1); }},
        BadForward{"scalar", kInvalid, "x.shape: got []",
                   [](auto& r) {
                     r.mutable_x()->clear_shape();
                     r.mutable_x()->set_data(std::string(4, '\0'));
                   }},
        BadForward{"negative_extent", kInvalid, "x.shape: got [-3, 4]",
                   [](auto& r) { r.mutable_x()->set_shape(0, -3); }},
        BadForward{"huge_shape", kInvalid, "x.shape: got",
                   [](auto& r) {
                     r.mutable_x()->set_shape(
                         0, std::numeric_limits<int64_t>::max());
                   }},
        BadForward{"missing_bytes", kInvalid, "x.data: got 47 bytes",
                   [](auto& r) { r.mutable_x()->mutable_data()->pop_back(); }},
        BadForward{"announced_too_much", kInvalid, "x.data: got 48 bytes",
                   [](auto& r) { r.mutable_x()->set_shape(0, 1 << 30); }},
        BadForward{"nan_in_train_mode", kInvalid,
                   "x: got nan in element 0 (token 0)",
                   [](auto& r) {
                     SetTensor(*r.mutable_x(), 3, kHidden, std::nanf(""));
                   }},
        BadForward{"used_tokens_of_another_length", kInvalid,
                   "used_tokens: got 2 entries, expected 3",
                   [](auto& r) {
                     r.add_used_tokens(true);
                     r.add_used_tokens(true);
                   }},
        BadForward{"topk_ids_that_are_no_multiple", kInvalid,
                   "topk_ids: got 4 entries for 3 tokens",
                   [](auto& r) {
                     SetRoutes(r, {0, 1, 2, 3});
                   }},
        BadForward{"more_topk_ids_than_experts", kInvalid,
                   "topk_ids: got 15 entries for 3 tokens, expected k per "
                   "token, k from 1 to 4",
                   [](auto& r) { SetRoutes(r, std::vector<int>(15, 0)); }},
        BadForward{"topk_ids_of_no_expert", kInvalid,
                   "topk_ids[2]: got 4, expected an expert from 0 to 3, or -1",
                   [](auto& r) {
                     SetRoutes(r, {0, -1, 4});
                   }},
        BadForward{"topk_ids_without_weights", kInvalid,
                   "topk_weights: got 0 entries, expected 3",
                   [](auto& r) {
                     SetRoutes(r, {0, 1, 2});
                     r.clear_topk_weights();
                   }},
        BadForward{"topk_weights_that_are_nan", kInvalid,
                   "topk_weights[1]: got nan",
                   [](auto& r) {
                     SetRoutes(r, {0, 1, 2});
                     r.set_topk_weights(1, std::nanf(""));
                   }},
        BadForward{"topk_ids_beside_a_mask", kInvalid,
                   "used_tokens: got a mask beside topk_ids",
                   [](auto& r) {
                     SetRoutes(r, {0, 1, 2});
                     for (int i = 0; i < 3; ++i) r.add_used_tokens(true);
                   }},
        BadForward{"microbatch_in_eval_mode", kInvalid, "microbatch: got 1",
                   [](auto& r) { r.set_microbatch(1); }, v1::MODE_EVAL}),
    [](const auto& tested) { return tested.param.name; });

TEST_F(BadInputTest, NanIsTakenInTrainModeWhenAllowed) {
  v1::ForwardRequest request = ValidForward(v1::MODE_TRAIN);
  SetTensor(*request.mutable_x(), 3, kHidden, std::nanf(""));
  request.set_allow_non_finite(true);
  EXPECT_TRUE(Forward(request).ok());
  v1::StepRequest discard;
  discard.set_layer("moe");
  discard.set_discard(true);
  EXPECT_TRUE(Call(&v1::Gateway::Stub::Step, discard, v1::StepResponse()).ok());
}

TEST_F(BadInputTest, NoTokensAreAnEmptyAnswer) {
  v1::ForwardRequest request = ValidForward(v1::MODE_EVAL);
  SetTensor(*request.mutable_x(), 0, kHidden, 0);
  EXPECT_TRUE(Forward(request).ok());
}

TEST_F(BadInputTest, BadLayersAreRefused) {
  ExpectError(Create(ValidSpec("")), kInvalid, "spec.name: got ''");
  ExpectError(Create(ValidSpec("moe")), grpc::StatusCode::ALREADY_EXISTS,
              "spec.name: got 'moe'");
  v1::LayerSpec spec = ValidSpec("other");
  spec.set_num_experts(0);
  ExpectError(Create(spec), kInvalid, "spec.num_experts: got 0");
  spec = ValidSpec("other");
  spec.mutable_gate()->set_k(5);
  ExpectError(Create(spec), kInvalid,
              "spec.gate.k: got 5, expected 1 to num_experts (4)");
  spec = ValidSpec("other");
  spec.clear_expert();
  ExpectError(Create(spec), kInvalid, "spec.expert");
  spec = ValidSpec("other");
  spec.set_ep_size(3);
  ExpectError(Create(spec), kPrecondition,
              "spec.ep_size: got 3, expected at most 2");
  spec = ValidSpec("other");
  spec.mutable_gate()->set_noise_policy(static_cast<v1::NoisePolicy>(9));
  ExpectError(Create(spec), kInvalid, "spec.gate.noise_policy: got 9");
  spec = ValidSpec("other");
  spec.set_hidden_size(1 << 20);
  ExpectError(Create(spec), grpc::StatusCode::RESOURCE_EXHAUSTED, "bytes");
  v1::GetLayerRequest get;
  get.set_layer("other");
  ExpectError(Call(&v1::Gateway::Stub::GetLayer, get, v1::GetLayerResponse()),
              kNotFound, "layer: got 'other'");
}

TEST_F(BadInputTest, TrainingCallsOutOfOrderAreRefused) {
  v1::BackwardRequest backward;
  backward.set_layer("moe");
  SetTensor(*backward.mutable_grad_y(), 3, kHidden, 1);
  ExpectError(
      Call(&v1::Gateway::Stub::Backward, backward, v1::BackwardResponse()),
      kPrecondition, "microbatch: got 0, expected an open microbatch");
  v1::StepRequest step;
  step.set_layer("moe");
  ExpectError(Call(&v1::Gateway::Stub::Step, step, v1::StepResponse()),
              kPrecondition, "no microbatch was sent backward");
  ASSERT_TRUE(Forward(ValidForward(v1::MODE_TRAIN)).ok());
  ExpectError(Call(&v1::Gateway::Stub::Step, step, v1::StepResponse()),
              kPrecondition, "microbatch 0 is open");
  step.set_learning_rate(-1);
  ExpectError(Call(&v1::Gateway::Stub::Step, step, v1::StepResponse()),
              kInvalid, "learning_rate: got -1");
  step.set_learning_rate(0);
  step.set_discard(true);
  EXPECT_TRUE(Call(&v1::Gateway::Stub::Step, step, v1::StepResponse()).ok());
}

TEST_F(BadInputTest, BadTrainStepsAreRefused) {
  const auto refused = [](v1::TrainStepRequest request,
                          const std::string& message) {
    ExpectError(
        Call(&v1::Gateway::Stub::TrainStep, request, v1::TrainStepResponse()),
        kInvalid, message);
  };
  v1::TrainStepRequest request = ValidTrainStep();
  request.clear_head();
  refused(request, "head");
  request = ValidTrainStep();
  request.mutable_cross_entropy()->set_labels(1, 4);
  refused(request, "cross_entropy.labels[1]: got 4, expected 0 to 3");
  request = ValidTrainStep();
  request.mutable_cross_entropy()->add_labels(0);
  refused(request, "cross_entropy.labels: got 3 entries, expected 2");
  request = ValidTrainStep();
  SetTensor(*request.mutable_mean_squared_error()->mutable_target(), 1, kHidden,
            0);
  refused(request, "mean_squared_error.target.shape: got [1, 4]");
  request = ValidTrainStep();
  request.set_learning_rate(std::nanf(""));
  refused(request, "learning_rate: got nan");
  request = ValidTrainStep();
  SetTensor(*request.mutable_x(), 0, kHidden, 0);
  refused(request, "x.shape: got 0 tokens");
}

TEST_F(BadInputTest, BadParameterCallsAreRefused) {
  v1::ReadParametersRequest read;
  read.set_layer("moe");
  const auto read_refused = [&](grpc::StatusCode code,
                                const std::string& message) {
    ExpectError(Call(&v1::Gateway::Stub::ReadParameters, read,
                     v1::ReadParametersResponse()),
                code, message);
  };
  read.add_names("experts.4.weight");
  read_refused(kNotFound, "no parameter 'experts.4.weight'");
  read.clear_names();
  read.set_cursor("9999:0");
  read_refused(kInvalid, "cursor: got '9999:0'");
  read.clear_cursor();
  read.set_max_page_bytes(3);
  read_refused(kInvalid, "max_page_bytes: got 3");

  v1::WriteParametersRequest write;
  write.set_layer("moe");
  v1::ParameterSlice* slice = write.add_slices();
  slice->set_name("gate.weight");
  slice->add_shape(4);
  slice->add_shape(kHidden);
  slice->set_offset(14);
  slice->mutable_values()->set_dtype(v1::DTYPE_FLOAT32);
  slice->mutable_values()->add_shape(3);
  for (int i = 0; i < 3; ++i) slice->mutable_values()->add_float_values(1);
  const auto write_refused = [&](const std::string& message) {
    ExpectError(Call(&v1::Gateway::Stub::WriteParameters, write,
                     v1::WriteParametersResponse()),
                kInvalid, message);
  };
  write_refused("slices[0]");
  slice->set_offset(0);
  slice->set_shape(0, 5);
  write_refused("shape: got [5, 4], expected [4, 4]");
  slice->set_shape(0, 4);
  slice->mutable_values()->set_float_values(2, INFINITY);
  write_refused("expected a finite number");
}

TEST_F(BadInputTest, BadImportsAreRefused) {
  v1::ImportParametersRequest import;
  const auto refused = [&](grpc::StatusCode code, const std::string& message) {
    ExpectError(Call(&v1::Gateway::Stub::ImportParameters, import,
                     v1::ImportParametersResponse()),
                code, message);
  };
  import.set_layer("none");
  refused(kNotFound, "layer: got 'none'");
  import.set_layer("moe");
  import.set_directory("/models");
  import.add_expert_ids(0);
  refused(kInvalid, "fingerprint: got 0");
  import.set_fingerprint(1);
  refused(grpc::StatusCode::FAILED_PRECONDITION, "has no origin");
}

TEST_F(BadInputTest, AMessageOverTheLimitIsRefused) {
  v1::ForwardRequest request = ValidForward(v1::MODE_EVAL);
  SetTensor(*request.mutable_x(), (int64_t{65} << 20) / (kHidden * 4), kHidden,
            1);
  ExpectError(Forward(request), grpc::StatusCode::RESOURCE_EXHAUSTED,
              "larger than max");
}

}  // namespace
}  // namespace switchyard::testing
