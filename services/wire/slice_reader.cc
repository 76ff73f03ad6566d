#include "services/wire/slice_reader.h"

#include <cstring>

#include "common/tensor/float_formats.h"

namespace switchyard::wire {

SliceReader::SliceReader(const grpc::ByteBuffer& buffer) {
  if (!buffer.Dump(&slices_).ok()) slices_.clear();
  for (const grpc::Slice& slice : slices_) remaining_ += slice.size();
}

absl::Span<const char> SliceReader::Rest() {
  while (offset_ == slices_[slice_idx_].size()) {
    ++slice_idx_;
    offset_ = 0;
  }
  const grpc::Slice& slice = slices_[slice_idx_];
  return {reinterpret_cast<const char*>(slice.begin()) + offset_,
          slice.size() - offset_};
}

absl::Span<const char> SliceReader::Take(size_t max_bytes) {
  const absl::Span<const char> bytes = Rest().subspan(0, max_bytes);
  offset_ += bytes.size();
  remaining_ -= bytes.size();
  return bytes;
}

bool SliceReader::ReadByte(uint8_t& byte) {
  if (remaining_ == 0) return false;
  byte = static_cast<uint8_t>(Take(1)[0]);
  return true;
}

bool SliceReader::ReadVarint(uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    uint8_t byte = 0;
    if (!ReadByte(byte)) return false;
    const uint64_t bits = byte & 0x7f;
    // Of the tenth byte only one bit is left.
    if (shift == 63 && bits > 1) return false;
    value |= bits << shift;
    if (byte < 0x80) return byte != 0 || shift == 0;
  }
  return false;
}

void SliceReader::Read(size_t num_bytes, char* to) {
  while (num_bytes > 0) {
    const absl::Span<const char> bytes = Take(num_bytes);
    std::memcpy(to, bytes.data(), bytes.size());
    to += bytes.size();
    num_bytes -= bytes.size();
  }
}

void SliceReader::Append(size_t num_bytes, std::string& to) {
  while (num_bytes > 0) {
    const absl::Span<const char> bytes = Take(num_bytes);
    to.append(bytes.data(), bytes.size());
    num_bytes -= bytes.size();
  }
}

grpc::ByteBuffer SliceReader::RestAsBuffer() const {
  std::vector<grpc::Slice> rest;
  size_t offset = offset_;
  for (size_t i = slice_idx_; i < slices_.size(); ++i) {
    rest.push_back(slices_[i].sub(offset, slices_[i].size()));
    offset = 0;
  }
  return grpc::ByteBuffer(rest.data(), rest.size());
}

void SliceReader::ReadBFloat16(absl::Span<float> values) {
  while (!values.empty()) {
    const absl::Span<const char> bytes = Take(2 * values.size());
    const size_t num_whole = bytes.size() / 2;
    Widen(bytes.data(), DType::kBFloat16, values.first(num_whole));
    values.remove_prefix(num_whole);
    if (bytes.size() % 2 == 0) continue;
    // An element that two slices share.
    const char halves[2] = {bytes.back(), Take(1)[0]};
    Widen(halves, DType::kBFloat16, values.first(1));
    values.remove_prefix(1);
  }
}

}  // namespace switchyard::wire
