#include "common/tensor/tensor.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::HasSubstr;

TEST(NumElementsTest, MultipliesExtentsAndTreatsNoneAsScalar) {
  ASSERT_OK_AND_ASSIGN(const int64_t matrix, NumElements({3, 4}, "x"));
  EXPECT_EQ(matrix, 12);
  ASSERT_OK_AND_ASSIGN(const int64_t scalar, NumElements({}, "x"));
  EXPECT_EQ(scalar, 1);
  ASSERT_OK_AND_ASSIGN(const int64_t empty, NumElements({0, 7}, "x"));
  EXPECT_EQ(empty, 0);
}

TEST(NumElementsTest, RefusesNegativeAndOverflowingShapes) {
  EXPECT_THAT(NumElements({2, -1}, "x"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("x.shape: got [2, -1]")));
  const int64_t big = std::numeric_limits<int64_t>::max();
  EXPECT_THAT(
      NumElements({big, big}, "x"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 2^40")));
}

TEST(TensorTest, ReadsAsMatrixOverItsLastExtent) {
  const std::vector<float> values = {0, 1, 2, 3, 4, 5, 6, 7};
  const Tensor tensor = Tensor::FromSpan({2, 2, 2}, values);
  EXPECT_EQ(tensor.rows(), 4);
  EXPECT_EQ(tensor.cols(), 2);
  EXPECT_EQ(tensor.row(3)[1], 7);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data()) % 64, 0u);
}

TEST(TensorTest, EmptyTensorHasNoRows) {
  EXPECT_EQ(Tensor().rows(), 0);
  EXPECT_EQ(Tensor::Zeros({0, 5}).rows(), 0);
  EXPECT_EQ(Tensor::Zeros({5, 0}).rows(), 0);
}

TEST(FirstNonFiniteTest, FindsNanAndInfinity) {
  EXPECT_EQ(FirstNonFinite(std::vector<float>{0, 1, -3e38f}), -1);
  EXPECT_EQ(FirstNonFinite(std::vector<float>{0, std::nanf(""), 1}), 1);
  EXPECT_EQ(FirstNonFinite(std::vector<float>{0, 1, -INFINITY}), 2);
}

}  // namespace
}  // namespace switchyard
