#include "common/optimizer/adam_kernel.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <vector>

namespace switchyard {
namespace {

class AdamKernelTest : public ::testing::TestWithParam<int64_t> {
 protected:
  AdamKernelTest() { Use(GetParam()); }
  ~AdamKernelTest() override { Use(0); }

  // 0: all.
  static void Use(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

TEST_P(AdamKernelTest, GivesTheBitsOfTheFormulaInFloats) {
  const AdamCoefficients c = {.beta1 = 0.9f,
                              .beta2 = 0.999f,
                              .epsilon = 1e-8f,
                              .l2_decay = 0.01f,
                              .shrink = 0.99f,
                              .step_size = 0.003f,
                              .root_correction2 = 0.2f};
  // Does not fill the last vector.
  constexpr int kSize = 41;
  std::vector<float> g(kSize), p(kSize), m(kSize), s(kSize);
  for (int i = 0; i < kSize; ++i) {
    const auto idx = static_cast<size_t>(i);
    g[idx] = std::sin(static_cast<float>(i));
    p[idx] = std::cos(static_cast<float>(3 * i));
    m[idx] = 0.1f * static_cast<float>(i % 7) - 0.3f;
    s[idx] = 0.01f * static_cast<float>(i % 5);
  }
  std::vector<float> got_p = p;
  std::vector<float> got_m = m;
  std::vector<float> got_s = s;
  ApplyAdam(c, kSize, g.data(), got_p.data(), got_m.data(), got_s.data());
  for (size_t i = 0; i < kSize; ++i) {
    const float gradient = g[i] + c.l2_decay * p[i];
    const float first = c.beta1 * m[i] + (1.0f - c.beta1) * gradient;
    const float second =
        c.beta2 * s[i] + (1.0f - c.beta2) * gradient * gradient;
    const float denominator =
        std::sqrt(second) / c.root_correction2 + c.epsilon;
    EXPECT_EQ(got_m[i], first) << i;
    EXPECT_EQ(got_s[i], second) << i;
    EXPECT_EQ(got_p[i], p[i] * c.shrink - c.step_size * first / denominator)
        << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Targets, AdamKernelTest,
    ::testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
    [](const auto& param_info) {
      return std::string(hwy::TargetName(param_info.param));
    });

}  // namespace
}  // namespace switchyard
