#include "expert_worker/compute/cpu/dot_product.h"

#include <gtest/gtest.h>

#include <cmath>

#include "expert_worker/testing/random_tensor.h"

namespace switchyard {
namespace {

TEST(DotProductTest, MatchesANaiveSumForEveryRestOfEight) {
  const Tensor a = testing::RandomTensor({64}, 1);
  const Tensor b = testing::RandomTensor({64}, 2);
  double expected = 0;
  for (int64_t n = 0; n < 64; ++n) {
    EXPECT_NEAR(DotProduct(a.data(), b.data(), n), expected, 1e-14) << n;
    expected += double{a.data()[n]} * double{b.data()[n]};
  }
}

TEST(DotProductTest, DoesNotOverflowWhereFloatWould) {
  const float a[] = {3e38f, 3e38f};
  EXPECT_DOUBLE_EQ(DotProduct(a, a, 2), 2 * double{3e38f} * double{3e38f});
}

TEST(DotProductTest, ShowsWhatIsNotFinite) {
  const float a[] = {1.0f, NAN};
  const float b[] = {1.0f, 0.0f};
  EXPECT_TRUE(std::isnan(DotProduct(a, b, 2)));
}

}  // namespace
}  // namespace switchyard
