#include "services/wire/tensor_codec.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/tensor/float_formats.h"

namespace switchyard::wire {
namespace {

static_assert(std::endian::native == std::endian::little,
              "tensors travel little-endian and are copied as they are");

// More dimensions than anyone uses; keeps error messages short.
constexpr int kMaxDimensions = 32;

absl::Status Refuse(absl::string_view field, absl::string_view member,
                    absl::string_view got, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(field, member, ": got ", got, ", expected ", expected));
}

std::string DTypeName(v1::DType dtype) {
  const std::string& name = v1::DType_Name(dtype);
  return name.empty() ? absl::StrCat(static_cast<int>(dtype)) : name;
}

absl::Status CheckFloatValues(const v1::Tensor& message, const Shape& shape,
                              int64_t num_elements, absl::string_view field) {
  if (!message.data().empty()) {
    return Refuse(field, "", "both float_values and data", "one of them");
  }
  if (message.dtype() != v1::DTYPE_FLOAT32) {
    return Refuse(field, ".float_values", DTypeName(message.dtype()),
                  "DTYPE_FLOAT32, or data");
  }
  if (message.float_values_size() != num_elements) {
    return Refuse(
        field, ".float_values", absl::StrCat(message.float_values_size()),
        absl::StrCat(num_elements, " values for ", ShapeToString(shape)));
  }
  return absl::OkStatus();
}

absl::Status CheckBytes(const v1::Tensor& message, const Shape& shape,
                        int64_t num_elements, absl::string_view field) {
  const bool is_float32 = message.dtype() == v1::DTYPE_FLOAT32;
  const int64_t expected_bytes = num_elements * (is_float32 ? 4 : 2);
  const auto got_bytes = static_cast<int64_t>(message.data().size());
  if (got_bytes == expected_bytes) return absl::OkStatus();
  return Refuse(field, ".data", absl::StrCat(got_bytes, " bytes"),
                absl::StrCat(expected_bytes, " for ",
                             is_float32 ? "float32 " : "bfloat16 ",
                             ShapeToString(shape)));
}

// Returns the number of elements, all of which are there.
absl::StatusOr<int64_t> CheckTensor(const v1::Tensor& message,
                                    const Shape& shape,
                                    absl::string_view field) {
  if (message.dtype() != v1::DTYPE_FLOAT32 &&
      message.dtype() != v1::DTYPE_BFLOAT16) {
    return Refuse(field, ".dtype", DTypeName(message.dtype()),
                  "DTYPE_FLOAT32 or DTYPE_BFLOAT16");
  }
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_elements,
                              NumElements(shape, field));
  SWITCHYARD_RETURN_IF_ERROR(
      message.float_values_size() > 0
          ? CheckFloatValues(message, shape, num_elements, field)
          : CheckBytes(message, shape, num_elements, field));
  return num_elements;
}

// `values` has as many elements as CheckTensor returned.
void CopyElements(const v1::Tensor& message, absl::Span<float> values) {
  if (values.empty()) return;
  if (message.float_values_size() > 0) {
    std::copy(message.float_values().begin(), message.float_values().end(),
              values.begin());
  } else if (message.dtype() == v1::DTYPE_FLOAT32) {
    std::memcpy(values.data(), message.data().data(), message.data().size());
  } else {
    Widen(message.data().data(), DType::kBFloat16, values);
  }
}

v1::Tensor EncodeFloat32(absl::Span<const float> values) {
  v1::Tensor message;
  message.set_dtype(v1::DTYPE_FLOAT32);
  if (!values.empty()) {
    message.mutable_data()->assign(reinterpret_cast<const char*>(values.data()),
                                   values.size() * sizeof(float));
  }
  return message;
}

v1::Tensor EncodeBFloat16(absl::Span<const float> values) {
  v1::Tensor message;
  message.set_dtype(v1::DTYPE_BFLOAT16);
  std::string& data = *message.mutable_data();
  data.resize(values.size() * 2);
  Narrow(values, DType::kBFloat16, data.data());
  return message;
}

}  // namespace

