#include "services/wire/expert_codec.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include <limits>
#include <string>

#include "common/base/status_testing.h"

namespace switchyard::wire {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::switchyard::testing::StatusIs;
using ::testing::ElementsAre;

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

// Decoding and encoding again changes nothing.
template <typename Message>
void ExpectComesBack(const std::string& text) {
  const auto message = Parse<Message>(text);
  const absl::StatusOr decoded = Decode(message);
  ASSERT_OK(decoded);
  // A spec comes back with its defaults filled in.
  MessageDifferencer differencer;
  differencer.set_scope(MessageDifferencer::PARTIAL);
  EXPECT_TRUE(differencer.Compare(message, Encode(*decoded)))
      << Encode(*decoded).DebugString();
}

constexpr char kTensor[] =
    R"({ dtype: DTYPE_FLOAT32 shape: 1 shape: 2 data: "\0\0\200?\0\0\0@" })";

TEST(ExpertCodecTest, RequestsComeBack) {
  ExpectComesBack<v1::LoadExpertsRequest>(R"(
      spec { name: "m" hidden_size: 8 num_experts: 4 expert { linear {} }
             gate { k: 1 use_rts: true second_expert_sampling: false
                    drop_policy: DROP_POLICY_PROBS }
             capacity { capacity_factor: 1 min_capacity: 4 drop_tokens: true }
             optimizer { sgd { momentum: 0.5 } } }
      expert_ids: 0 expert_ids: 3 generation: 7)");
  ExpectComesBack<v1::ReadExpertsRequest>(R"(
      layer: "m" ranges { name: "experts.0.bias" offset: 2 num_elements: 3 }
      kind: PARAMETER_KIND_GRADIENT)");
  ExpectComesBack<v1::WriteExpertsRequest>(R"(
      layer: "m" kind: PARAMETER_KIND_GRADIENT
      slices { name: "experts.0.bias" shape: 8 offset: 7
               values { dtype: DTYPE_FLOAT32 shape: 1 data: "\0\0\200?" } })");
  ExpectComesBack<v1::ImportExpertsRequest>(R"(
      layer: "m" directory: "/models/m" fingerprint: 17
      expert_ids: [0, 3])");
  ExpectComesBack<v1::ExpertForwardRequest>(std::string(R"(
      layer: "m" generation: 7 keep { step: 5 microbatch: 6 }
      exact_combine: true route_tokens: [0, 0] route_experts: [1, 3]
      route_weights: [0.25, 0.75] x )") + kTensor);
  ExpectComesBack<v1::ExpertBackwardRequest>(std::string(R"(
      layer: "m" generation: 7 key { step: 5 microbatch: 6 } grad_y )") +
                                             kTensor);
}

TEST(ExpertCodecTest, ResponsesComeBack) {
  ExpectComesBack<v1::ReadExpertsResponse>(R"(
      slices { name: "experts.0.bias" shape: 8
               values { dtype: DTYPE_FLOAT32 shape: 0 } })");
  ExpectComesBack<v1::ExpertForwardResponse>(std::string("compute_us: 12 y ") +
                                             kTensor);
  ExpectComesBack<v1::ExpertBackwardResponse>(
      std::string("route_dots: [1.5, -2] compute_us: 12 grad_x ") + kTensor);
  const auto prepared = Parse<v1::PrepareStepResponse>(R"(
      experts { expert_id: 1 squared_norm: 2.5 }
      experts { expert_id: 3 squared_norm: inf })");
  EXPECT_TRUE(MessageDifferencer::Equals(Encode(Decode(prepared)), prepared));
}

TEST(ExpertCodecTest, AbsentKeepIsNotAKey) {
  v1::ExpertForwardRequest message;
  *message.mutable_x() = Parse<v1::Tensor>("dtype: DTYPE_FLOAT32 shape: 0");
  ASSERT_OK_AND_ASSIGN(ExpertForwardRequest request, Decode(message));
  EXPECT_FALSE(request.keep.has_value());
  message.mutable_keep();
  ASSERT_OK_AND_ASSIGN(request, Decode(message));
  EXPECT_EQ(request.keep, MicrobatchKey{});
}

TEST(ExpertCodecTest, StepKeysComeBack) {
  const auto message = EncodeStepKey<v1::CommitStepRequest>({"m", 3, 4});
  const StepKey key = DecodeStepKey(message);
  EXPECT_EQ(key.layer, "m");
  EXPECT_EQ(key.generation, 3u);
  EXPECT_EQ(key.step, 4u);
}

TEST(ExpertCodecTest, EncodesTheWorkersReport) {
  WorkerReport report;
  report.worker_id = "w-1";
  report.layers.push_back({"m", {1, 3}, 5, 4096});
  report.kept_activation_bytes = 10;
  report.max_kept_activation_bytes = 20;
  EXPECT_TRUE(MessageDifferencer::Equals(Encode(report),
                                         Parse<v1::GetStatusResponse>(R"(
          worker_id: "w-1"
          layers { layer: "m" expert_ids: [1, 3] step: 5 parameter_bytes: 4096 }
          kept_activation_bytes: 10 max_kept_activation_bytes: 20)")));
}

TEST(ExpertCodecTest, RefusesRoutesOfDifferentLengths) {
  EXPECT_THAT(Decode(Parse<v1::ExpertForwardRequest>(
                  "route_tokens: [0, 1] route_experts: [0] "
                  "route_weights: [1, 1, 1]")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "route_tokens, route_experts, route_weights: got 2, 1, "
                       "3 entries, expected as many of each"));
}

TEST(ExpertCodecTest, RefusesRangesThatCouldOverflow) {
  v1::ReadExpertsRequest message;
  v1::ParameterRange& range = *message.add_ranges();
  range.set_num_elements(std::numeric_limits<int64_t>::max());
  EXPECT_THAT(Decode(message),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "ranges[0].num_elements: got 9223372036854775807, "
                       "expected 0 to 2^40"));
  range.set_num_elements(1);
  range.set_offset(-1);
  EXPECT_THAT(Decode(message),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "ranges[0].offset: got -1, expected 0 to 2^40"));
}

TEST(ExpertCodecTest, NamesTheTensorThatIsWrong) {
  EXPECT_THAT(Decode(v1::ExpertBackwardRequest()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "grad_y.dtype: got DTYPE_UNSPECIFIED, expected "
                       "DTYPE_FLOAT32 or DTYPE_BFLOAT16"));
}

}  // namespace
}  // namespace switchyard::wire
