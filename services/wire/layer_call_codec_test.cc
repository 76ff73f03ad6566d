#include "services/wire/layer_call_codec.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include <string>

#include "common/base/status_testing.h"
#include "services/wire/status_codec.h"

namespace switchyard::wire {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::switchyard::testing::StatusIs;

constexpr char kFloat32[] =
    R"({ dtype: DTYPE_FLOAT32 shape: 1 shape: 2 data: "\0\0\200?\0\0\0@" })";
constexpr char kBFloat16[] =
    R"({ dtype: DTYPE_BFLOAT16 shape: 1 shape: 2 data: "\200?\0@" })";

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

template <typename Message>
void ExpectEqual(const Message& got, const Message& expected) {
  // A spec comes back with its defaults filled in.
  MessageDifferencer differencer;
  differencer.set_scope(MessageDifferencer::PARTIAL);
  EXPECT_TRUE(differencer.Compare(expected, got)) << got.DebugString();
}

// Decoding and encoding again changes nothing, whatever the dtype.
template <typename Message>
void ExpectActivationsComeBack(const std::string& text) {
  for (const char* tensor : {kFloat32, kBFloat16}) {
    const auto message = Parse<Message>(text + " " + tensor);
    const absl::StatusOr decoded = Decode(message);
    ASSERT_OK(decoded);
    const v1::DType dtype =
        tensor == kFloat32 ? v1::DTYPE_FLOAT32 : v1::DTYPE_BFLOAT16;
    ExpectEqual(Encode(*decoded, dtype), message);
  }
}

template <typename Message>
void ExpectComesBack(const std::string& text) {
  const auto message = Parse<Message>(text);
  const absl::StatusOr decoded = Decode(message);
  ASSERT_OK(decoded);
  ExpectEqual(Encode(*decoded), message);
}

TEST(LayerCallCodecTest, ForwardComesBack) {
  ExpectActivationsComeBack<v1::ForwardRequest>(R"(
      layer: "m" mode: MODE_TRAIN microbatch: 0 return_routes: true
      allow_non_finite: true used_tokens: [true, false] x)");
  ExpectActivationsComeBack<v1::ForwardRequest>(R"(layer: "m" mode: MODE_EVAL
                                                   x)");
  ExpectActivationsComeBack<v1::ForwardResponse>(R"(
      aux_loss: 1.5 expert_counts: [1, 2] kept_counts: [1, 1] capacity: 1
      step: 3 microbatch: 4
      routes { k: 2 expert_ids: [1, -1] slots: [0, 0] weights: [0.5, 0] }
      timing { gateway_us: 4 gate_us: 1 workers_wait_us: 3
               worker_compute_us: 2 }
      y)");
}

TEST(LayerCallCodecTest, BackwardComesBack) {
  ExpectActivationsComeBack<v1::BackwardRequest>(
      R"(layer: "m" step: 3 microbatch: 4 grad_aux_loss: 0.01 grad_y)");
  ExpectActivationsComeBack<v1::BackwardResponse>(
      "timing { gateway_us: 4 } grad_x");
}

TEST(LayerCallCodecTest, StepComesBack) {
  const auto request = Parse<v1::StepRequest>(
      R"(layer: "m" step: 3 learning_rate: 0.1 discard: true)");
  ExpectEqual(Encode(Decode(request)), request);
  const auto response = Parse<v1::StepResponse>(
      "step: 4 grad_norm: 2.5 timing { gateway_us: 4 }");
  ExpectEqual(Encode(Decode(response)), response);
}

TEST(LayerCallCodecTest, TrainStepComesBack) {
  ExpectActivationsComeBack<v1::TrainStepRequest>(R"(
      layer: "m" learning_rate: 0.1 return_grad_x: true used_tokens: true
      cross_entropy { labels: [1] } x)");
  ExpectActivationsComeBack<v1::TrainStepRequest>(
      std::string(R"(layer: "m" mean_squared_error { target )") + kFloat32 +
      "} x");
  ExpectActivationsComeBack<v1::TrainStepResponse>(R"(
      loss: 3 head_loss: 2 aux_loss: 1 expert_counts: 1 kept_counts: 1 step: 9
      grad_norm: 0.5 timing { gateway_us: 4 } grad_x)");
  ASSERT_OK_AND_ASSIGN(const TrainStepResult result,
                       Decode(v1::TrainStepResponse()));
  EXPECT_FALSE(result.grad_x.has_value());
}

TEST(LayerCallCodecTest, ParametersComeBack) {
  const std::string slices = R"(
      slices { name: "gate.weight" shape: 2 shape: 2 offset: 3
               values { dtype: DTYPE_FLOAT32 shape: 1 data: "\0\0\200?" } })";
  ExpectComesBack<v1::ReadParametersRequest>(R"(
      layer: "m" names: "gate.weight" names: "experts.0.bias"
      kind: PARAMETER_KIND_GRADIENT cursor: "c" max_page_bytes: 4)");
  ExpectComesBack<v1::ReadParametersResponse>(slices +
                                              R"(next_cursor: "d" step: 3)");
  ExpectComesBack<v1::WriteParametersRequest>(R"(layer: "m")" + slices);
}

