#include "examples/image_classifier/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace switchyard::image_classifier {
namespace {

TEST(LearningRateTest, StaysForHalfOfTheStepsAndThenFallsToZero) {
  EXPECT_DOUBLE_EQ(LearningRateAt(0.1, 0), 0.1);
  EXPECT_DOUBLE_EQ(LearningRateAt(0.1, 0.5), 0.1);
  EXPECT_DOUBLE_EQ(LearningRateAt(0.1, 0.75), 0.05);
  EXPECT_DOUBLE_EQ(LearningRateAt(0.1, 1), 0);
}

}  // namespace
}  // namespace switchyard::image_classifier
