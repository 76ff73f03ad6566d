// Where tensors get their memory. Large blocks that are given back are kept for
// a while and handed out again: the system would have to map, zero and unmap
// their pages for every request. Thread-safe.
#ifndef SWITCHYARD_COMMON_TENSOR_TENSOR_MEMORY_H_
#define SWITCHYARD_COMMON_TENSOR_TENSOR_MEMORY_H_

#include <cstddef>
#include <cstdint>

namespace switchyard {

// A cache line, an AVX-512 register.
inline constexpr size_t kTensorAlignmentBytes = 64;

// Blocks that are smaller are not kept: malloc does that well.
inline constexpr size_t kMinKeptBlockBytes = 32 << 10;

// Most bytes of blocks that are kept, the oldest being let go first. Programs
// count it among their buffers.
inline constexpr int64_t kMaxKeptBlockBytes = int64_t{256} << 20;

// At least `num_bytes`, aligned, contents undefined. std::bad_alloc where the
// system has no more.
void* AllocateTensorMemory(size_t num_bytes);

// What AllocateTensorMemory(num_bytes) returned, or null.
void FreeTensorMemory(void* block, size_t num_bytes);

// Bytes kept at the moment.
int64_t KeptTensorMemoryBytes();

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_TENSOR_TENSOR_MEMORY_H_
