#include "bench/compute/machine_limits.h"

#include <dnnl.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

// libgomp's; declared here because clang ships no omp.h on Debian.
extern "C" void omp_set_num_threads(int num_threads);

namespace switchyard::bench {
namespace {

constexpr int64_t kM = 1024;
constexpr int64_t kN = 4096;
constexpr int64_t kK = 1024;

void OnThreads(int num_threads, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int i = 1; i < num_threads; ++i) threads.emplace_back(body, i);
  body(0);
  for (std::thread& thread : threads) thread.join();
}

Tensor Filled(const Shape& shape) {
  Tensor tensor = Tensor::Uninitialized(shape);
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    tensor.data()[i] = static_cast<float>(i * 7919 % 1021) * 1e-3f - 0.5f;
  }
  return tensor;
}

// Several sums, so that none waits for the last addition.
float Sum(const float* values, int64_t size) {
  constexpr int64_t kSums = 64;
  float sums[kSums] = {};
  for (int64_t i = 0; i + kSums <= size; i += kSums) {
    for (int64_t j = 0; j < kSums; ++j) sums[j] += values[i + j];
  }
  float sum = 0;
  for (const float part : sums) sum += part;
  return sum;
}

}  // namespace

LargeGemm::LargeGemm(int num_threads)
    : num_threads_(num_threads),
      a_(Filled({num_threads, kM, kK})),
      b_(Filled({num_threads, kN, kK})),
      c_(Tensor::Zeros({num_threads, kM, kN})) {}

double LargeGemm::flops() const {
  return 2.0 * static_cast<double>(kM * kN * kK) * num_threads_;
}

void LargeGemm::Run() {
  OnThreads(num_threads_, [this](int thread) {
    omp_set_num_threads(1);
    dnnl_sgemm('N', 'T', kM, kN, kK, 1.0f, a_.data() + thread * kM * kK, kK,
               b_.data() + thread * kN * kK, kK, 0.0f,
               c_.data() + thread * kM * kN, kN);
  });
}

MemoryRead::MemoryRead(int num_threads, int64_t num_bytes)
    : num_threads_(num_threads),
      memory_(Filled({num_bytes / static_cast<int64_t>(sizeof(float))})) {}

void MemoryRead::Run() {
  static std::atomic<float> sink{0};
  const int64_t part = memory_.num_elements() / num_threads_;
  OnThreads(num_threads_, [&](int thread) {
    sink = Sum(memory_.data() + thread * part, part);
  });
}

}  // namespace switchyard::bench
