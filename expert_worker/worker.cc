#include "expert_worker/worker.h"

#include <algorithm>
#include <new>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/container/btree_map.h"
#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/concurrency/thread_pool.h"
#include "expert_worker/import/import_root.h"
#include "expert_worker/layer/call_checks.h"
#include "expert_worker/layer/expert_layer.h"
#include "expert_worker/store/byte_budget.h"
#include "expert_worker/store/expert_store.h"
#include "expert_worker/store/kept_activations.h"
#include "expert_worker/worker_metrics.h"

namespace switchyard {
namespace {

// The one place where an allocation that fails becomes a status: a request that
// asks for more memory than the machine has must not end the process.
template <typename Call>
auto CatchBadAlloc(Call call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("the system is out of memory");
  }
}

// A layer and its place on the metrics page.
struct HostedExperts {
  HostedExperts(ExpertLayer::Options options, LayerResources resources,
                std::unique_ptr<LayerSeries> layer_series)
      : series(std::move(layer_series)), layer(std::move(options), resources) {}

  const std::unique_ptr<LayerSeries> series;
  ExpertLayer layer;
};

}  // namespace

class Worker::Impl {
 public:
  Impl(WorkerOptions options, Clock& clock, prometheus::Registry& registry);

  absl::Status Load(const LoadExpertsRequest& request)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Unload(const std::string& layer) ABSL_LOCKS_EXCLUDED(mutex_);
  void UnloadAll() ABSL_LOCKS_EXCLUDED(mutex_);
  // FAILED_PRECONDITION if the layer is not hosted. Whoever has the pointer may
  // go on with the layer after it is unloaded.
  absl::StatusOr<std::shared_ptr<HostedExperts>> Find(
      const std::string& layer) const ABSL_LOCKS_EXCLUDED(mutex_);
  WorkerReport GetStatus() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Finds the layer and makes a call to it, measured.
  template <typename Call>
  auto WithLayer(WorkerCall name, const std::string& layer, Call call)
      -> decltype(call(std::declval<HostedExperts&>())) {
    const CallTimer timer(metrics_, name);
    return CatchBadAlloc(
        [&]() -> decltype(call(std::declval<HostedExperts&>())) {
          SWITCHYARD_ASSIGN_OR_RETURN(
              const std::shared_ptr<HostedExperts> experts, Find(layer));
          return call(*experts);
        });
  }

  void DropExpired() { kept_.DropExpired(clock_.Now()); }
  WorkerMetrics& metrics() { return metrics_; }
  ImportRoot& import_root() { return import_root_; }
  const std::string& worker_id() const { return options_.worker_id; }

 private:
  // Of one load. Null while the experts are being made: the name is taken.
  struct Entry {
    KeptActivations::LayerId id = 0;
    std::shared_ptr<HostedExperts> experts;
  };

  absl::StatusOr<KeptActivations::LayerId> Claim(const std::string& layer)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Unclaim(const std::string& layer, KeptActivations::LayerId id)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<std::shared_ptr<HostedExperts>> Make(
      const LoadExpertsRequest& request, std::vector<int32_t> expert_ids,
      KeptActivations::LayerId id);
  absl::Status Publish(const std::string& layer, KeptActivations::LayerId id,
                       std::shared_ptr<HostedExperts> experts)
      ABSL_LOCKS_EXCLUDED(mutex_);

  const WorkerOptions options_;
  Clock& clock_;

  // These synchronize themselves. Layers use them, and so come after.
  WorkerMetrics metrics_;
  ByteBudget parameter_budget_;
  ByteBudget kept_budget_;
  ByteBudget working_budget_;
  KeptActivations kept_;
  ThreadPool pool_;
  ImportRoot import_root_;

  mutable Mutex mutex_;
  KeptActivations::LayerId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::btree_map<std::string, Entry> layers_ ABSL_GUARDED_BY(mutex_);
};

Worker::Impl::Impl(WorkerOptions options, Clock& clock,
                   prometheus::Registry& registry)
    : options_(std::move(options)),
      clock_(clock),
      metrics_(registry),
      parameter_budget_(
          "parameters", options_.max_parameter_bytes,
          [this](int64_t change) { metrics_.AddParameterBytes(change); }),
      kept_budget_(
          "kept activations", options_.max_kept_activation_bytes,
          [this](int64_t change) { metrics_.AddKeptActivationBytes(change); }),
      working_budget_("working memory", options_.max_working_bytes),
      kept_(options_.kept_activation_ttl),
      pool_({.name = absl::StrCat("worker ", options_.worker_id, " compute"),
             .num_threads = std::max(options_.num_compute_threads, 0)}),
      import_root_(options_.import_root) {}

