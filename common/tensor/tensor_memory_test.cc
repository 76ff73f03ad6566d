#include "common/tensor/tensor_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

namespace switchyard {
namespace {

constexpr size_t kBlockBytes = 100 << 10;

// Whether this build keeps blocks at all: under AddressSanitizer it does not.
bool KeepsBlocks() {
  FreeTensorMemory(AllocateTensorMemory(kBlockBytes), kBlockBytes);
  return KeptTensorMemoryBytes() > 0;
}

TEST(TensorMemoryTest, IsAlignedAndAsLargeAsAskedFor) {
  for (size_t num_bytes = 1; num_bytes < (1 << 20);
       num_bytes = num_bytes * 9 / 7 + 1) {
    void* const block = AllocateTensorMemory(num_bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % kTensorAlignmentBytes, 0u);
    std::memset(block, 1, num_bytes);
    FreeTensorMemory(block, num_bytes);
  }
}

TEST(TensorMemoryTest, NothingCanBeFreed) { FreeTensorMemory(nullptr, 0); }

TEST(TensorMemoryTest, ALargeBlockIsHandedOutAgain) {
  if (!KeepsBlocks()) GTEST_SKIP() << "this build keeps no blocks";
  void* const first = AllocateTensorMemory(kBlockBytes);
  FreeTensorMemory(first, kBlockBytes);
  const int64_t kept_bytes = KeptTensorMemoryBytes();
  // Of the same size, give or take what rounding does.
  void* const second = AllocateTensorMemory(kBlockBytes - 8);
  EXPECT_EQ(second, first);
  EXPECT_LT(KeptTensorMemoryBytes(), kept_bytes);
  FreeTensorMemory(second, kBlockBytes - 8);
}

TEST(TensorMemoryTest, TheOldestBlocksAreLetGo) {
  if (!KeepsBlocks()) GTEST_SKIP() << "this build keeps no blocks";
  constexpr size_t kLarge = 48 << 20;
  std::vector<void*> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(AllocateTensorMemory(kLarge));
  for (void* block : blocks) {
    FreeTensorMemory(block, kLarge);
    EXPECT_LE(KeptTensorMemoryBytes(), kMaxKeptBlockBytes);
  }
  EXPECT_GT(KeptTensorMemoryBytes(), kMaxKeptBlockBytes / 2);
  void* const newest = AllocateTensorMemory(kLarge);
  EXPECT_EQ(newest, blocks.back());
  FreeTensorMemory(newest, kLarge);
}

TEST(TensorMemoryTest, ThreadsShareItSafely) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (size_t i = 0; i < 2000; ++i) {
        const size_t num_bytes = kMinKeptBlockBytes + i * 37 % 50000;
        auto* const block = static_cast<char*>(AllocateTensorMemory(num_bytes));
        block[0] = block[num_bytes - 1] = static_cast<char>(t);
        FreeTensorMemory(block, num_bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace switchyard
