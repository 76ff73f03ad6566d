// Tensors whose elements stay in shared memory while a message names their
// place (proto/switchyard/v1/memory.proto).
#ifndef SWITCHYARD_SERVICES_WIRE_SHARED_TENSOR_H_
#define SWITCHYARD_SERVICES_WIRE_SHARED_TENSOR_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/tensor/tensor.h"
#include "switchyard/v1/tensor.pb.h"

namespace switchyard::wire {

// The memory that a peer may name. Thread-safe.
class SharedMemoryView {
 public:
  virtual ~SharedMemoryView() = default;

  // `num_bytes` from a place on, for as long as the result lives.
  // FAILED_PRECONDITION: there is no such region; INVALID_ARGUMENT: the place
  // is misaligned or not within it. `field` names the place in errors.
  virtual absl::StatusOr<std::shared_ptr<float[]>> Find(
      const v1::SharedMemory& place, int64_t num_bytes,
      absl::string_view field) const = 0;
};

// The tensor around the memory that the message names, without a copy.
// INVALID_ARGUMENT as DecodeTensor, and for elements beside the place.
absl::StatusOr<Tensor> DecodeSharedTensor(const v1::Tensor& message,
                                          const SharedMemoryView& view,
                                          absl::string_view field);

// A tensor that lies at `place`.
v1::Tensor EncodeSharedTensor(const Tensor& tensor,
                              const v1::SharedMemory& place);

// A place that a caller offers for its answer; none by default.
struct AnswerPlace {
  v1::SharedMemory message;
  TensorPlace memory;
};

absl::StatusOr<AnswerPlace> DecodeAnswerPlace(const v1::SharedMemory& message,
                                              const SharedMemoryView& view);

// Copies the tensor there unless that is where it lies; false: it does not fit.
bool PutInto(const AnswerPlace& place, const Tensor& tensor);

}  // namespace switchyard::wire

#endif  // SWITCHYARD_SERVICES_WIRE_SHARED_TENSOR_H_
