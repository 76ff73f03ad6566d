#include "expert_worker/store/byte_budget.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace switchyard {

ByteReservation::~ByteReservation() {
  if (budget_ != nullptr) budget_->Release(bytes_);
}

ByteBudget::ByteBudget(std::string name, int64_t max_bytes,
                       std::function<void(int64_t)> on_change)
    : name_(std::move(name)),
      max_bytes_(max_bytes),
      on_change_(std::move(on_change)) {}

absl::StatusOr<ByteReservation> ByteBudget::Reserve(int64_t num_bytes) {
  int64_t used = used_bytes_;
  do {
    if (num_bytes > max_bytes_ - used) {
      return absl::ResourceExhaustedError(
          absl::StrCat(name_, ": got ", num_bytes, " bytes, expected at most ",
                       max_bytes_ - used, " (", used, " of ", max_bytes_,
                       " bytes are in use)"));
    }
  } while (!used_bytes_.compare_exchange_weak(used, used + num_bytes));
  if (on_change_) on_change_(num_bytes);
  return ByteReservation(this, num_bytes);
}

void ByteBudget::Release(int64_t num_bytes) {
  used_bytes_ -= num_bytes;
  if (on_change_) on_change_(-num_bytes);
}

}  // namespace switchyard
