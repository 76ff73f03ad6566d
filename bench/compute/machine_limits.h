// What this machine can do at most, measured on as many threads as the
// candidates use.
#ifndef SWITCHYARD_BENCH_COMPUTE_MACHINE_LIMITS_H_
#define SWITCHYARD_BENCH_COMPUTE_MACHINE_LIMITS_H_

#include <cstdint>

#include "common/tensor/tensor.h"

namespace switchyard::bench {

// oneDNN's float32 GEMM, 1024 x 4096 x 1024, one on each thread at once.
class LargeGemm {
 public:
  explicit LargeGemm(int num_threads);

  void Run();
  // Of one Run, multiplications and additions.
  double flops() const;

 private:
  const int num_threads_;
  Tensor a_;
  Tensor b_;
  Tensor c_;
};

// Reads memory once, front to back, each thread a part.
class MemoryRead {
 public:
  MemoryRead(int num_threads, int64_t num_bytes);

  void Run();
  double bytes() const { return static_cast<double>(memory_.size_bytes()); }

 private:
  const int num_threads_;
  Tensor memory_;
};

}  // namespace switchyard::bench

#endif  // SWITCHYARD_BENCH_COMPUTE_MACHINE_LIMITS_H_
