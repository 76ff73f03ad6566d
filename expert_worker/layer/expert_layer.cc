#include "expert_worker/layer/expert_layer.h"

#include <algorithm>
#include <cstddef>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/model/parameters.h"
#include "common/optimizer/optimizer.h"
#include "expert_worker/layer/call_checks.h"
#include "expert_worker/layer/expert_pass.h"
#include "expert_worker/layer/parameter_access.h"
#include "expert_worker/store/scratch_slots.h"

namespace switchyard {

namespace {

// Floats read at once: their scratch is 4 MiB, a row of the widest matrix.
constexpr int64_t kImportPieceElements = int64_t{1} << 20;

absl::Status ImportParameter(const LayerSpec& spec,
                             const CheckpointFolder& folder,
                             const ParameterSpec& parameter,
                             std::vector<float>& scratch,
                             StoredExpert& expert) {
  const int64_t num_elements = parameter.num_elements();
  const int64_t piece = kImportPieceElements / parameter.row_elements() *
                        parameter.row_elements();
  for (int64_t offset = 0; offset < num_elements;) {
    const int64_t num_read = std::min(piece, num_elements - offset);
    const absl::Span<float> values =
        absl::MakeSpan(scratch).subspan(0, static_cast<size_t>(num_read));
    SWITCHYARD_RETURN_IF_ERROR(
        folder.ReadParameter(spec, parameter, offset, values));
    if (const int64_t bad = FirstNonFinite(values); bad >= 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(folder.directory(), ": ", parameter.name, ": got ",
                       values[static_cast<size_t>(bad)], " as element ",
                       offset + bad, ", expected a finite number"));
    }
    expert.Write(ParameterKind::kValue, parameter.idx_in_expert, offset,
                 values);
    offset += num_read;
  }
  return absl::OkStatus();
}

// Runs on a thread of the pool, which no exception may leave.
absl::Status ImportExpert(const LayerSpec& spec, const CheckpointFolder& folder,
                          StoredExpert& expert) {
  try {
    std::vector<float> scratch(static_cast<size_t>(kImportPieceElements));
    for (const ParameterSpec& parameter :
         ExpertParameters(spec, expert.expert_id())) {
      SWITCHYARD_RETURN_IF_ERROR(
          ImportParameter(spec, folder, parameter, scratch, expert));
    }
    return absl::OkStatus();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("not enough memory to import");
  }
}

}  // namespace

ExpertLayer::ExpertLayer(Options options, LayerResources resources)
    : spec_(std::move(options.spec)),
      id_(options.id),
      expert_ids_(options.store->expert_ids()),
      resources_(resources),
      compute_(spec_),
      parameter_bytes_(std::move(options.parameter_bytes)),
      store_(std::move(options.store)),
      steps_(spec_.name, options.generation) {}

ExpertLayer::~ExpertLayer() { resources_.kept.DropLayer(id_); }

absl::StatusOr<std::vector<ParameterSlice>> ExpertLayer::Read(
    const ReadExpertsRequest& request) const {
  if (request.kind == ParameterKind::kGradient) {
    SWITCHYARD_RETURN_IF_ERROR(CheckTrains("a read of gradients"));
  }
  ReaderLock lock(parameters_mutex_);
  std::vector<ParameterSlice> slices;
  std::vector<ByteReservation> reservations;
  for (const ParameterRange& range : request.ranges) {
    SWITCHYARD_ASSIGN_OR_RETURN(
        const HostedParameter parameter,
        FindRange(spec_, *store_, resources_.worker_id, range));
    const int64_t num_bytes =
        range.num_elements * static_cast<int64_t>(sizeof(float));
    SWITCHYARD_ASSIGN_OR_RETURN(reservations.emplace_back(),
                                Reserve(resources_.working_budget, num_bytes));
    ParameterSlice& slice = slices.emplace_back();
    slice.name = range.name;
    slice.shape = parameter.shape;
    slice.offset = range.offset;
    slice.values.resize(static_cast<size_t>(range.num_elements));
    MutexLock gradients_lock(store_->gradients_mutex());
    store_->expert(parameter.hosted_idx)
        .Read(request.kind, parameter.idx_in_expert, slice.offset,
              absl::MakeSpan(slice.values));
  }
  return slices;
}

absl::Status ExpertLayer::Write(const WriteExpertsRequest& request) {
  if (request.kind == ParameterKind::kGradient) {
    SWITCHYARD_RETURN_IF_ERROR(CheckTrains("a write of gradients"));
  }
  WriterLock lock(parameters_mutex_);
  if (request.kind == ParameterKind::kGradient) {
    MutexLock steps_lock(steps_mutex_);
    SWITCHYARD_RETURN_IF_ERROR(steps_.AdmitGradientWrite());
  }
  std::vector<HostedParameter> parameters;
  parameters.reserve(request.slices.size());
  for (const ParameterSlice& slice : request.slices) {
    SWITCHYARD_ASSIGN_OR_RETURN(
        parameters.emplace_back(),
        FindSlice(spec_, *store_, resources_.worker_id, slice));
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    const ParameterSlice& slice = request.slices[i];
    store_->expert(parameters[i].hosted_idx)
        .Write(request.kind, parameters[i].idx_in_expert, slice.offset,
               slice.values);
  }
  return absl::OkStatus();
}

