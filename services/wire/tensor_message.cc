#include "services/wire/tensor_message.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/tensor/float_formats.h"
#include "services/wire/slice_reader.h"

namespace switchyard::wire {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

constexpr uint8_t Tag(int field, WireFormatLite::WireType type) {
  return static_cast<uint8_t>(field << 3 | type);
}

constexpr uint8_t kDTypeTag =
    Tag(v1::Tensor::kDtypeFieldNumber, WireFormatLite::WIRETYPE_VARINT);
constexpr uint8_t kShapeTag = Tag(v1::Tensor::kShapeFieldNumber,
                                  WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
constexpr uint8_t kDataTag = Tag(v1::Tensor::kDataFieldNumber,
                                 WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

// More dimensions than DecodeTensor takes need no fast way.
constexpr size_t kMaxDimensions = 32;
// Up to here a copy costs less than what gRPC does for a slice more.
constexpr size_t kMaxCopiedBytes = 4096;

void AppendVarint(uint64_t value, std::string& to) {
  std::array<uint8_t, 10> bytes;
  const uint8_t* const end =
      CodedOutputStream::WriteVarint64ToArray(value, bytes.data());
  to.append(reinterpret_cast<const char*>(bytes.data()),
            static_cast<size_t>(end - bytes.data()));
}

// Where in a serialized message the fields above number `field` begin: the
// generated code writes them by number.
size_t EndOfFieldsBelow(int field, const std::string& message) {
  CodedInputStream stream(reinterpret_cast<const uint8_t*>(message.data()),
                          static_cast<int>(message.size()));
  while (true) {
    const int position = stream.CurrentPosition();
    const uint32_t tag = stream.ReadTag();
    if (tag == 0 || WireFormatLite::GetTagFieldNumber(tag) > field ||
        !WireFormatLite::SkipField(&stream, tag)) {
      return static_cast<size_t>(position);
    }
  }
}

// The tensor's message, all but the elements.
std::string EncodeTensorHead(const Tensor& tensor, v1::DType dtype,
                             size_t num_data_bytes) {
  std::string extents;
  for (const int64_t extent : tensor.shape()) {
    AppendVarint(static_cast<uint64_t>(extent), extents);
  }
  std::string head;
  head.push_back(static_cast<char>(kDTypeTag));
  AppendVarint(static_cast<uint64_t>(dtype), head);
  if (!extents.empty()) {
    head.push_back(static_cast<char>(kShapeTag));
    AppendVarint(extents.size(), head);
    head.append(extents);
  }
  if (num_data_bytes > 0) {
    head.push_back(static_cast<char>(kDataTag));
    AppendVarint(num_data_bytes, head);
  }
  return head;
}

grpc::Slice ShareElements(const Tensor& tensor) {
  auto* const owner = new Tensor(tensor.Share());
  return grpc::Slice(
      owner->data(), static_cast<size_t>(owner->size_bytes()),
      [](void* held) { delete static_cast<Tensor*>(held); }, owner);
}

grpc::Slice NarrowElements(const Tensor& tensor, size_t num_bytes) {
  auto bytes = std::make_unique<char[]>(num_bytes);
  Narrow(tensor.values(), DType::kBFloat16, bytes.get());
  char* const data = bytes.release();
  return grpc::Slice(
      data, num_bytes, [](void* held) { delete[] static_cast<char*>(held); },
      data);
}

grpc::Slice Elements(const Tensor& tensor, v1::DType dtype, size_t num_bytes) {
  return dtype == v1::DTYPE_BFLOAT16 ? NarrowElements(tensor, num_bytes)
                                     : ShareElements(tensor);
}

void AppendElements(const Tensor& tensor, v1::DType dtype, size_t num_bytes,
                    std::string& to) {
  if (num_bytes == 0) return;
  const size_t offset = to.size();
  to.resize(offset + num_bytes);
  if (dtype == v1::DTYPE_BFLOAT16) {
    Narrow(tensor.values(), DType::kBFloat16, &to[offset]);
  } else {
    std::memcpy(&to[offset], tensor.data(), num_bytes);
  }
}

bool ReadShape(SliceReader& reader, Shape& shape) {
  uint64_t num_bytes = 0;
  if (!reader.ReadVarint(num_bytes) || num_bytes > reader.remaining()) {
    return false;
  }
  const size_t end = reader.remaining() - num_bytes;
  while (reader.remaining() > end) {
    uint64_t extent = 0;
    if (shape.size() == kMaxDimensions || !reader.ReadVarint(extent)) {
      return false;
    }
    shape.push_back(static_cast<int64_t>(extent));
  }
  return reader.remaining() == end;
}

// The tensor's elements, `num_bytes` being what is left of its message.
bool ReadElements(SliceReader& reader, size_t num_bytes, const Shape& shape,
                  TakenTensor& taken) {
  const absl::StatusOr<int64_t> num_elements = NumElements(shape, "");
  if (!num_elements.ok()) return false;
  const bool is_float32 = taken.dtype == v1::DTYPE_FLOAT32;
  const auto expected_bytes =
      static_cast<uint64_t>(*num_elements) * (is_float32 ? 4 : 2);
  if (num_bytes == 0) {
    taken.tensor = Tensor::Uninitialized(shape);
    return expected_bytes == 0;
  }
  const size_t end = reader.remaining() - num_bytes;
  uint8_t tag = 0;
  uint64_t num_data_bytes = 0;
  if (!reader.ReadByte(tag) || tag != kDataTag ||
      !reader.ReadVarint(num_data_bytes) || num_data_bytes != expected_bytes ||
      reader.remaining() < end || reader.remaining() - end != expected_bytes) {
    return false;
  }
  taken.tensor = Tensor::Uninitialized(shape);
  if (is_float32) {
    reader.Read(expected_bytes, reinterpret_cast<char*>(taken.tensor.data()));
  } else {
    reader.ReadBFloat16(taken.tensor.values());
  }
  return true;
}

// A tensor's message of `num_bytes`, of which that many remain.
bool ReadTensor(SliceReader& reader, size_t num_bytes, TakenTensor& taken) {
  const size_t end = reader.remaining() - num_bytes;
  uint8_t tag = 0;
  uint64_t dtype = 0;
  if (!reader.ReadByte(tag) || tag != kDTypeTag || !reader.ReadVarint(dtype) ||
      (dtype != v1::DTYPE_FLOAT32 && dtype != v1::DTYPE_BFLOAT16)) {
    return false;
  }
  taken.dtype = static_cast<v1::DType>(dtype);
  Shape shape;
  if (reader.remaining() > end && reader.NextByte() == kShapeTag) {
    reader.ReadByte(tag);
    if (!ReadShape(reader, shape)) return false;
  }
  return reader.remaining() >= end &&
         ReadElements(reader, reader.remaining() - end, shape, taken);
}

// Copies what follows the tag of a field that is not the tensor.
bool CopyField(SliceReader& reader, uint8_t tag, std::string& to) {
  uint64_t value = 0;
  size_t num_bytes = 0;
  switch (WireFormatLite::GetTagWireType(tag)) {
    case WireFormatLite::WIRETYPE_VARINT:
      if (!reader.ReadVarint(value)) return false;
      AppendVarint(value, to);
      return true;
    case WireFormatLite::WIRETYPE_LENGTH_DELIMITED:
      if (!reader.ReadVarint(value) || value > reader.remaining()) return false;
      AppendVarint(value, to);
      num_bytes = value;
      break;
    case WireFormatLite::WIRETYPE_FIXED64:
      num_bytes = 8;
      break;
    case WireFormatLite::WIRETYPE_FIXED32:
      num_bytes = 4;
      break;
    default:
      return false;
  }
  if (num_bytes > reader.remaining()) return false;
  reader.Append(num_bytes, to);
  return true;
}

}  // namespace

grpc::ByteBuffer EncodeAround(const google::protobuf::MessageLite& rest,
                              int field, const Tensor* tensor,
                              v1::DType dtype) {
  std::string before = rest.SerializeAsString();
  if (tensor == nullptr) {
    const grpc::Slice whole(before);
    return grpc::ByteBuffer(&whole, 1);
  }
  const std::string after = before.substr(EndOfFieldsBelow(field, before));
  before.resize(before.size() - after.size());
  const size_t num_bytes = static_cast<size_t>(tensor->num_elements()) *
                           (dtype == v1::DTYPE_BFLOAT16 ? 2 : 4);
  const std::string head = EncodeTensorHead(*tensor, dtype, num_bytes);
  before.push_back(
      static_cast<char>(Tag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED)));
  AppendVarint(head.size() + num_bytes, before);
  before.append(head);
  if (num_bytes <= kMaxCopiedBytes) {
    AppendElements(*tensor, dtype, num_bytes, before);
    before.append(after);
    const grpc::Slice whole(before);
    return grpc::ByteBuffer(&whole, 1);
  }
  const std::array<grpc::Slice, 3> slices = {
      grpc::Slice(before), Elements(*tensor, dtype, num_bytes),
      grpc::Slice(after)};
  return grpc::ByteBuffer(slices.data(), slices.size());
}

v1::DType LosslessDType(const Tensor& tensor) {
  // Other float32 values than such are told by the first block.
  constexpr int64_t kBlock = 1024;
  for (int64_t begin = 0; begin < tensor.num_elements(); begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, tensor.num_elements());
    uint32_t all_bits = 0;
    for (int64_t i = begin; i < end; ++i) {
      all_bits |= std::bit_cast<uint32_t>(tensor.data()[i]);
    }
    if ((all_bits & 0xffffu) != 0) return v1::DTYPE_FLOAT32;
  }
  return v1::DTYPE_BFLOAT16;
}

