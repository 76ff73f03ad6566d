#ifndef SWITCHYARD_SERVICES_WIRE_SLICE_READER_H_
#define SWITCHYARD_SERVICES_WIRE_SLICE_READER_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace switchyard::wire {

// Reads the bytes of a received message once, from front to back, where gRPC
// put them: in slices of any sizes. Not thread-safe.
class SliceReader {
 public:
  // Keeps the slices alive. A buffer that cannot be read (compressed wrongly)
  // counts as empty.
  explicit SliceReader(const grpc::ByteBuffer& buffer);

  size_t remaining() const { return remaining_; }

  // The next byte, which stays; at least one must remain.
  uint8_t NextByte() { return static_cast<uint8_t>(Rest()[0]); }
  // False at the end.
  bool ReadByte(uint8_t& byte);
  // False, somewhere on the way, for anything but a protobuf varint of 64 bits
  // in its shortest form.
  bool ReadVarint(uint64_t& value);

  // These need as many bytes as they take to remain.
  void Read(size_t num_bytes, char* to);
  void Append(size_t num_bytes, std::string& to);
  // All that remains, which stays, in the memory where it is.
  grpc::ByteBuffer RestAsBuffer() const;
  // Little-endian bfloat16 elements, widened.
  void ReadBFloat16(absl::Span<float> values);

 private:
  // The bytes that lie together from here on, at most `max_bytes` and at least
  // one; at least one must remain.
  absl::Span<const char> Take(size_t max_bytes);
  // What is left of the slice; at least one byte must remain.
  absl::Span<const char> Rest();

  std::vector<grpc::Slice> slices_;
  size_t slice_idx_ = 0;
  // Bytes of slices_[slice_idx_] that have been read.
  size_t offset_ = 0;
  size_t remaining_ = 0;
};

}  // namespace switchyard::wire

#endif  // SWITCHYARD_SERVICES_WIRE_SLICE_READER_H_