absl::Status ExpertLayer::Import(const CheckpointFolder& folder,
                                 const std::vector<int32_t>& expert_ids) {
  if (!spec_.origin.has_value()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "layer '", spec_.name, "' has no origin, expected an imported one"));
  }
  // Experts are written side by side, so none may be there twice.
  SWITCHYARD_ASSIGN_OR_RETURN(const std::vector<int32_t> rising,
                              SortExpertIds(expert_ids));
  WriterLock lock(parameters_mutex_);
  SWITCHYARD_ASSIGN_OR_RETURN(const std::vector<int32_t> hosted_idx,
                              FindHostedExperts(rising));
  const int64_t scratch_bytes =
      kImportPieceElements * static_cast<int64_t>(sizeof(float)) *
      MaxTasksAtOnce(resources_.pool, static_cast<int64_t>(hosted_idx.size()));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const ByteReservation working,
      Reserve(resources_.working_budget, scratch_bytes));
  ExpertStore& store = *store_;
  std::vector<absl::Status> results(hosted_idx.size());
  resources_.pool.ParallelFor(
      static_cast<int64_t>(hosted_idx.size()), [&](int64_t i) {
        const size_t idx = static_cast<size_t>(i);
        results[idx] =
            ImportExpert(spec_, folder, store.expert(hosted_idx[idx]));
      });
  for (const absl::Status& result : results) {
    SWITCHYARD_RETURN_IF_ERROR(result);
  }
  return absl::OkStatus();
}

absl::StatusOr<ExpertForwardResult> ExpertLayer::Forward(
    const ExpertForwardRequest& request, const CallContext& call) {
  const Stopwatch stopwatch;
  if (request.keep.has_value()) {
    SWITCHYARD_RETURN_IF_ERROR(CheckTrains("a Forward in train mode"));
  }
  SWITCHYARD_RETURN_IF_ERROR(CheckForward(request, spec_));
  ReaderLock lock(parameters_mutex_);
  SWITCHYARD_ASSIGN_OR_RETURN(const std::shared_ptr<KeptBatch> kept,
                              MakeBatch(request));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const ByteReservation working,
      Reserve(resources_.working_budget,
              ForwardWorkingBytes(kept->batch, compute_, resources_.pool)));
  ExpertForwardResult result;
  const CallWatch watch(call, resources_.clock);
  SWITCHYARD_ASSIGN_OR_RETURN(
      result.y, RunForward(*store_, compute_, request, watch, resources_.pool,
                           kept->batch));
  if (request.keep.has_value()) {
    resources_.kept.Put(id_, *request.keep, kept, resources_.clock.Now());
  }
  result.compute_us = stopwatch.ElapsedUs();
  return result;
}

absl::StatusOr<std::shared_ptr<KeptBatch>> ExpertLayer::MakeBatch(
    const ExpertForwardRequest& request) {
  SWITCHYARD_ASSIGN_OR_RETURN(const std::vector<int32_t> route_hosted_idx,
                              FindHostedExperts(request.route_experts));
  if (request.keep.has_value()) {
    {
      MutexLock steps_lock(steps_mutex_);
      SWITCHYARD_RETURN_IF_ERROR(
          steps_.AdmitForward(request.generation, request.keep->step));
    }
    // A repeated forward replaces its predecessor; both need not fit.
    resources_.kept.Drop(id_, *request.keep);
  }
  auto kept = std::make_shared<KeptBatch>();
  SWITCHYARD_ASSIGN_OR_RETURN(
      kept->reservation,
      Reserve(request.keep.has_value() ? resources_.kept_budget
                                       : resources_.working_budget,
              BatchBytes(request, compute_)));
  kept->batch = MakeRoutedBatch(request, route_hosted_idx, store_->num_hosted(),
                                compute_);
  return kept;
}

absl::StatusOr<ExpertBackwardResult> ExpertLayer::Backward(
    const ExpertBackwardRequest& request, const CallContext& call) {
  const Stopwatch stopwatch;
  SWITCHYARD_RETURN_IF_ERROR(CheckTrains("Backward"));
  SWITCHYARD_RETURN_IF_ERROR(CheckTokens("grad_y", request.grad_y,
                                         /*num_tokens=*/-1, spec_.hidden_size));
  ReaderLock lock(parameters_mutex_);
  {
    MutexLock steps_lock(steps_mutex_);
    SWITCHYARD_RETURN_IF_ERROR(steps_.AdmitBackward(request.generation));
  }
  const auto kept = resources_.kept.Find(id_, request.key);
  if (kept == nullptr) return NothingKept(request.key);
  SWITCHYARD_RETURN_IF_ERROR(CheckTokens(
      "grad_y", request.grad_y, kept->batch.num_tokens, spec_.hidden_size));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const ByteReservation working,
      Reserve(resources_.working_budget,
              BackwardWorkingBytes(kept->batch, compute_, resources_.pool)));
  const std::shared_ptr<KeptBatch> taken =
      resources_.kept.Take(id_, request.key, *kept);
  if (taken == nullptr) return NothingKept(request.key);
  const CallWatch watch(call, resources_.clock);
  SWITCHYARD_ASSIGN_OR_RETURN(
      ExpertBackwardResult result,
      RunBackward(*store_, compute_, request.grad_y, watch, resources_.pool,
                  taken->batch));
  result.compute_us = stopwatch.ElapsedUs();
  return result;
}