absl::StatusOr<Shape> DecodeShape(
    const google::protobuf::RepeatedField<int64_t>& shape,
    absl::string_view field) {
  if (shape.size() > kMaxDimensions) {
    return Refuse(field, ".shape", absl::StrCat(shape.size(), " dimensions"),
                  absl::StrCat("at most ", kMaxDimensions));
  }
  return Shape(shape.begin(), shape.end());
}

absl::StatusOr<Tensor> DecodeTensor(const v1::Tensor& message,
                                    absl::string_view field) {
  if (message.has_shared()) {
    return Refuse(field, ".shared", "a place in shared memory",
                  "elements: it is not a tensor of tokens, or the connection "
                  "has no shared memory");
  }
  SWITCHYARD_ASSIGN_OR_RETURN(const Shape shape,
                              DecodeShape(message.shape(), field));
  SWITCHYARD_RETURN_IF_ERROR(CheckTensor(message, shape, field).status());
  Tensor tensor = Tensor::Uninitialized(shape);
  CopyElements(message, tensor.values());
  return tensor;
}

absl::StatusOr<Tensor> TakenOrDecoded(std::optional<Tensor> taken,
                                      const v1::Tensor& message,
                                      absl::string_view field) {
  if (taken.has_value()) return *std::move(taken);
  return DecodeTensor(message, field);
}

v1::Tensor EncodeTensor(const Tensor& tensor, v1::DType dtype) {
  v1::Tensor message = dtype == v1::DTYPE_BFLOAT16
                           ? EncodeBFloat16(tensor.values())
                           : EncodeFloat32(tensor.values());
  message.mutable_shape()->Assign(tensor.shape().begin(), tensor.shape().end());
  return message;
}

absl::StatusOr<ParameterSlice> DecodeSlice(const v1::ParameterSlice& message,
                                           absl::string_view field) {
  ParameterSlice slice;
  slice.name = message.name();
  slice.offset = message.offset();
  SWITCHYARD_ASSIGN_OR_RETURN(slice.shape, DecodeShape(message.shape(), field));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t parameter_size,
                              NumElements(slice.shape, field));
  const std::string values_field = absl::StrCat(field, ".values");
  SWITCHYARD_ASSIGN_OR_RETURN(
      const Shape values_shape,
      DecodeShape(message.values().shape(), values_field));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t num_values,
      CheckTensor(message.values(), values_shape, values_field));
  if (values_shape.size() != 1) {
    return Refuse(values_field, ".shape", ShapeToString(values_shape),
                  "one dimension");
  }
  if (slice.offset < 0 || slice.offset > parameter_size - num_values) {
    return Refuse(
        field, "",
        absl::StrCat(num_values, " values from offset ", slice.offset),
        absl::StrCat("a part of ", ShapeToString(slice.shape)));
  }
  slice.values.resize(static_cast<size_t>(num_values));
  CopyElements(message.values(), absl::MakeSpan(slice.values));
  return slice;
}

v1::ParameterSlice EncodeSlice(const ParameterSlice& slice) {
  v1::ParameterSlice message;
  message.set_name(slice.name);
  message.mutable_shape()->Assign(slice.shape.begin(), slice.shape.end());
  message.set_offset(slice.offset);
  *message.mutable_values() = EncodeFloat32(slice.values);
  message.mutable_values()->add_shape(
      static_cast<int64_t>(slice.values.size()));
  return message;
}

absl::StatusOr<ParameterKind> DecodeKind(v1::ParameterKind kind) {
  switch (kind) {
    case v1::PARAMETER_KIND_VALUE:
      return ParameterKind::kValue;
    case v1::PARAMETER_KIND_GRADIENT:
      return ParameterKind::kGradient;
    default:
      return Refuse("kind", "", absl::StrCat(static_cast<int>(kind)),
                    "PARAMETER_KIND_VALUE or PARAMETER_KIND_GRADIENT");
  }
}

v1::ParameterKind EncodeKind(ParameterKind kind) {
  return kind == ParameterKind::kGradient ? v1::PARAMETER_KIND_GRADIENT
                                          : v1::PARAMETER_KIND_VALUE;
}

}  // namespace switchyard::wire
