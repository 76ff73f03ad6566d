#include "common/model/initialization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace switchyard {
namespace {

using ::testing::ElementsAreArray;
using ::testing::Not;

ParameterSpec Weight(const char* name) {
  return {.name = name, .shape = {100, 64}, .fan_in = 64};
}

TEST(InitializationTest, IsUniformWithTheBoundOfTorchLinear) {
  const Tensor value = InitialParameter(Weight("experts.0.weight"), 7);
  double sum = 0;
  double sum_of_squares = 0;
  for (const float v : value.values()) {
    ASSERT_LT(std::fabs(v), 0.125f);
    sum += v;
    sum_of_squares += double{v} * v;
  }
  const double n = static_cast<double>(value.num_elements());
  const double variance = 0.125 * 0.125 / 3;
  // Five standard errors.
  EXPECT_NEAR(sum / n, 0, 5 * std::sqrt(variance / n));
  EXPECT_NEAR(sum_of_squares / n, variance, 5 * variance * std::sqrt(0.8 / n));
}

TEST(InitializationTest, DependsOnNameAndSeedAlone) {
  const Tensor value = InitialParameter(Weight("experts.0.weight"), 7);
  EXPECT_THAT(InitialParameter(Weight("experts.0.weight"), 7).values(),
              ElementsAreArray(value.values()));
  EXPECT_THAT(InitialParameter(Weight("experts.1.weight"), 7).values(),
              Not(ElementsAreArray(value.values())));
  EXPECT_THAT(InitialParameter(Weight("experts.0.weight"), 8).values(),
              Not(ElementsAreArray(value.values())));
}

}  // namespace
}  // namespace switchyard