absl::StatusOr<PrepareStepResult> ExpertLayer::PrepareStep(const StepKey& key) {
  SWITCHYARD_RETURN_IF_ERROR(CheckTrains("PrepareStep"));
  WriterLock lock(parameters_mutex_);
  {
    MutexLock steps_lock(steps_mutex_);
    SWITCHYARD_RETURN_IF_ERROR(steps_.Prepare(key));
  }
  const ExpertStore& store = *store_;
  PrepareStepResult result;
  result.experts.resize(expert_ids_.size());
  resources_.pool.ParallelFor(store.num_hosted(), [&](int64_t hosted_idx) {
    const StoredExpert& expert = store.expert(hosted_idx);
    result.experts[static_cast<size_t>(hosted_idx)] = {
        .expert_id = expert.expert_id(),
        .squared_norm = expert.SquaredGradientNorm()};
  });
  return result;
}

absl::StatusOr<CommitOutcome> ExpertLayer::CommitStep(const StepKey& key,
                                                      float learning_rate) {
  SWITCHYARD_RETURN_IF_ERROR(CheckTrains("CommitStep"));
  SWITCHYARD_RETURN_IF_ERROR(CheckLearningRate(learning_rate));
  WriterLock lock(parameters_mutex_);
  // Made first: once admitted, a commit does not fail.
  ScratchSlots<UpdateScratch> slots(
      MaxTasksAtOnce(resources_.pool, store_->num_hosted()),
      [] { return StoredExpert::MakeUpdateScratch(); });
  {
    MutexLock steps_lock(steps_mutex_);
    SWITCHYARD_ASSIGN_OR_RETURN(const CommitOutcome outcome,
                                steps_.AdmitCommit(key));
    if (outcome == CommitOutcome::kRepeated) return outcome;
  }
  ExpertStore& store = *store_;
  const int64_t step_number = static_cast<int64_t>(key.step) + 1;
  resources_.pool.ParallelFor(store.num_hosted(), [&](int64_t hosted_idx) {
    const ScratchSlots<UpdateScratch>::Loan slot = slots.Take();
    store.expert(hosted_idx)
        .Update(spec_.optimizer, learning_rate, step_number, *slot);
  });
  {
    MutexLock steps_lock(steps_mutex_);
    steps_.FinishCommit();
  }
  resources_.kept.DropLayer(id_);
  return CommitOutcome::kApplied;
}

absl::Status ExpertLayer::AbortStep(const StepKey& key) {
  WriterLock lock(parameters_mutex_);
  {
    MutexLock steps_lock(steps_mutex_);
    SWITCHYARD_RETURN_IF_ERROR(steps_.Abort(key));
  }
  ExpertStore& store = *store_;
  for (int64_t i = 0; i < store.num_hosted(); ++i) {
    store.expert(i).ZeroGradients();
  }
  resources_.kept.DropLayer(id_);
  return absl::OkStatus();
}

HostedLayer ExpertLayer::GetStatus() const {
  MutexLock lock(steps_mutex_);
  return {.layer = spec_.name,
          .expert_ids = expert_ids_,
          .step = steps_.committed_steps(),
          .parameter_bytes = parameter_bytes_.bytes()};
}

absl::StatusOr<ByteReservation> ExpertLayer::Reserve(ByteBudget& budget,
                                                     int64_t num_bytes) const {
  absl::StatusOr<ByteReservation> reservation = budget.Reserve(num_bytes);
  if (reservation.ok()) return reservation;
  return absl::Status(reservation.status().code(),
                      absl::StrCat("layer '", spec_.name,
                                   "': ", reservation.status().message()));
}

absl::StatusOr<std::vector<int32_t>> ExpertLayer::FindHostedExperts(
    const std::vector<int32_t>& route_experts) const {
  std::vector<int32_t> route_hosted_idx(route_experts.size());
  for (size_t i = 0; i < route_experts.size(); ++i) {
    route_hosted_idx[i] = store_->HostedIdx(route_experts[i]);
    if (route_hosted_idx[i] < 0) {
      return ExpertNotHosted(route_experts[i], spec_.name,
                             resources_.worker_id);
    }
  }
  return route_hosted_idx;
}

absl::Status ExpertLayer::CheckTrains(absl::string_view call) const {
  if (!spec_.inference_only) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("layer '", spec_.name, "' is inference_only: got ", call,
                   ", expected no call of training"));
}

absl::Status ExpertLayer::NothingKept(const MicrobatchKey& key) const {
  return absl::FailedPreconditionError(absl::StrCat(
      "layer '", spec_.name, "': nothing is kept of step ", key.step,
      ", microbatch ", key.microbatch, " on worker ", resources_.worker_id));
}

}  // namespace switchyard
