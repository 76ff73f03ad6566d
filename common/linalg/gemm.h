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

// c [m, n] (+)= a [m, k] * b^T, b [n, k]: y = x W^T.
void GemmNT(ConstMatrix a, ConstMatrix b, float* c,
            Accumulate accumulate = Accumulate::kOverwrite);

// c [m, n] (+)= a [m, k] * b, b [k, n]: dx = dy W.
void GemmNN(ConstMatrix a, ConstMatrix b, float* c,
            Accumulate accumulate = Accumulate::kOverwrite);

// c [m, n] (+)= a^T * b, a [k, m], b [k, n]: dW = dy^T x.
void GemmTN(ConstMatrix a, ConstMatrix b, float* c,
            Accumulate accumulate = Accumulate::kOverwrite);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_LINALG_GEMM_H_