std::optional<TakenTensor> TakeTensor(const grpc::ByteBuffer& bytes,
                                      int field) {
  SliceReader reader(bytes);
  TakenTensor taken;
  bool has_tensor = false;
  uint8_t tag = 0;
  while (reader.ReadByte(tag)) {
    // Field numbers of two bytes are not ours, and 0 is none.
    if (tag >= 0x80 || WireFormatLite::GetTagFieldNumber(tag) == 0) {
      return std::nullopt;
    }
    if (WireFormatLite::GetTagFieldNumber(tag) != field) {
      taken.rest.push_back(static_cast<char>(tag));
      if (!CopyField(reader, tag, taken.rest)) return std::nullopt;
      continue;
    }
    uint64_t num_bytes = 0;
    if (has_tensor ||
        tag != Tag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED) ||
        !reader.ReadVarint(num_bytes) || num_bytes > reader.remaining() ||
        !ReadTensor(reader, num_bytes, taken)) {
      return std::nullopt;
    }
    has_tensor = true;
  }
  if (!has_tensor) return std::nullopt;
  return taken;
}

absl::Status ParseWhole(const grpc::ByteBuffer& bytes,
                        google::protobuf::MessageLite& message) {
  // The reader wants a buffer that it may change; the copy shares the slices.
  grpc::ByteBuffer shared(bytes);
  grpc::ProtoBufferReader reader(&shared);
  if (reader.status().ok() && message.ParseFromZeroCopyStream(&reader)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("message: got ", bytes.Length(), " bytes, expected a ",
                   message.GetTypeName()));
}

}  // namespace switchyard::wire
