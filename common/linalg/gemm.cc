#include "common/linalg/gemm.h"

#include <dnnl.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

// libgomp's; declared here because clang ships no omp.h on Debian.
extern "C" void omp_set_num_threads(int num_threads);

namespace switchyard {
namespace {

// oneDNN's OpenMP team spins between calls and stalls every other thread of the
// process: this thread alone computes.
void UseThisThreadOnly() {
  thread_local const bool done = [] {
    omp_set_num_threads(1);
    return true;
  }();
  static_cast<void>(done);
}

void Gemm(char trans_a, char trans_b, int64_t m, int64_t n, int64_t k,
          const float* a, int64_t lda, const float* b, int64_t ldb,
          Accumulate accumulate, float* c) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    if (accumulate == Accumulate::kOverwrite) {
      std::memset(c, 0, static_cast<size_t>(m * n) * sizeof(float));
    }
    return;
  }
  UseThisThreadOnly();
  const float beta = accumulate == Accumulate::kAdd ? 1.0f : 0.0f;
  const dnnl_status_t status =
      dnnl_sgemm(trans_a, trans_b, m, n, k, 1.0f, a, lda, b, ldb, beta, c, n);
  if (status != dnnl_success) {
    // Sizes are ours and positive, so only memory can be short.
    std::fprintf(stderr, "dnnl_sgemm(%c%c m=%ld n=%ld k=%ld) failed: %d\n",
                 trans_a, trans_b, static_cast<long>(m), static_cast<long>(n),
                 static_cast<long>(k), static_cast<int>(status));
    std::abort();
  }
}

}  // namespace

void GemmNT(ConstMatrix a, ConstMatrix b, float* c, Accumulate accumulate) {
  Gemm('N', 'T', a.num_rows, b.num_rows, a.num_cols, a.data, a.num_cols, b.data,
       b.num_cols, accumulate, c);
}

void GemmNN(ConstMatrix a, ConstMatrix b, float* c, Accumulate accumulate) {
  Gemm('N', 'N', a.num_rows, b.num_cols, a.num_cols, a.data, a.num_cols, b.data,
       b.num_cols, accumulate, c);
}

void GemmTN(ConstMatrix a, ConstMatrix b, float* c, Accumulate accumulate) {
  Gemm('T', 'N', a.num_cols, b.num_cols, a.num_rows, a.data, a.num_cols, b.data,
       b.num_cols, accumulate, c);
}

}  // namespace switchyard
