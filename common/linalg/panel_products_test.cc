#include "common/linalg/panel_products.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "common/linalg/panel_kernels.h"
#include "common/random/philox.h"
#include "common/tensor/float_formats.h"

namespace switchyard {
namespace {

struct Sizes {
  int64_t rows, inputs, outputs;
};

void PrintTo(const Sizes& sizes, std::ostream* os) {
  *os << "rows=" << sizes.rows << " inputs=" << sizes.inputs
      << " outputs=" << sizes.outputs;
}

Tensor RandomMatrix(int64_t rows, int64_t cols, uint32_t stream) {
  Tensor t = Tensor::Uninitialized({rows, cols});
  const PhiloxStream random(MakePhiloxKey(1, "panel_products_test"), stream, 0);
  for (int64_t i = 0; i < t.num_elements(); ++i) {
    t.data()[i] =
        ToOpenUnitInterval(random.Block(static_cast<uint64_t>(i))[0]) - 0.5f;
  }
  return t;
}

// A weight in panels of `dtype`, and what is stored, row-major in float32.
struct TestWeight {
  TestWeight(int64_t outputs, int64_t inputs, DType dtype)
      : values(RandomMatrix(outputs, inputs, 2)),
        panels(Tensor::Zeros({PanelElements(outputs, inputs)})),
        scales(static_cast<size_t>(outputs),
               dtype == DType::kInt8 ? 0x1p-8f : 1.0f),
        view{panels.data(), dtype, outputs, inputs, scales.data()} {
    for (int64_t i = 0; i < values.num_elements(); ++i) {
      float& value = values.data()[i];
      if (dtype == DType::kInt8) value *= 200;
      char* stored = reinterpret_cast<char*>(panels.data()) +
                     PanelIndex(i, inputs) * SizeOf(dtype);
      Narrow({&value, 1}, dtype, stored);
      Widen(stored, dtype, {&value, 1});
      value *= scales[static_cast<size_t>(i / inputs)];
    }
  }

  Tensor values;
  Tensor panels;
  std::vector<float> scales;
  PanelWeight view;
};

Tensor Scratch() { return Tensor::Uninitialized({kProductScratchFloats}); }

PanelRange AllPanels(int64_t size) { return {0, NumPanels(size)}; }

Tensor Forward(const Tensor& x, const TestWeight& weight) {
  Tensor scratch = Scratch();
  Tensor y = Tensor::Uninitialized({x.rows(), weight.view.num_outputs});
  MultiplyPanels(x, weight.view, AllPanels(weight.view.num_outputs),
                 /*accumulate=*/false, y.data(), scratch.data());
  return y;
}

Tensor Transposed(const Tensor& grad_y, const TestWeight& weight) {
  Tensor scratch = Scratch();
  Tensor grad_x =
      Tensor::Uninitialized({grad_y.rows(), weight.view.num_inputs});
  MultiplyTransposed(grad_y, weight.view, AllPanels(weight.view.num_inputs),
                     /*accumulate=*/false, grad_x.data(), scratch.data());
  return grad_x;
}

Tensor Gradient(const Tensor& grad_y, const Tensor& x) {
  Tensor scratch = Scratch();
  Tensor gradient = Tensor::Zeros({PanelElements(grad_y.cols(), x.cols())});
  std::fill(gradient.values().begin(), gradient.values().end(),
            std::numeric_limits<float>::quiet_NaN());
  WeightGradient(grad_y, x, AllPanels(grad_y.cols()), /*accumulate=*/false,
                 gradient.data(), scratch.data());
  return gradient;
}

void ExpectNear(const Tensor& got, int64_t num_terms,
                const std::function<double(int64_t, int64_t)>& expected) {
  for (int64_t i = 0; i < got.rows(); ++i) {
    for (int64_t j = 0; j < got.cols(); ++j) {
      ASSERT_NEAR(got.row(i)[j], expected(i, j),
                  2e-6 * (std::sqrt(static_cast<double>(num_terms)) + 1))
          << "at " << i << ", " << j;
    }
  }
}

void ExpectSameBits(const Tensor& got, const Tensor& expected) {
  ASSERT_EQ(got.shape(), expected.shape());
  EXPECT_EQ(std::memcmp(got.data(), expected.data(),
                        static_cast<size_t>(got.size_bytes())),
            0);
}

// Each test runs with every instruction set that this machine has.
class PanelProductsTest
    : public ::testing::TestWithParam<std::tuple<int64_t, Sizes>> {
 protected:
  PanelProductsTest() { Use(std::get<0>(GetParam())); }
  ~PanelProductsTest() override { Use(0); }

  // 0: all.
  static void Use(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }

  const Sizes sizes_ = std::get<1>(GetParam());
  const Tensor x_ = RandomMatrix(sizes_.rows, sizes_.inputs, 1);
  const Tensor grad_y_ = RandomMatrix(sizes_.rows, sizes_.outputs, 3);
};

TEST_P(PanelProductsTest, MultipliesByWeightsOfEveryDtype) {
  for (const DType dtype :
       {DType::kFloat32, DType::kBFloat16, DType::kFloat16, DType::kInt8}) {
    const TestWeight weight(sizes_.outputs, sizes_.inputs, dtype);
    ExpectNear(Forward(x_, weight), sizes_.inputs, [&](int64_t i, int64_t j) {
      double sum = 0;
      for (int64_t k = 0; k < sizes_.inputs; ++k) {
        sum += double{x_.row(i)[k]} * weight.values.row(j)[k];
      }
      return sum;
    });
  }
}

TEST_P(PanelProductsTest, MultipliesByTheTransposedWeight) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    const TestWeight weight(sizes_.outputs, sizes_.inputs, dtype);
    ExpectNear(Transposed(grad_y_, weight), sizes_.outputs,
               [&](int64_t i, int64_t k) {
                 double sum = 0;
                 for (int64_t j = 0; j < sizes_.outputs; ++j) {
                   sum += double{grad_y_.row(i)[j]} * weight.values.row(j)[k];
                 }
                 return sum;
               });
  }
}

