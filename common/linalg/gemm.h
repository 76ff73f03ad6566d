// Matrix products in float32, on oneDNN, each on the calling thread alone.
//
// A result depends on the operands and the sizes only. oneDNN fixes the order
// of accumulation for a given instruction set; error bound in docs/numerics.md.
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
