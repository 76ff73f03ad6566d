// How often a worker asks the heap for memory in a request: so many times,
// whatever the number of tokens, routes and experts. (Tensors of 64 KiB and
// more come from memory kept for them, see common/tensor/tensor_memory.h.)
//
// In a program of its own, whose operator new counts.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "common/base/status_testing.h"
#include "expert_worker/worker_testing.h"

namespace {
std::atomic<int64_t> num_allocations = 0;
}  // namespace

void* operator new(size_t num_bytes) {
  ++num_allocations;
  void* const block = std::malloc(num_bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t /*num_bytes*/) noexcept {
  std::free(block);
}

namespace switchyard {
namespace {

using testing::LoadAll;
using testing::RandomForward;
using testing::TestWorker;

LayerSpec Layer(int32_t num_experts) {
  LayerSpec spec = testing::SmallLayer(MlpExpertSpec{.ffn_size = 64});
  spec.hidden_size = 64;
  spec.num_experts = num_experts;
  return spec;
}

// Of one request like others before it.
int64_t AllocationsOfForward(int32_t num_experts, int64_t num_tokens) {
  TestWorker test({.num_compute_threads = 2});
  const LayerSpec spec = Layer(num_experts);
  EXPECT_OK(test.worker.LoadExperts(LoadAll(spec)));
  const ExpertForwardRequest request = RandomForward(spec, num_tokens, 1);
  for (int i = 0; i < 3; ++i) EXPECT_OK(test.worker.Forward(request));
  const int64_t before = num_allocations;
  EXPECT_OK(test.worker.Forward(request));
  return num_allocations - before;
}

TEST(WorkerAllocationTest, TokensAndExpertsDoNotAddAllocations) {
  const int64_t small = AllocationsOfForward(4, 32);
  EXPECT_GT(small, 0) << "nothing is counted";
  EXPECT_LE(small, 64);
  // Queues of the pool get a block more or less.
  constexpr int64_t kSlack = 8;
  EXPECT_LE(AllocationsOfForward(4, 4096), small + kSlack);
  EXPECT_LE(AllocationsOfForward(64, 32), small + kSlack);
  EXPECT_LE(AllocationsOfForward(64, 4096), small + kSlack);
}

}  // namespace
}  // namespace switchyard