absl::Status Worker::Impl::Load(const LoadExpertsRequest& request) {
  SWITCHYARD_RETURN_IF_ERROR(Validate(request.spec));
  SWITCHYARD_ASSIGN_OR_RETURN(std::vector<int32_t> expert_ids,
                              CheckExpertIds(request));
  const std::string& name = request.spec.name;
  SWITCHYARD_ASSIGN_OR_RETURN(const KeptActivations::LayerId id, Claim(name));
  const auto unclaim = absl::MakeCleanup([&] { Unclaim(name, id); });
  SWITCHYARD_ASSIGN_OR_RETURN(std::shared_ptr<HostedExperts> experts,
                              Make(request, std::move(expert_ids), id));
  return Publish(name, id, std::move(experts));
}

absl::StatusOr<KeptActivations::LayerId> Worker::Impl::Claim(
    const std::string& layer) {
  MutexLock lock(mutex_);
  const auto [entry, inserted] = layers_.try_emplace(layer);
  if (!inserted) {
    return absl::AlreadyExistsError(
        absl::StrCat("layer '", layer, "' is hosted by worker ",
                     options_.worker_id, " already"));
  }
  entry->second.id = ++last_id_;
  return last_id_;
}

// Gives the name up again if nothing has been published under it.
void Worker::Impl::Unclaim(const std::string& layer,
                           KeptActivations::LayerId id) {
  MutexLock lock(mutex_);
  const auto found = layers_.find(layer);
  if (found != layers_.end() && found->second.id == id &&
      found->second.experts == nullptr) {
    layers_.erase(found);
  }
}

absl::StatusOr<std::shared_ptr<HostedExperts>> Worker::Impl::Make(
    const LoadExpertsRequest& request, std::vector<int32_t> expert_ids,
    KeptActivations::LayerId id) {
  const LayerSpec& spec = request.spec;
  const auto reserve = [&](ByteBudget& budget, int64_t num_bytes) {
    absl::StatusOr<ByteReservation> bytes = budget.Reserve(num_bytes);
    if (bytes.ok()) return bytes;
    return absl::StatusOr<ByteReservation>(absl::Status(
        bytes.status().code(),
        absl::StrCat("layer '", spec.name, "': ", bytes.status().message())));
  };
  SWITCHYARD_ASSIGN_OR_RETURN(
      ByteReservation parameter_bytes,
      reserve(parameter_budget_, ExpertStore::SizeBytes(spec, expert_ids)));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const ByteReservation making_bytes,
      reserve(working_budget_,
              ExpertStore::MakingBytes(spec, expert_ids, pool_)));
  SWITCHYARD_ASSIGN_OR_RETURN(std::unique_ptr<ExpertStore> store,
                              ExpertStore::Make(spec, expert_ids, pool_));
  return std::make_shared<HostedExperts>(
      ExpertLayer::Options{.spec = spec,
                           .generation = request.generation,
                           .id = id,
                           .store = std::move(store),
                           .parameter_bytes = std::move(parameter_bytes)},
      LayerResources{.worker_id = options_.worker_id,
                     .clock = clock_,
                     .pool = pool_,
                     .kept = kept_,
                     .kept_budget = kept_budget_,
                     .working_budget = working_budget_},
      metrics_.AddLayer(spec.name, std::move(expert_ids)));
}

absl::Status Worker::Impl::Publish(const std::string& layer,
                                   KeptActivations::LayerId id,
                                   std::shared_ptr<HostedExperts> experts) {
  MutexLock lock(mutex_);
  const auto found = layers_.find(layer);
  if (found == layers_.end() || found->second.id != id) {
    return absl::AbortedError(
        absl::StrCat("layer '", layer, "' was unloaded while being loaded"));
  }
  found->second.experts = std::move(experts);
  return absl::OkStatus();
}

// Experts are destroyed after the lock is released: that takes time.

void Worker::Impl::Unload(const std::string& layer) {
  Entry unloaded;
  MutexLock lock(mutex_);
  const auto found = layers_.find(layer);
  if (found == layers_.end()) return;
  unloaded = std::move(found->second);
  layers_.erase(found);
}

void Worker::Impl::UnloadAll() {
  absl::btree_map<std::string, Entry> unloaded;
  MutexLock lock(mutex_);
  unloaded.swap(layers_);
}

absl::StatusOr<std::shared_ptr<HostedExperts>> Worker::Impl::Find(
    const std::string& layer) const {
  MutexLock lock(mutex_);
  const auto found = layers_.find(layer);
  if (found == layers_.end() || found->second.experts == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("layer '", layer.substr(0, 128), "' not hosted by worker ",
                     options_.worker_id));
  }
  return found->second.experts;
}

