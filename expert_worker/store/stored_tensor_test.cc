#include "expert_worker/store/stored_tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace switchyard {
namespace {

using ::testing::ElementsAre;

StoredTensor Make(const Shape& shape, DType dtype,
                  absl::Span<const float> values) {
  StoredTensor tensor(shape, dtype);
  tensor.Write(0, values);
  return tensor;
}

std::vector<float> ReadAll(const StoredTensor& tensor) {
  std::vector<float> values(
      static_cast<size_t>(tensor.layout().num_elements()));
  tensor.Read(0, absl::MakeSpan(values));
  return values;
}

TEST(StoredTensorTest, AMatrixTakesTheMemoryOfItsPanels) {
  // 40 outputs are two panels of 32.
  const Shape shape = {40, 3};
  EXPECT_EQ(StoredTensor(shape, DType::kFloat32).size_bytes(), 64 * 3 * 4);
  EXPECT_EQ(StoredTensor(shape, DType::kBFloat16).size_bytes(), 64 * 3 * 2);
  // And a scale for each output.
  EXPECT_EQ(StoredTensor(shape, DType::kInt8).size_bytes(), 64 * 3 + 40 * 4);
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kInt8}) {
    EXPECT_EQ(StoredTensor::SizeBytes(shape, dtype),
              StoredTensor(shape, dtype).size_bytes());
  }
}

TEST(StoredTensorTest, RoundsWhatGoesInAndGivesItBackExactly) {
  const float third = 1.0f / 3.0f;
  for (const Shape& shape : {Shape{2}, Shape{2, 1}, Shape{1, 2}}) {
    EXPECT_THAT(ReadAll(Make(shape, DType::kBFloat16, {third, 1.5f})),
                ElementsAre(0.333984375f, 1.5f));
    EXPECT_THAT(ReadAll(Make(shape, DType::kFloat16, {third, 1.5f})),
                ElementsAre(0.333251953125f, 1.5f));
    EXPECT_THAT(ReadAll(Make(shape, DType::kFloat32, {third, 1.5f})),
                ElementsAre(third, 1.5f));
  }
}

// Any range, whatever rows and pieces it begins and ends in.
TEST(StoredTensorTest, ReadsAndWritesAnyRange) {
  for (const Shape& shape : {Shape{700}, Shape{70, 9}, Shape{2, 600}}) {
    StoredTensor tensor(shape, DType::kFloat32);
    const int64_t num_elements = tensor.layout().num_elements();
    std::vector<float> expected(static_cast<size_t>(num_elements));
    for (int64_t begin = 0; begin < num_elements; begin += 37) {
      const int64_t n = std::min<int64_t>(37, num_elements - begin);
      std::vector<float> piece(static_cast<size_t>(n));
      for (int64_t i = 0; i < n; ++i) {
        piece[static_cast<size_t>(i)] = static_cast<float>(begin + i + 1);
      }
      tensor.Write(begin, piece);
      std::copy(piece.begin(), piece.end(), expected.begin() + begin);
    }
    EXPECT_EQ(ReadAll(tensor), expected);
    std::vector<float> part(static_cast<size_t>(num_elements - 301));
    tensor.Read(300, absl::MakeSpan(part));
    EXPECT_EQ(part,
              std::vector<float>(expected.begin() + 300, expected.end() - 1));
  }
}

TEST(StoredTensorTest, WhatFillsUpThePanelsStaysZero) {
  StoredTensor tensor =
      Make({33, 2}, DType::kFloat32, std::vector<float>(66, 1.0f));
  float sum = 0;
  for (const float value : tensor.floats().values()) sum += value;
  EXPECT_EQ(sum, 66.0f);
}

TEST(StoredTensorTest, Int8IsWithin1Over254OfTheRowsLargest) {
  const std::vector<float> values = {1.0f, -0.5f, 0.3f,  0.0f, 0.0f,
                                     0.0f, 1e-3f, -2e3f, 17.0f};
  const StoredTensor tensor = Make({3, 3}, DType::kInt8, values);
  const std::vector<float> got = ReadAll(tensor);
  const float largest[] = {1.0f, 0.0f, 2e3f};
  for (size_t i = 0; i < 9; ++i) {
    EXPECT_NEAR(got[i], values[i], largest[i / 3] * (1.0f / 254 + 1e-6f)) << i;
  }
  EXPECT_FLOAT_EQ(got[7], -2e3f);
}

}  // namespace
}  // namespace switchyard