TEST_P(PanelProductsTest, TheTransposedProductAddsWhereAsked) {
  const TestWeight weight(sizes_.outputs, sizes_.inputs, DType::kFloat32);
  const Tensor once = Transposed(grad_y_, weight);
  Tensor twice = once.Clone();
  Tensor scratch = Scratch();
  MultiplyTransposed(grad_y_, weight.view, AllPanels(sizes_.inputs),
                     /*accumulate=*/true, twice.data(), scratch.data());
  ExpectNear(twice, sizes_.outputs,
             [&](int64_t i, int64_t k) { return 2 * double{once.row(i)[k]}; });
}

TEST_P(PanelProductsTest, AddsTheWeightsGradient) {
  Tensor gradient = Gradient(grad_y_, x_);
  Tensor scratch = Scratch();
  WeightGradient(grad_y_, x_, AllPanels(sizes_.outputs), /*accumulate=*/true,
                 gradient.data(), scratch.data());
  Tensor row_major = Tensor::Zeros({sizes_.outputs, sizes_.inputs});
  double sum_of_all = 0;
  for (int64_t i = 0; i < row_major.num_elements(); ++i) {
    row_major.data()[i] = gradient.data()[PanelIndex(i, sizes_.inputs)];
    sum_of_all += std::abs(row_major.data()[i]);
  }
  ExpectNear(row_major, 2 * sizes_.rows, [&](int64_t j, int64_t k) {
    double sum = 0;
    for (int64_t i = 0; i < sizes_.rows; ++i) {
      sum += double{grad_y_.row(i)[j]} * x_.row(i)[k];
    }
    return 2 * sum;
  });
  // Nothing is in what fills up the last panel.
  for (const float value : gradient.values()) sum_of_all -= std::abs(value);
  EXPECT_NEAR(sum_of_all, 0, 1e-9);
}

TEST_P(PanelProductsTest, NoBitDependsOnTheRowsBesideOrOnTheCut) {
  const TestWeight weight(sizes_.outputs, sizes_.inputs, DType::kFloat32);
  const Tensor whole = Forward(x_, weight);
  const Tensor whole_transposed = Transposed(grad_y_, weight);
  Tensor scratch = Scratch();
  Tensor y = Tensor::Uninitialized(whole.shape());
  Tensor grad_x = Tensor::Uninitialized(x_.shape());
  Tensor gradient =
      Tensor::Zeros({PanelElements(sizes_.outputs, sizes_.inputs)});
  for (int64_t row = 0; row < sizes_.rows; ++row) {
    const ConstMatrix x_row(x_.row(row), 1, sizes_.inputs);
    const ConstMatrix grad_row(grad_y_.row(row), 1, sizes_.outputs);
    for (int64_t p = NumPanels(sizes_.outputs) - 1; p >= 0; --p) {
      MultiplyPanels(x_row, weight.view, {p, 1}, false, y.row(row),
                     scratch.data());
      WeightGradient(grad_row, x_row, {p, 1}, /*accumulate=*/true,
                     gradient.data(), scratch.data());
    }
    for (int64_t b = NumPanels(sizes_.inputs) - 1; b >= 0; --b) {
      MultiplyTransposed(grad_row, weight.view, {b, 1}, false, grad_x.row(row),
                         scratch.data());
    }
  }
  ExpectSameBits(y, whole);
  ExpectSameBits(grad_x, whole_transposed);
  ExpectSameBits(gradient, Gradient(grad_y_, x_));
}

// Those without it are compared with what is right, above.
TEST_P(PanelProductsTest, InstructionSetsWithFusedMultiplyAddAgreeToTheBit) {
  const int64_t target = std::get<0>(GetParam());
  // A rising number stands for an older set; AVX2 is the oldest with it.
  if (target > HWY_AVX2) return;
  for (const DType dtype :
       {DType::kFloat32, DType::kBFloat16, DType::kFloat16, DType::kInt8}) {
    const TestWeight weight(sizes_.outputs, sizes_.inputs, dtype);
    const Tensor y = Forward(x_, weight);
    Use(0);
    ExpectSameBits(y, Forward(x_, weight));
    Use(target);
  }
  const Tensor gradient = Gradient(grad_y_, x_);
  Use(0);
  ExpectSameBits(gradient, Gradient(grad_y_, x_));
}

INSTANTIATE_TEST_SUITE_P(
    Targets, PanelProductsTest,
    ::testing::Combine(::testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                       ::testing::Values(Sizes{1, 1, 1}, Sizes{1, 40, 32},
                                         Sizes{3, 17, 70}, Sizes{12, 64, 64},
                                         Sizes{13, 100, 33}, Sizes{25, 515, 31},
                                         Sizes{200, 33, 65},
                                         // More than a block in each direction.
                                         Sizes{530, 40, 34},
                                         Sizes{14, 1040, 545})),
    [](const auto& param_info) {
      const Sizes sizes = std::get<1>(param_info.param);
      return std::string(hwy::TargetName(std::get<0>(param_info.param))) + "_" +
             std::to_string(sizes.rows) + "_" + std::to_string(sizes.inputs) +
             "_" + std::to_string(sizes.outputs);
    });

}  // namespace
}  // namespace switchyard
