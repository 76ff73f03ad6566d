#include "gateway/routing/gate_kernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <hwy/targets.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "gateway/routing/routing_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::ElementsAre;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Runs the body once with each instruction set that this machine has.
template <typename Body>
void OnEachTarget(Body body) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    SCOPED_TRACE(hwy::TargetName(target));
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

std::vector<float> Padded(std::vector<float> keys) {
  const size_t block = static_cast<size_t>(kKeyBlock);
  keys.resize((keys.size() + block - 1) / block * block, -kInfinity);
  return keys;
}

TEST(SoftmaxRow, IsWithinThreeUlpOnEveryInstructionSetAndSize) {
  OnEachTarget([] {
    for (int64_t size = 1; size <= 70; ++size) {
      const Tensor logits = RandomNormal({size}, static_cast<uint64_t>(size));
      std::vector<float> out(static_cast<size_t>(size) + 1, 7.0f);
      ASSERT_TRUE(SoftmaxRow(logits.data(), size, out.data()));
      const float max =
          *std::max_element(logits.values().begin(), logits.values().end());
      double sum = 0;
      for (const float l : logits.values()) sum += std::exp(double{l - max});
      for (int64_t e = 0; e < size; ++e) {
        const double expected = std::exp(double{logits.data()[e] - max}) / sum;
        EXPECT_NEAR(out[static_cast<size_t>(e)], expected,
                    expected * 3 * 1.2e-7);
      }
      EXPECT_EQ(out.back(), 7.0f);
    }
  });
}

TEST(SoftmaxRow, GivesEqualLogitsEqualScoresAndFarOnesNone) {
  OnEachTarget([] {
    std::vector<float> logits(37, 1.0f);
    logits[5] = -3e38f;
    std::vector<float> out(logits.size());
    ASSERT_TRUE(SoftmaxRow(logits.data(), 37, out.data()));
    for (size_t e = 0; e < out.size(); ++e) {
      EXPECT_EQ(out[e], e == 5 ? 0.0f : out[0]);
    }
  });
}

TEST(SoftmaxRow, RefusesALogitThatIsNotFiniteWhereverItIs) {
  OnEachTarget([] {
    for (const float bad : {kInfinity, -kInfinity, std::nanf("")}) {
      for (size_t at = 0; at < 37; ++at) {
        std::vector<float> logits(37, 1.0f);
        logits[at] = bad;
        std::vector<float> out(logits.size());
        EXPECT_FALSE(SoftmaxRow(logits.data(), 37, out.data())) << at;
      }
    }
  });
}

TEST(TakeLargest, AgreesWithASortOnEveryInstructionSetAndSize) {
  OnEachTarget([] {
    for (int32_t size = 3; size <= 70; ++size) {
      const Tensor random = RandomNormal({size}, static_cast<uint64_t>(size));
      std::vector<float> keys;
      // Coarse, so that there are ties.
      for (const float v : random.values()) keys.push_back(std::round(2 * v));
      std::vector<int32_t> sorted(keys.size());
      std::iota(sorted.begin(), sorted.end(), 0);
      std::stable_sort(
          sorted.begin(), sorted.end(), [&keys](int32_t a, int32_t b) {
            return keys[static_cast<size_t>(a)] > keys[static_cast<size_t>(b)];
          });
      const int32_t k = std::min(size, 16);
      sorted.resize(static_cast<size_t>(k));
      std::vector<float> padded = Padded(keys);
      std::vector<int32_t> ids(static_cast<size_t>(k));
      ASSERT_TRUE(TakeLargest(padded.data(), size, k, ids.data()));
      EXPECT_EQ(ids, sorted) << size;
    }
  });
}

TEST(TakeLargest, RefusesToTakeMaskedKeys) {
  OnEachTarget([] {
    std::vector<float> keys = Padded({-kInfinity, 1, 2, -kInfinity});
    std::vector<int32_t> ids(3);
    EXPECT_FALSE(TakeLargest(keys.data(), 4, 3, ids.data()));
    keys = Padded({-kInfinity, 1, 2, -kInfinity});
    ids.resize(2);
    EXPECT_TRUE(TakeLargest(keys.data(), 4, 2, ids.data()));
    EXPECT_THAT(ids, ElementsAre(2, 1));
  });
}

}  // namespace
}  // namespace switchyard::testing
