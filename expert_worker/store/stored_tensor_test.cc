#include "expert_worker/store/stored_tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace switchyard {
namespace {

using ::testing::ElementsAre;

TEST(StoredTensorTest, TakesNoMoreMemoryThanItsDType) {
  EXPECT_EQ(StoredTensor(Tensor::Zeros({3, 4}), DType::kFloat32).size_bytes(),
            48);
  EXPECT_EQ(StoredTensor(Tensor::Zeros({3, 4}), DType::kBFloat16).size_bytes(),
            24);
}

TEST(StoredTensorTest, RoundsWhatGoesInAndGivesItBackExactly) {
  const float third = 1.0f / 3.0f;
  StoredTensor bfloat16(Tensor::FromSpan({2}, {third, 1.5f}), DType::kBFloat16);
  std::vector<float> values(2);
  bfloat16.Read(0, absl::MakeSpan(values));
  EXPECT_THAT(values, ElementsAre(0.333984375f, 1.5f));
  StoredTensor float16(Tensor::Zeros({2}), DType::kFloat16);
  float16.Write(1, std::vector<float>{third});
  float16.Read(0, absl::MakeSpan(values));
  EXPECT_THAT(values, ElementsAre(0.0f, 0.333251953125f));
}

TEST(StoredTensorTest, WidensToScratchUnlessItIsFloat32) {
  StoredTensor narrow(Tensor::FromSpan({2, 2}, {1, 2, 3, 4}), DType::kFloat16);
  std::vector<float> scratch(4);
  const ConstMatrix widened = narrow.Widened(absl::MakeSpan(scratch));
  EXPECT_EQ(widened.data, scratch.data());
  EXPECT_EQ(widened.num_rows, 2);
  EXPECT_EQ(widened.row(1)[1], 4.0f);
  StoredTensor wide(Tensor::FromSpan({2, 2}, {1, 2, 3, 4}), DType::kFloat32);
  EXPECT_EQ(wide.Widened({}).data, wide.floats().data());
}

}  // namespace
}  // namespace switchyard
