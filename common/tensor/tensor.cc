#include "common/tensor/tensor.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/tensor/tensor_memory.h"

namespace switchyard {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 40;

int64_t Product(absl::Span<const int64_t> shape) {
  int64_t product = 1;
  for (const int64_t extent : shape) product *= extent;
  return product;
}

}  // namespace

absl::StatusOr<int64_t> NumElements(absl::Span<const int64_t> shape,
                                    absl::string_view field) {
  int64_t product = 1;
  bool empty = false;
  for (const int64_t extent : shape) {
    if (extent < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".shape: got ", ShapeToString(shape),
                       ", expected extents >= 0"));
    }
    if (extent == 0) {
      empty = true;
    } else if (product > kMaxElements / extent) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".shape: got ", ShapeToString(shape),
                       ", expected at most 2^40 elements"));
    } else {
      product *= extent;
    }
  }
  return empty ? 0 : product;
}

std::string ShapeToString(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

Tensor::Tensor(const Shape& shape, bool zero)
    : shape_(shape), num_elements_(Product(shape)) {
  const auto num_bytes = static_cast<size_t>(size_bytes());
  data_.reset(static_cast<float*>(AllocateTensorMemory(num_bytes)),
              [num_bytes](float* data) { FreeTensorMemory(data, num_bytes); });
  if (zero) std::memset(data_.get(), 0, num_bytes);
}

Tensor Tensor::FromSpan(const Shape& shape, absl::Span<const float> values) {
  Tensor tensor(shape, /*zero=*/false);
  if (!values.empty()) {
    std::memcpy(tensor.data(), values.data(), values.size() * sizeof(float));
  }
  return tensor;
}

Tensor Tensor::Around(const Shape& shape, std::shared_ptr<float[]> data) {
  return Tensor(shape, Product(shape), std::move(data));
}

Tensor TensorPlace::Uninitialized(const Shape& shape) const {
  return data != nullptr && Product(shape) <= capacity
             ? Tensor::Around(shape, data)
             : Tensor::Uninitialized(shape);
}

void Tensor::Reshape(const Shape& shape) { shape_ = shape; }

int64_t FirstNonFinite(absl::Span<const float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) return static_cast<int64_t>(i);
  }
  return -1;
}

}  // namespace switchyard
