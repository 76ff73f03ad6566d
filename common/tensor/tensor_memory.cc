#include "common/tensor/tensor_memory.h"

#include <array>
#include <bit>
#include <cstdlib>
#include <new>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"

namespace switchyard {
namespace {

// Under AddressSanitizer what is given back must be seen to be.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kKeepsBlocks = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool kKeepsBlocks = false;
#else
constexpr bool kKeepsBlocks = true;
#endif
#else
constexpr bool kKeepsBlocks = true;
#endif

// Sizes go in quarters of powers of two, so that a block is at most a quarter
// larger than asked for.
struct SizeClass {
  explicit SizeClass(size_t num_bytes) {
    const size_t octave =
        static_cast<size_t>(std::bit_width(num_bytes - 1)) - 1;
    const size_t quarter = size_t{1} << (octave - 2);
    const size_t base = size_t{1} << octave;
    const size_t quarters = (num_bytes - base + quarter - 1) / quarter;
    block_bytes = base + quarters * quarter;
    idx = octave * 4 + quarters;
  }

  size_t block_bytes;
  size_t idx;
};

constexpr size_t kNumClasses = 64 * 4 + 5;

// The head of a block that is kept: in a list of its class, the newest first,
// and in one of all, the oldest first.
struct KeptBlock {
  size_t block_bytes;
  size_t class_idx;
  KeptBlock* class_next;
  KeptBlock* class_previous;
  KeptBlock* newer;
  KeptBlock* older;
};

class KeptBlocks {
 public:
  // nullptr: none of that class is kept.
  void* Take(const SizeClass& size_class) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    KeptBlock* const block = classes_[size_class.idx];
    if (block != nullptr) Remove(block);
    return block;
  }

  // Blocks that are too old for the budget are returned in a list by `newer`,
  // to be freed without the lock.
  KeptBlock* Put(void* memory, const SizeClass& size_class)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    auto* const block = static_cast<KeptBlock*>(memory);
    MutexLock lock(mutex_);
    Insert(block, size_class);
    KeptBlock* let_go = nullptr;
    while (bytes_ > kMaxKeptBlockBytes) {
      KeptBlock* const oldest = oldest_;
      Remove(oldest);
      oldest->newer = let_go;
      let_go = oldest;
    }
    return let_go;
  }

  int64_t bytes() const ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    return bytes_;
  }

 private:
  void Insert(KeptBlock* block, const SizeClass& size_class)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    KeptBlock*& first = classes_[size_class.idx];
    *block = {.block_bytes = size_class.block_bytes,
              .class_idx = size_class.idx,
              .class_next = first,
              .class_previous = nullptr,
              .newer = nullptr,
              .older = newest_};
    if (first != nullptr) first->class_previous = block;
    first = block;
    (newest_ != nullptr ? newest_->newer : oldest_) = block;
    newest_ = block;
    bytes_ += static_cast<int64_t>(size_class.block_bytes);
  }

  void Remove(KeptBlock* block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    (block->class_previous != nullptr ? block->class_previous->class_next
                                      : classes_[block->class_idx]) =
        block->class_next;
    if (block->class_next != nullptr) {
      block->class_next->class_previous = block->class_previous;
    }
    (block->older != nullptr ? block->older->newer : oldest_) = block->newer;
    (block->newer != nullptr ? block->newer->older : newest_) = block->older;
    bytes_ -= static_cast<int64_t>(block->block_bytes);
  }

  mutable Mutex mutex_;
  std::array<KeptBlock*, kNumClasses> classes_ ABSL_GUARDED_BY(mutex_) = {};
  KeptBlock* newest_ ABSL_GUARDED_BY(mutex_) = nullptr;
  KeptBlock* oldest_ ABSL_GUARDED_BY(mutex_) = nullptr;
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Never destroyed: tensors of static objects may be freed after it would be.
KeptBlocks& Kept() {
  static KeptBlocks& kept = *new KeptBlocks();
  return kept;
}

bool IsKept(size_t num_bytes) {
  return kKeepsBlocks && num_bytes >= kMinKeptBlockBytes &&
         num_bytes <= static_cast<size_t>(kMaxKeptBlockBytes);
}

void* AllocateAligned(size_t num_bytes) {
  const size_t rounded = (num_bytes + kTensorAlignmentBytes) /
                         kTensorAlignmentBytes * kTensorAlignmentBytes;
  void* const block = std::aligned_alloc(kTensorAlignmentBytes, rounded);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

void* AllocateTensorMemory(size_t num_bytes) {
  if (!IsKept(num_bytes)) return AllocateAligned(num_bytes);
  const SizeClass size_class(num_bytes);
  void* const kept = Kept().Take(size_class);
  return kept != nullptr ? kept : AllocateAligned(size_class.block_bytes);
}

void FreeTensorMemory(void* block, size_t num_bytes) {
  if (block == nullptr || !IsKept(num_bytes)) return std::free(block);
  KeptBlock* let_go = Kept().Put(block, SizeClass(num_bytes));
  while (let_go != nullptr) {
    KeptBlock* const next = let_go->newer;
    std::free(let_go);
    let_go = next;
  }
}

int64_t KeptTensorMemoryBytes() { return Kept().bytes(); }

}  // namespace switchyard
