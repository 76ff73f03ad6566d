#include "services/wire/shared_tensor.h"

#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "services/wire/tensor_codec.h"

namespace switchyard::wire {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);
constexpr char kAnswerField[] = "answer_memory";

}  // namespace

absl::StatusOr<Tensor> DecodeSharedTensor(const v1::Tensor& message,
                                          const SharedMemoryView& view,
                                          absl::string_view field) {
  if (message.dtype() != v1::DTYPE_FLOAT32) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".dtype: got ", static_cast<int>(message.dtype()),
                     " with a place in shared memory, expected DTYPE_FLOAT32"));
  }
  if (!message.data().empty() || message.float_values_size() > 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ": got elements and a place in shared memory, expected one"));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(const Shape shape,
                              DecodeShape(message.shape(), field));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_elements,
                              NumElements(shape, field));
  SWITCHYARD_ASSIGN_OR_RETURN(
      std::shared_ptr<float[]> data,
      view.Find(message.shared(), num_elements * kFloatBytes,
                absl::StrCat(field, ".shared")));
  return Tensor::Around(shape, std::move(data));
}

v1::Tensor EncodeSharedTensor(const Tensor& tensor,
                              const v1::SharedMemory& place) {
  v1::Tensor message;
  message.set_dtype(v1::DTYPE_FLOAT32);
  message.mutable_shape()->Assign(tensor.shape().begin(), tensor.shape().end());
  *message.mutable_shared() = place;
  return message;
}

absl::StatusOr<AnswerPlace> DecodeAnswerPlace(const v1::SharedMemory& message,
                                              const SharedMemoryView& view) {
  if (message.capacity_bytes() < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(kAnswerField, ".capacity_bytes: got ",
                     message.capacity_bytes(), ", expected >= 0"));
  }
  AnswerPlace place = {.message = message};
  place.memory.capacity = message.capacity_bytes() / kFloatBytes;
  SWITCHYARD_ASSIGN_OR_RETURN(
      place.memory.data,
      view.Find(message, message.capacity_bytes(), kAnswerField));
  return place;
}

bool PutInto(const AnswerPlace& place, const Tensor& tensor) {
  if (place.memory.data == nullptr || tensor.num_elements() == 0 ||
      tensor.num_elements() > place.memory.capacity) {
    return false;
  }
  if (tensor.data() != place.memory.data.get()) {
    std::memcpy(place.memory.data.get(), tensor.data(),
                static_cast<size_t>(tensor.size_bytes()));
  }
  return true;
}

}  // namespace switchyard::wire