TEST(LayerCallCodecTest, StatusComesBack) {
  ExpectComesBack<v1::LayerStatus>(R"(
      spec { name: "m" hidden_size: 8 num_experts: 2 expert { linear {} }
             gate { k: 1 use_rts: true second_expert_sampling: false
                    drop_policy: DROP_POLICY_PROBS }
             capacity { capacity_factor: 1 min_capacity: 4 drop_tokens: true }
             optimizer { sgd {} } }
      state: LAYER_STATE_LOST_EXPERTS state_reason: "expert 1" step: 2
      num_open_microbatches: 1
      placement { version: 3 experts { worker_ids: "w-0" worker_ids: "w-1" }
                  experts { expert_id: 1 } })");
  ExpectComesBack<v1::ListWorkersResponse>(R"(
      workers { worker_id: "w-0" address: "a:1" metrics_address: "a:2"
                state: WORKER_STATE_UP since_renewal_ms: 5 }
      workers { worker_id: "w-1" address: "b:1" state: WORKER_STATE_LOST
                state_reason: "lease ran out" }
      workers { worker_id: "w-2" state: WORKER_STATE_LEFT } generation: 9)");
  const auto load = Parse<v1::GetLoadResponse>(R"(
      layers { layer: "m" expert_tokens: [1, 2] train_expert_tokens: [0, 1]
               dropped_routes: 3 tokens: 4 steps: 5 aux_loss: 1.5
               workers { worker_id: "w-0" routes: 6 } })");
  ExpectEqual(Encode(Decode(load)), load);
}

TEST(LayerCallCodecTest, RefusesEnumsOutOfRange) {
  EXPECT_THAT(
      Decode(Parse<v1::ForwardRequest>(R"(layer: "m")")),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "mode: got 0, expected MODE_TRAIN (1) or MODE_EVAL (2)"));
  v1::ForwardRequest forward;
  forward.set_mode(static_cast<v1::Mode>(3));
  EXPECT_THAT(
      Decode(forward),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "mode: got 3, expected MODE_TRAIN (1) or MODE_EVAL (2)"));
  v1::ListWorkersResponse workers;
  workers.add_workers()->set_state(static_cast<v1::WorkerState>(8));
  EXPECT_THAT(
      Decode(workers),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "workers.state: got 8, expected a value of WorkerState"));
}

TEST(LayerCallCodecTest, RefusesATrainStepWithoutAHead) {
  EXPECT_THAT(
      Decode(v1::TrainStepRequest()),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "head: got none, expected cross_entropy or mean_squared_error"));
}

TEST(LayerCallCodecTest, NamesTheSliceThatIsWrong) {
  EXPECT_THAT(Decode(Parse<v1::WriteParametersRequest>(R"(
                  slices { shape: 0 values { dtype: DTYPE_FLOAT32 shape: 0 } }
                  slices { shape: 8 })")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "slices[1].values.dtype: got DTYPE_UNSPECIFIED, "
                       "expected DTYPE_FLOAT32 or DTYPE_BFLOAT16"));
}

TEST(LayerCallCodecTest, RefusesAPlacementOutOfOrder) {
  EXPECT_THAT(Decode(Parse<v1::PlacementMap>("experts { expert_id: 1 }")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "placement.experts[0].expert_id: got 1, expected 0"));
}

TEST(LayerCallCodecTest, RefusesRoutesThatAreNotRows) {
  auto message = Parse<v1::ForwardResponse>(
      std::string("routes { k: 2 expert_ids: [1, 2, 3] slots: [0, 0, 0] "
                  "weights: [1, 1, 1] } y ") +
      kFloat32);
  EXPECT_THAT(Decode(message),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       ::testing::StartsWith("routes: got k 2 and 3, 3, 3")));
}

}  // namespace
}  // namespace switchyard::wire
