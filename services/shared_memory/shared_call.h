#ifndef SWITCHYARD_SERVICES_SHARED_MEMORY_SHARED_CALL_H_
#define SWITCHYARD_SERVICES_SHARED_MEMORY_SHARED_CALL_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "common/tensor/tensor.h"
#include "services/shared_memory/attachment.h"
#include "services/wire/shared_tensor.h"

namespace switchyard {

// The places of one call in a region of the caller's: of the tensor that it
// sends, and of the one that it is to get. They are free again once the call
// has ended with an answer and what was answered is gone too.
// Thread-compatible.
class SharedCall final : public wire::SharedMemoryView {
 public:
  // `request` lies in the attachment's region; `answer` too, or is null.
  SharedCall(std::shared_ptr<Attachment> attachment, Tensor request,
             std::shared_ptr<float[]> answer, int64_t answer_bytes);

  const v1::SharedMemory& request_place() const { return request_place_; }
  // Null: none is offered.
  const v1::SharedMemory* offered_place() const {
    return answer_ != nullptr ? &offered_place_ : nullptr;
  }

  // Only the place that was offered is found.
  absl::StatusOr<std::shared_ptr<float[]>> Find(
      const v1::SharedMemory& place, int64_t num_bytes,
      absl::string_view field) const override;

  // The call has ended; if it was not `answered` (services/rpc/answered.h), the
  // places are not used again.
  void End(bool answered);

 private:
  std::shared_ptr<Attachment> attachment_;
  Tensor request_;
  std::shared_ptr<float[]> answer_;
  v1::SharedMemory request_place_;
  v1::SharedMemory offered_place_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_SHARED_MEMORY_SHARED_CALL_H_
