// The bridge between autograd and a gateway, against the same layer computed by
// torch itself.
#include "examples/image_classifier/remote_moe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/functional/linear.h>
#include <torch/utils.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"
#include "examples/image_classifier/remote_layer.h"
#include "tests/testing/remote_layer_api.h"

namespace switchyard::image_classifier {
namespace {

using ::switchyard::testing::LoopbackCluster;
using ::switchyard::testing::StatusIs;
using ::testing::HasSubstr;

constexpr int64_t kNumTokens = 12;
constexpr int64_t kWidth = 6;
constexpr int32_t kNumExperts = 3;

LayerSpec DroplessTop1() {
  LayerSpec spec;
  spec.name = "layer";
  spec.hidden_size = kWidth;
  spec.num_experts = kNumExperts;
  spec.expert = LinearExpertSpec();
  spec.capacity.drop_tokens = false;
  spec.optimizer = SgdSpec();
  spec.seed = 7;
  return spec;
}

// The layer's parameters, as torch tensors that want gradients.
struct LocalLayer {
  // [num_experts, width].
  torch::Tensor gate;
  std::vector<torch::Tensor> weights;
  std::vector<torch::Tensor> biases;

  explicit LocalLayer(GatewayClient& client)
      : gate(Read(client, "gate.weight", {kNumExperts, kWidth})) {
    for (int32_t e = 0; e < kNumExperts; ++e) {
      const std::string expert = absl::StrCat("experts.", e);
      weights.push_back(Read(client, expert + ".weight", {kWidth, kWidth}));
      biases.push_back(Read(client, expert + ".bias", {kWidth}));
    }
  }

  static torch::Tensor Read(GatewayClient& client, const std::string& name,
                            at::IntArrayRef shape) {
    ReadParametersRequest request;
    request.layer = "layer";
    request.names = {name};
    const auto slices = client.ReadAllParameters(request);
    EXPECT_OK(slices);
    return torch::tensor(slices->at(0).values).view(shape).requires_grad_();
  }

  // Top-1: y = p_e (W_e x + b_e); auxiliary loss
  // num_experts * sum_e mean(p_e) * mean(token is routed to e).
  RemoteMoeImpl::Output Forward(const torch::Tensor& x) const {
    const torch::Tensor p = torch::softmax(x.matmul(gate.t()), 1);
    const torch::Tensor expert = p.argmax(1);
    std::vector<torch::Tensor> rows;
    std::vector<torch::Tensor> losses;
    for (int64_t e = 0; e < kNumExperts; ++e) {
      const size_t idx = static_cast<size_t>(e);
      const torch::Tensor routed = (expert == e).to(torch::kFloat32);
      rows.push_back(
          torch::nn::functional::linear(x, weights[idx], biases[idx]) *
          (p.select(1, e) * routed).unsqueeze(1));
      losses.push_back(kNumExperts * p.select(1, e).mean() * routed.mean());
    }
    return {torch::stack(rows).sum(0), torch::stack(losses).sum()};
  }
};

// Any loss that weighs every element of y differently, and the auxiliary loss.
torch::Tensor Loss(const RemoteMoeImpl::Output& output) {
  const torch::Tensor factors =
      torch::arange(output.y.numel(), torch::kFloat32).view_as(output.y);
  return (output.y * factors).sum() + 5 * output.aux_loss;
}

::testing::AssertionResult Near(const torch::Tensor& got,
                                const torch::Tensor& expected) {
  if (torch::allclose(got, expected, /*rtol=*/1e-4, /*atol=*/1e-4)) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure()
         << "largest difference " << (got - expected).abs().max().item<float>();
}

class RemoteMoeTest : public ::testing::Test {
 protected:
  RemoteMoeTest() {
    torch::manual_seed(3);
    torch::set_num_threads(1);
    auto layer =
        RemoteLayer::Create(cluster_.client(), DroplessTop1(), "-other");
    EXPECT_OK(layer);
    layer_ = *std::move(layer);
    x_ = torch::randn({kNumTokens, kWidth});
  }