WorkerReport Worker::Impl::GetStatus() const {
  WorkerReport report;
  report.worker_id = options_.worker_id;
  report.kept_activation_bytes = kept_budget_.used_bytes();
  report.max_kept_activation_bytes = kept_budget_.max_bytes();
  // Declared before the lock, as a layer unloaded meanwhile ends with it.
  std::vector<std::shared_ptr<HostedExperts>> hosted;
  {
    MutexLock lock(mutex_);
    for (const auto& [name, entry] : layers_) {
      if (entry.experts != nullptr) hosted.push_back(entry.experts);
    }
  }
  for (const auto& experts : hosted) {
    report.layers.push_back(experts->layer.GetStatus());
  }
  return report;
}

Worker::Worker(WorkerOptions options, Clock& clock,
               prometheus::Registry& metrics)
    : impl_(std::make_unique<Impl>(std::move(options), clock, metrics)) {}

Worker::~Worker() = default;

absl::Status Worker::LoadExperts(const LoadExpertsRequest& request) {
  const CallTimer timer(impl_->metrics(), WorkerCall::kLoadExperts);
  return CatchBadAlloc([&] { return impl_->Load(request); });
}

absl::Status Worker::UnloadExperts(const std::string& layer) {
  const CallTimer timer(impl_->metrics(), WorkerCall::kUnloadExperts);
  impl_->Unload(layer);
  return absl::OkStatus();
}

void Worker::UnloadAll() { impl_->UnloadAll(); }

absl::StatusOr<std::vector<ParameterSlice>> Worker::ReadExperts(
    const ReadExpertsRequest& request) {
  return impl_->WithLayer(
      WorkerCall::kReadExperts, request.layer,
      [&](HostedExperts& experts) { return experts.layer.Read(request); });
}

absl::Status Worker::WriteExperts(const WriteExpertsRequest& request) {
  return impl_->WithLayer(
      WorkerCall::kWriteExperts, request.layer,
      [&](HostedExperts& experts) { return experts.layer.Write(request); });
}

absl::Status Worker::ImportExperts(const ImportExpertsRequest& request) {
  return impl_->WithLayer(
      WorkerCall::kImportExperts, request.layer,
      [&](HostedExperts& experts) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(
            const std::shared_ptr<const CheckpointFolder> folder,
            impl_->import_root().Open(request.directory, request.fingerprint));
        return experts.layer.Import(*folder, request.expert_ids);
      });
}

absl::StatusOr<ExpertForwardResult> Worker::Forward(
    const ExpertForwardRequest& request, const CallContext& call) {
  impl_->DropExpired();
  return impl_->WithLayer(
      WorkerCall::kForward, request.layer, [&](HostedExperts& experts) {
        absl::StatusOr<ExpertForwardResult> result =
            experts.layer.Forward(request, call);
        if (result.ok()) experts.series->CountRoutes(request.route_experts);
        return result;
      });
}

absl::StatusOr<ExpertBackwardResult> Worker::Backward(
    const ExpertBackwardRequest& request, const CallContext& call) {
  return impl_->WithLayer(WorkerCall::kBackward, request.layer,
                          [&](HostedExperts& experts) {
                            return experts.layer.Backward(request, call);
                          });
}

absl::Status Worker::DropMicrobatch(const std::string& layer,
                                    const MicrobatchKey& key) {
  const auto experts = impl_->Find(layer);
  if (experts.ok()) (*experts)->layer.DropMicrobatch(key);
  return absl::OkStatus();
}

absl::StatusOr<PrepareStepResult> Worker::PrepareStep(const StepKey& key) {
  return impl_->WithLayer(
      WorkerCall::kPrepareStep, key.layer,
      [&](HostedExperts& experts) { return experts.layer.PrepareStep(key); });
}

absl::Status Worker::CommitStep(const StepKey& key, float learning_rate) {
  return impl_->WithLayer(WorkerCall::kCommitStep, key.layer,
                          [&](HostedExperts& experts) -> absl::Status {
                            SWITCHYARD_ASSIGN_OR_RETURN(
                                const CommitOutcome outcome,
                                experts.layer.CommitStep(key, learning_rate));
                            if (outcome == CommitOutcome::kApplied)
                              experts.series->CountStep();
                            return absl::OkStatus();
                          });
}

absl::Status Worker::AbortStep(const StepKey& key) {
  return impl_->WithLayer(
      WorkerCall::kAbortStep, key.layer,
      [&](HostedExperts& experts) { return experts.layer.AbortStep(key); });
}

WorkerReport Worker::GetStatus() const { return impl_->GetStatus(); }

const std::string& Worker::worker_id() const { return impl_->worker_id(); }

}  // namespace switchyard
