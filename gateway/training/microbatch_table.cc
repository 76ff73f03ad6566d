#include "gateway/training/microbatch_table.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace switchyard {
namespace {

// A forgotten table of taken numbers must not grow without end either.
constexpr size_t kMaxMicrobatchesPerStep = 1 << 16;

template <typename T>
int64_t VectorBytes(const std::vector<T>& v) {
  return static_cast<int64_t>(v.size() * sizeof(T));
}

}  // namespace

int64_t OpenMicrobatch::size_bytes() const {
  int64_t bytes = x.size_bytes() + jitter.size_bytes() + decision.size_bytes() +
                  routes.size_bytes();
  if (branch.has_value()) {
    bytes += VectorBytes(branch->expert_factors) +
             VectorBytes(branch->branch_weights);
  }
  for (const GroupDispatch& group : plan.groups) {
    bytes += VectorBytes(group.token_idx) + VectorBytes(group.route_tokens) +
             VectorBytes(group.route_experts) +
             VectorBytes(group.route_weights) +
             VectorBytes(group.route_entries);
  }
  return bytes;
}

absl::StatusOr<uint32_t> MicrobatchTable::Reserve(
    std::optional<uint32_t> microbatch, absl::Time now) {
  if (entries_.size() >= kMaxMicrobatchesPerStep) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "a step takes at most ", kMaxMicrobatchesPerStep, " microbatches"));
  }
  if (bytes_ >= max_bytes_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("open microbatches hold ", bytes_, " bytes, at most ",
                     max_bytes_, " may be kept; send Backward first"));
  }
  uint32_t number = 0;
  if (microbatch.has_value()) {
    number = *microbatch;
    if (entries_.contains(number)) {
      return absl::FailedPreconditionError(
          absl::StrCat("microbatch: got ", number,
                       ", expected a number not used in this step"));
    }
  } else {
    for (const auto& [used, entry] : entries_) {
      if (used != number) break;
      ++number;
    }
  }
  entries_[number].since = now;
  return number;
}

void MicrobatchTable::Release(uint32_t microbatch) {
  entries_.erase(microbatch);
}

void MicrobatchTable::Open(uint32_t microbatch, OpenMicrobatch kept) {
  const auto it = entries_.find(microbatch);
  if (it == entries_.end()) return;  // Cleared meanwhile.
  bytes_ += kept.size_bytes();
  it->second.phase = Phase::kOpen;
  it->second.kept = std::move(kept);
}

absl::StatusOr<const OpenMicrobatch*> MicrobatchTable::Find(
    uint64_t step, uint32_t microbatch) const {
  const auto it = entries_.find(microbatch);
  if (it != entries_.end() && it->second.phase == Phase::kOpen) {
    return &it->second.kept;
  }
  const char* const found =
      it == entries_.end()                ? "no Forward in train mode opened it"
      : it->second.phase == Phase::kTaken ? "it was already sent backward"
                                          : "its Forward is still in progress";
  return absl::FailedPreconditionError(absl::StrCat(
      "microbatch: got ", microbatch, ", expected an open microbatch of step ",
      step, "; ", found));
}

OpenMicrobatch MicrobatchTable::Take(uint32_t microbatch) {
  Entry& entry = entries_[microbatch];
  bytes_ -= entry.kept.size_bytes();
  entry.phase = Phase::kTaken;
  return std::exchange(entry.kept, OpenMicrobatch());
}

std::vector<uint32_t> MicrobatchTable::OpenNumbers() const {
  std::vector<uint32_t> numbers;
  for (const auto& [number, entry] : entries_) {
    if (entry.phase != Phase::kTaken) numbers.push_back(number);
  }
  return numbers;
}

std::optional<uint32_t> MicrobatchTable::FindExpired(absl::Time now) const {
  for (const auto& [number, entry] : entries_) {
    if (entry.phase == Phase::kOpen && now - entry.since > ttl_) return number;
  }
  return std::nullopt;
}

void MicrobatchTable::Clear() {
  entries_.clear();
  bytes_ = 0;
}

}  // namespace switchyard
