#include "expert_worker/store/expert_store.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/model/parameters.h"

namespace switchyard {
namespace {

// Tensors that the optimizer keeps per parameter, as MakeOptimizerState.
int64_t NumMoments(const OptimizerSpec& optimizer) {
  const auto* sgd = std::get_if<SgdSpec>(&optimizer);
  if (sgd == nullptr) return 2;
  return sgd->momentum != 0 ? 1 : 0;
}

}  // namespace

int64_t ExpertStore::SizeBytes(const LayerSpec& spec, int64_t num_experts) {
  int64_t elements_per_expert = 0;
  for (const ParameterSpec& parameter : ExpertParameters(spec, 0)) {
    elements_per_expert += parameter.num_elements();
  }
  const int64_t copies = 2 + NumMoments(spec.optimizer);
  return num_experts * elements_per_expert * copies *
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
        SizeBytes(spec, store->num_hosted()), " bytes of parameters"));
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