  LoopbackCluster cluster_{/*num_workers=*/2};
  std::unique_ptr<RemoteLayer> layer_;
  torch::Tensor x_;
};

TEST_F(RemoteMoeTest, ForwardAndBackwardAreThoseOfTheSameLayerInTorch) {
  const LocalLayer local(cluster_.client());
  const torch::Tensor local_x = x_.clone().requires_grad_();
  const RemoteMoeImpl::Output expected = local.Forward(local_x);
  Loss(expected).backward();

  RemoteMoe moe(*layer_);
  const torch::Tensor remote_x = x_.clone().requires_grad_();
  const RemoteMoeImpl::Output got = moe->forward(remote_x);
  Loss(got).backward();

  ASSERT_OK(moe->status());
  EXPECT_TRUE(Near(got.y, expected.y));
  EXPECT_TRUE(Near(got.aux_loss, expected.aux_loss));
  EXPECT_TRUE(Near(remote_x.grad(), local_x.grad()));
}

TEST_F(RemoteMoeTest, StepDescendsAlongTheGradientsOfGateAndExperts) {
  const LocalLayer before(cluster_.client());
  Loss(before.Forward(x_)).backward();

  constexpr float kLearningRate = 0.01f;
  RemoteMoe moe(*layer_);
  Loss(moe->forward(x_.clone().requires_grad_())).backward();
  ASSERT_OK(moe->Step(kLearningRate));

  const LocalLayer after(cluster_.client());
  const torch::NoGradGuard no_grad;
  EXPECT_TRUE(
      Near(after.gate, before.gate - kLearningRate * before.gate.grad()));
  for (size_t e = 0; e < kNumExperts; ++e) {
    const torch::Tensor& weight = before.weights[e];
    // An expert that got no token has no gradient.
    if (!weight.grad().defined()) continue;
    EXPECT_TRUE(Near(after.weights[e], weight - kLearningRate * weight.grad()));
  }
}

TEST_F(RemoteMoeTest, EvaluationLeavesNothingOpenAndNoRecord) {
  RemoteMoe moe(*layer_);
  moe->eval();
  const torch::NoGradGuard no_grad;
  EXPECT_TRUE(
      Near(moe->forward(x_).y, LocalLayer(cluster_.client()).Forward(x_).y));
  ASSERT_OK_AND_ASSIGN(const LayerStatus status,
                       cluster_.client().GetLayer("layer"));
  EXPECT_EQ(status.num_open_microbatches, 0);
  EXPECT_EQ(moe->record().call_times.forward.num_calls, 0);
}

TEST_F(RemoteMoeTest, RecordsCallsAndRoutesOfTraining) {
  RemoteMoe moe(*layer_);
  for (int i = 0; i < 2; ++i) {
    Loss(moe->forward(x_.clone().requires_grad_())).backward();
    ASSERT_OK(moe->Step(0.1f));
  }
  const MoeRecord& record = moe->record();
  EXPECT_EQ(record.num_routes, 2 * kNumTokens);
  EXPECT_EQ(record.num_dropped_routes, 0);
  EXPECT_THAT(record.expert_tokens, ::testing::SizeIs(kNumExperts));
  for (const CallTimes* calls :
       {&record.call_times.forward, &record.call_times.backward,
        &record.call_times.step}) {
    EXPECT_EQ(calls->num_calls, 2);
  }
}

TEST_F(RemoteMoeTest, AFailedCallIsNamedAndEndsTheOthers) {
  RemoteMoe moe(*layer_);
  const torch::Tensor x = x_.clone().requires_grad_();
  const RemoteMoeImpl::Output output = moe->forward(x);
  ASSERT_OK(cluster_.client().DeleteLayer("layer"));
  Loss(output).backward();
  EXPECT_THAT(moe->status(), StatusIs(absl::StatusCode::kNotFound,
                                      HasSubstr("Backward of layer layer: ")));
  EXPECT_TRUE(Near(x.grad(), torch::zeros_like(x)));
  EXPECT_TRUE(Near(moe->forward(x_).y, torch::zeros_like(x_)));
  EXPECT_THAT(moe->Step(0.1f),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Backward")));
}

TEST_F(RemoteMoeTest, ALayerWhoseNameIsTakenGetsTheSpareOne) {
  ASSERT_OK_AND_ASSIGN(
      auto other,
      RemoteLayer::Create(cluster_.client(), DroplessTop1(), "-other"));
  EXPECT_OK(cluster_.client().GetLayer("layer-other"));
  other.reset();
  EXPECT_THAT(cluster_.client().GetLayer("layer-other"),
              StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EXPECT_OK(cluster_.client().GetLayer("layer"));
}

}  // namespace
}  // namespace switchyard::image_classifier
