#include "common/linalg/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <ostream>

#include "common/random/philox.h"

namespace switchyard {
namespace {

Tensor RandomMatrix(int64_t rows, int64_t cols, uint32_t stream) {
  Tensor t = Tensor::Uninitialized({rows, cols});
  const PhiloxStream random(MakePhiloxKey(1, "gemm_test"), stream, 0);
  for (int64_t i = 0; i < t.num_elements(); ++i) {
    t.data()[i] =
        ToOpenUnitInterval(random.Block(static_cast<uint64_t>(i))[0]) - 0.5f;
  }
  return t;
}

struct Sizes {
  int64_t m, n, k;
};

void PrintTo(const Sizes& sizes, std::ostream* os) {
  *os << "m=" << sizes.m << " n=" << sizes.n << " k=" << sizes.k;
}

class GemmTest : public ::testing::TestWithParam<Sizes> {
 protected:
  // element(i, j, l) is the l-th product of c[i, j].
  template <typename Element>
  void ExpectProduct(const Tensor& c, float start, Element element) {
    const Sizes s = GetParam();
    for (int64_t i = 0; i < s.m; ++i) {
      for (int64_t j = 0; j < s.n; ++j) {
        double sum = start;
        for (int64_t l = 0; l < s.k; ++l) sum += element(i, j, l);
        ASSERT_NEAR(c.row(i)[j], sum, 1e-6 * std::sqrt(s.k + 1.0) + 1e-6)
            << "at " << i << ", " << j;
      }
    }
  }
};

TEST_P(GemmTest, MultipliesInEveryLayout) {
  const Sizes s = GetParam();
  const Tensor a = RandomMatrix(s.m, s.k, 1);
  const Tensor b = RandomMatrix(s.k, s.n, 2);
  const Tensor a_t = RandomMatrix(s.k, s.m, 3);
  const Tensor b_t = RandomMatrix(s.n, s.k, 4);
  Tensor c = Tensor::Zeros({s.m, s.n});
  GemmNN(a, b, c.data());
  ExpectProduct(c, 0, [&](int64_t i, int64_t j, int64_t l) {
    return double{a.row(i)[l]} * b.row(l)[j];
  });
  GemmNT(a, b_t, c.data());
  ExpectProduct(c, 0, [&](int64_t i, int64_t j, int64_t l) {
    return double{a.row(i)[l]} * b_t.row(j)[l];
  });
  for (float& v : c.values()) v = 2.0f;
  GemmTN(a_t, b, c.data(), Accumulate::kAdd);
  ExpectProduct(c, 2, [&](int64_t i, int64_t j, int64_t l) {
    return double{a_t.row(l)[i]} * b.row(l)[j];
  });
}

INSTANTIATE_TEST_SUITE_P(Sizes, GemmTest,
                         ::testing::Values(Sizes{1, 1, 1}, Sizes{5, 3, 7},
                                           Sizes{16, 84, 84}, Sizes{0, 4, 4},
                                           Sizes{4, 4, 0}, Sizes{65, 33, 129}));

}  // namespace
}  // namespace switchyard
