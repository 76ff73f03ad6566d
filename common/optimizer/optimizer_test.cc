#include "common/optimizer/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <string>
#include <variant>
#include <vector>

namespace switchyard {
namespace {

using ::testing::ElementsAreArray;

constexpr int64_t kNumElements = 37;
constexpr int kNumSteps = 200;

// torch.optim's single-tensor loops in float64, one element at a time.
class Reference {
 public:
  explicit Reference(OptimizerSpec spec) : spec_(spec) {}

  double Update(double learning_rate, double gradient, double value) {
    ++step_;
    if (const auto* sgd = std::get_if<SgdSpec>(&spec_)) {
      gradient += double{sgd->weight_decay} * value;
      // torch starts the buffer with the first gradient.
      first_ = step_ == 1 ? gradient : sgd->momentum * first_ + gradient;
      return value - learning_rate * first_;
    }
    const auto& adam = std::get<AdamSpec>(spec_);
    if (adam.decoupled) {
      value *= 1 - learning_rate * adam.weight_decay;
    } else {
      gradient += double{adam.weight_decay} * value;
    }
    first_ = adam.beta1 * first_ + (1 - double{adam.beta1}) * gradient;
    second_ =
        adam.beta2 * second_ + (1 - double{adam.beta2}) * gradient * gradient;
    const double correction1 = 1 - std::pow(double{adam.beta1}, step_);
    const double correction2 = 1 - std::pow(double{adam.beta2}, step_);
    return value -
           learning_rate / correction1 * first_ /
               (std::sqrt(second_) / std::sqrt(correction2) + adam.epsilon);
  }

 private:
  const OptimizerSpec spec_;
  int step_ = 0;
  double first_ = 0;
  double second_ = 0;
};

// Gradients of very different sizes, one of them always zero.
float Gradient(int step, int64_t i) {
  const double phase = 0.7 * step + 1.3 * static_cast<double>(i);
  const double scale = std::pow(10.0, static_cast<double>(i % 7) - 4);
  return i == 3 ? 0.0f : static_cast<float>(scale * std::sin(phase));
}

struct Case {
  std::string name;
  OptimizerSpec spec;
  float learning_rate;
};

class OptimizerTest : public ::testing::TestWithParam<Case> {
 protected:
  OptimizerTest()
      : value_(Tensor::Uninitialized({kNumElements})),
        state_(MakeOptimizerState(GetParam().spec, {kNumElements})) {
    for (int64_t i = 0; i < kNumElements; ++i) {
      value_.data()[i] = static_cast<float>(std::cos(static_cast<double>(i)));
    }
  }

  void Step(int step, float learning_rate) {
    Tensor gradient = Tensor::Uninitialized({kNumElements});
    for (int64_t i = 0; i < kNumElements; ++i) {
      gradient.data()[i] = Gradient(step, i);
    }
    ApplyUpdate(GetParam().spec, learning_rate, step, gradient, value_, state_);
  }

  Tensor value_;
  OptimizerState state_;
};

TEST_P(OptimizerTest, FollowsTorchInFloat64OverManySteps) {
  std::vector<Reference> references(kNumElements, Reference(GetParam().spec));
  std::vector<double> expected(value_.values().begin(), value_.values().end());
  for (int step = 1; step <= kNumSteps; ++step) {
    // The learning rate may change between steps.
    const float learning_rate =
        GetParam().learning_rate / (1.0f + 0.01f * static_cast<float>(step));
    Step(step, learning_rate);
    for (int64_t i = 0; i < kNumElements; ++i) {
      double& reference = expected[static_cast<size_t>(i)];
      reference = references[static_cast<size_t>(i)].Update(
          learning_rate, Gradient(step, i), reference);
      // A rounding or two of the value a step.
      const double tolerance = 2e-7 * step * (1 + std::fabs(reference));
      ASSERT_NEAR(value_.data()[i], reference, tolerance)
          << "step " << step << ", element " << i;
    }
  }
}

TEST_P(OptimizerTest, LearningRateZeroLeavesTheValues) {
  const Tensor before = value_.Clone();
  Step(1, 0.0f);
  EXPECT_THAT(value_.values(), ElementsAreArray(before.values()));
}

TEST_P(OptimizerTest, IsTheSameBitForBitEveryTime) {
  Tensor other_value = value_.Clone();
  OptimizerState other_state =
      MakeOptimizerState(GetParam().spec, {kNumElements});
  for (int step = 1; step <= 3; ++step) {
    Step(step, 0.1f);
    std::swap(value_, other_value);
    std::swap(state_, other_state);
    Step(step, 0.1f);
    std::swap(value_, other_value);
    std::swap(state_, other_state);
  }
  EXPECT_THAT(value_.values(), ElementsAreArray(other_value.values()));
}

INSTANTIATE_TEST_SUITE_P(
    Optimizers, OptimizerTest,
    ::testing::Values(
        Case{"Sgd", SgdSpec{}, 1e-2f},
        Case{"SgdWithDecay", SgdSpec{.weight_decay = 0.1f}, 1e-2f},
        Case{"SgdWithMomentum",
             SgdSpec{.momentum = 0.9f, .weight_decay = 0.01f}, 1e-3f},
        Case{"Adam", AdamSpec{}, 1e-3f},
        Case{"AdamWithDecay", AdamSpec{.weight_decay = 0.1f}, 1e-3f},
        Case{"AdamWithOtherBetas",
             AdamSpec{.beta1 = 0.5f, .beta2 = 0.9f, .epsilon = 1e-3f}, 1e-2f},
        Case{"AdamW", AdamSpec{.weight_decay = 0.1f, .decoupled = true},
             1e-3f}),
    [](const auto& instance) { return instance.param.name; });

TEST(OptimizerStateTest, HoldsOnlyWhatTheOptimizerNeeds) {
  const Shape shape = {3, 5};
  EXPECT_EQ(MakeOptimizerState(SgdSpec{}, shape).size_bytes(), 0);
  EXPECT_EQ(MakeOptimizerState(SgdSpec{.momentum = 0.5f}, shape).size_bytes(),
            60);
  EXPECT_EQ(MakeOptimizerState(AdamSpec{}, shape).size_bytes(), 120);
}

TEST(AdamTest, FirstStepIsTheLearningRateInTheDirectionOfTheGradient) {
  Tensor value = Tensor::FromSpan({3}, {1, 1, 1});
  OptimizerState state = MakeOptimizerState(AdamSpec{}, {3});
  ApplyUpdate(AdamSpec{}, 0.125f, 1, Tensor::FromSpan({3}, {5, -0.01f, 0}),
              value, state);
  EXPECT_NEAR(value.data()[0], 0.875f, 1e-6f);
  EXPECT_NEAR(value.data()[1], 1.125f, 1e-6f);
  EXPECT_EQ(value.data()[2], 1.0f);
}

TEST(AdamTest, DecoupledDecayIgnoresTheGradientsScale) {
  const AdamSpec adamw = {.weight_decay = 0.5f, .decoupled = true};
  Tensor value = Tensor::FromSpan({1}, {8});
  OptimizerState state = MakeOptimizerState(adamw, {1});
  ApplyUpdate(adamw, 0.5f, 1, Tensor::FromSpan({1}, {0}), value, state);
  EXPECT_FLOAT_EQ(value.data()[0], 6.0f);  // 8 * (1 - 0.5 * 0.5).
}

}  // namespace
}  // namespace switchyard
