// Matrix products in float32 of matrices that are all row-major, each on the
// calling thread alone, by way of panel_products.h: operands are packed first.
//
// An element of a result depends on its row and its column alone, not on what
// else is in the matrices; so a token's logits do not depend on the batch.
// Error bound in docs/numerics.md. std::bad_alloc where there is no memory.
#ifndef SWITCHYARD_COMMON_LINALG_GEMM_H_
#define SWITCHYARD_COMMON_LINALG_GEMM_H_

#include <cstdint>

#include "common/tensor/tensor.h"

namespace switchyard {

enum class Accumulate { kOverwrite, kAdd };

// The right side of GemmNT, packed once for many products. Immutable.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  // Copies b [n, k].
  explicit PackedMatrix(ConstMatrix b);

  int64_t num_rows() const { return num_rows_; }
  int64_t num_cols() const { return num_cols_; }
  const float* panels() const { return panels_.data(); }

 private:
  int64_t num_rows_ = 0;
  int64_t num_cols_ = 0;
  Tensor panels_;
};

// c [m, n] (+)= a [m, k] * b^T, b [n, k]: y = x W^T.
void GemmNT(ConstMatrix a, ConstMatrix b, float* c,
            Accumulate accumulate = Accumulate::kOverwrite);

void GemmNT(ConstMatrix a, const PackedMatrix& b, float* c,
            Accumulate accumulate = Accumulate::kOverwrite);

// c [m, n] (+)= a [m, k] * b, b [k, n]: dx = dy W.
void GemmNN(ConstMatrix a, ConstMatrix b, float* c,
            Accumulate accumulate = Accumulate::kOverwrite);

// c [m, n] (+)= a^T * b, a [k, m], b [k, n]: dW = dy^T x.
void GemmTN(ConstMatrix a, ConstMatrix b, float* c,
            Accumulate accumulate = Accumulate::kOverwrite);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_LINALG_GEMM_H_
