// What a received message comes to, by the generated code and by call_buffer.h,
// in a form that can be compared; for tests of either kind.
#ifndef SWITCHYARD_SERVICES_WIRE_CALL_BUFFER_TESTING_H_
#define SWITCHYARD_SERVICES_WIRE_CALL_BUFFER_TESTING_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "services/wire/call_buffer.h"

namespace switchyard::wire::testing {

// As the network may deliver it: in slices of `slice_bytes`, the first of
// `first_bytes` (at least 1 each).
inline grpc::ByteBuffer InSlices(const std::string& bytes, size_t first_bytes,
                                 size_t slice_bytes) {
  std::vector<grpc::Slice> slices;
  size_t wanted = first_bytes;
  for (size_t offset = 0; offset < bytes.size();) {
    const size_t num_bytes = std::min(wanted, bytes.size() - offset);
    slices.emplace_back(bytes.data() + offset, num_bytes);
    offset += num_bytes;
    wanted = slice_bytes;
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

inline std::string BytesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// The value's bytes as float32, which tell all its bits, or the error.
template <typename Value>
std::string OutcomeOf(const absl::StatusOr<Value>& value, v1::DType dtype) {
  if (!value.ok()) return value.status().ToString();
  return absl::StrCat(v1::DType_Name(dtype), " ",
                      Encode(*value, v1::DTYPE_FLOAT32).SerializeAsString());
}

template <typename Value>
std::string GeneratedOutcome(const std::string& bytes) {
  typename Travel<Value>::Message message;
  const absl::Status parsed = ParseWhole(InSlices(bytes, 1, 64), message);
  if (!parsed.ok()) return parsed.ToString();
  return OutcomeOf(Decode(message), Travel<Value>::Of(message).dtype());
}

template <typename Value>
std::string BufferOutcome(const grpc::ByteBuffer& bytes) {
  absl::StatusOr<Received<Value>> received = DecodeBuffer<Value>(bytes);
  if (!received.ok()) return received.status().ToString();
  return OutcomeOf(absl::StatusOr<Value>(std::move(received->value)),
                   received->dtype);
}

}  // namespace switchyard::wire::testing

#endif  // SWITCHYARD_SERVICES_WIRE_CALL_BUFFER_TESTING_H_
