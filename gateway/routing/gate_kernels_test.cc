#include "gateway/routing/gate_kernels.h"

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

// [num_experts, kTokenBlock], coarse, so that there are ties; a third is -inf.
Tensor CoarseKeys(int64_t num_experts) {
  Tensor keys = RandomNormal({num_experts, kTokenBlock},
                             static_cast<uint64_t>(num_experts));
  for (float& key : keys.values()) {
    key = key < -0.5f ? -kInfinity : std::round(2 * key);
  }
  return keys;
}

// A stable sort's first k; -1 from where only -inf is left.
std::vector<int32_t> SortedIds(const Tensor& keys, int64_t token, size_t k) {
  std::vector<int32_t> ids(static_cast<size_t>(keys.rows()));
  std::iota(ids.begin(), ids.end(), 0);
  const auto key_of = [&keys, token](int32_t e) { return keys.row(e)[token]; };
  std::stable_sort(ids.begin(), ids.end(), [&key_of](int32_t a, int32_t b) {
    return key_of(a) > key_of(b);
  });
  ids.resize(k);
  for (int32_t& id : ids) {
    if (key_of(id) == -kInfinity) id = -1;
  }
  return ids;
}

TEST(TakeLargest, AgreesWithASortOnEveryInstructionSetAndSize) {
  OnEachTarget([] {
    for (const int32_t num_experts : {1, 3, 16, 37, 64}) {
      const Tensor keys = CoarseKeys(num_experts);
      for (int32_t k = 1; k <= std::min(num_experts, kMostTaken); ++k) {
        std::vector<int32_t> ids(static_cast<size_t>(kTokenBlock * k));
        TakeLargest(keys.data(), num_experts, k, ids.data());
        for (int64_t token = 0; token < kTokenBlock; ++token) {
          const auto own = ids.begin() + token * k;
          EXPECT_EQ(std::vector<int32_t>(own, own + k),
                    SortedIds(keys, token, static_cast<size_t>(k)));
        }
      }
    }
  });
}

TEST(LoadThresholds, HasNoneToBeatWhereAllExpertsAreChosen) {
  const float logits[] = {1, 3, 2};
  LoadThresholds thresholds(3, /*k=*/3);
  thresholds.SetToken(logits);
  for (int64_t e = 0; e < 3; ++e) EXPECT_EQ(thresholds.Of(e).expert, -1);
}

}  // namespace
}  // namespace switchyard::testing
