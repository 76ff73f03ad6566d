#include "services/shared_memory/shared_call.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace switchyard {
namespace {

v1::SharedMemory PlaceOf(Attachment& attachment, const float* data,
                         int64_t num_bytes) {
  v1::SharedMemory place;
  place.set_region_id(attachment.region_id());
  place.set_offset(attachment.region().OffsetOf(data, num_bytes).value_or(0));
  return place;
}

}  // namespace

SharedCall::SharedCall(std::shared_ptr<Attachment> attachment, Tensor request,
                       std::shared_ptr<float[]> answer, int64_t answer_bytes)
    : attachment_(std::move(attachment)),
      request_(std::move(request)),
      answer_(std::move(answer)),
      request_place_(
          PlaceOf(*attachment_, request_.data(), request_.size_bytes())) {
  if (answer_ == nullptr) return;
  offered_place_ = PlaceOf(*attachment_, answer_.get(), answer_bytes);
  offered_place_.set_capacity_bytes(answer_bytes);
}

absl::StatusOr<std::shared_ptr<float[]>> SharedCall::Find(
    const v1::SharedMemory& place, int64_t num_bytes,
    absl::string_view field) const {
  if (answer_ != nullptr && place.region_id() == offered_place_.region_id() &&
      place.offset() == offered_place_.offset() &&
      num_bytes <= offered_place_.capacity_bytes()) {
    return answer_;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": got offset ", place.offset(), " for ", num_bytes,
                   " bytes, expected the place that was offered"));
}

void SharedCall::End(bool answered) {
  if (answered) return;
  OwnedRegion& region = attachment_->region();
  region.Abandon(request_.data());
  if (answer_ != nullptr) region.Abandon(answer_.get());
}

}  // namespace switchyard
