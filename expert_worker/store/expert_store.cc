#include "expert_worker/store/expert_store.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/model/parameters.h"
#include "expert_worker/store/scratch_slots.h"

namespace switchyard {
namespace {

bool HasBranch(const LayerSpec& spec, absl::Span<const int32_t> expert_ids) {
  return spec.dense_branch.has_value() &&
         std::count(expert_ids.begin(), expert_ids.end(), spec.branch_id()) > 0;
}

// Of the largest parameter.
int64_t LargestParameter(const LayerSpec& spec, int32_t expert_id) {
  int64_t largest = 0;
  for (const ParameterSpec& parameter : ExpertParameters(spec, expert_id)) {
    largest = std::max(largest, parameter.num_elements());
  }
  return largest;
}

}  // namespace

int64_t ExpertStore::SizeBytes(const LayerSpec& spec,
                               absl::Span<const int32_t> expert_ids) {
  const bool branch = HasBranch(spec, expert_ids);
  const int64_t num_routed =
      static_cast<int64_t>(expert_ids.size()) - (branch ? 1 : 0);
  return num_routed * StoredExpert::SizeBytes(spec, 0) +
         (branch ? StoredExpert::SizeBytes(spec, spec.branch_id()) : 0);
}

int64_t ExpertStore::MakingBytes(const LayerSpec& spec,
                                 absl::Span<const int32_t> expert_ids,
                                 const ThreadPool& pool) {
  int64_t largest = LargestParameter(spec, 0);
  if (HasBranch(spec, expert_ids)) {
    largest = std::max(largest, LargestParameter(spec, spec.branch_id()));
  }
  const auto num_experts = static_cast<int64_t>(expert_ids.size());
  return MaxTasksAtOnce(pool, num_experts) * largest *
         static_cast<int64_t>(sizeof(float));
}

ExpertStore::ExpertStore(std::vector<int32_t> expert_ids)
    : expert_ids_(std::move(expert_ids)), experts_(expert_ids_.size()) {}

absl::StatusOr<std::unique_ptr<ExpertStore>> ExpertStore::Make(
    const LayerSpec& spec, std::vector<int32_t> expert_ids, ThreadPool& pool) {
  auto store =
      std::unique_ptr<ExpertStore>(new ExpertStore(std::move(expert_ids)));
  // An exception must not leave a thread of the pool.
  std::atomic<bool> out_of_memory{false};
  pool.ParallelFor(store->num_hosted(), [&](int64_t hosted_idx) {
    const auto idx = static_cast<size_t>(hosted_idx);
    try {
      store->experts_[idx] =
          std::make_unique<StoredExpert>(spec, store->expert_ids_[idx]);
    } catch (const std::bad_alloc&) {
      out_of_memory = true;
    }
  });
  if (out_of_memory) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "layer '", spec.name, "': the system has no memory for ",
        SizeBytes(spec, store->expert_ids_), " bytes of parameters"));
  }
  return store;
}

int32_t ExpertStore::HostedIdx(int32_t expert_id) const {
  const auto found =
      std::lower_bound(expert_ids_.begin(), expert_ids_.end(), expert_id);
  if (found == expert_ids_.end() || *found != expert_id) return -1;
  return static_cast<int32_t>(found - expert_ids_.begin());
}

}  // namespace switchyard
