#include "gateway/layer/moe_layer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "gateway/layer/batch_routing.h"
#include "gateway/layer/expert_import.h"
#include "gateway/layer/expert_loading.h"
#include "gateway/layer/parameter_access.h"
#include "gateway/layer/request_checks.h"
#include "gateway/layer/step_coordinator.h"
#include "gateway/placement/spread_policy.h"
#include "gateway/routing/loss_head.h"

namespace switchyard {
namespace {

// An eval forward is planned anew when a worker is lost under it; with each
// attempt at least one worker fewer is left, so this bounds only bad luck.
constexpr int kMaxForwardAttempts = 4;

absl::Status CheckGateBytes(const LayerSpec& spec, int64_t max_gate_bytes) {
  const int64_t gate_bytes = Gate::SizeBytes(spec);
  if (gate_bytes <= max_gate_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "the gate of layer '", spec.name, "' (num_experts ", spec.num_experts,
      ", hidden_size ", spec.hidden_size, ") takes ", gate_bytes,
      " bytes, at most ", max_gate_bytes, " may be used"));
}

LossGradient ComputeHead(const LossHead& head, const Tensor& y) {
  if (const auto* mse = std::get_if<MeanSquaredErrorHead>(&head)) {
    return MeanSquaredError(y, mse->target);
  }
  return SoftmaxCrossEntropy(y, std::get<CrossEntropyHead>(head).labels);
}

Routes RoutesOf(const RoutingDecision& decision) {
  return {.k = decision.k,
          .expert_ids = decision.expert_ids,
          .slots = decision.slots,
          .weights = decision.weights};
}

void Add(Timing& sum, const Timing& part) {
  sum.gate_us += part.gate_us;
  sum.workers_wait_us += part.workers_wait_us;
  sum.worker_compute_us += part.worker_compute_us;
}

}  // namespace

absl::StatusOr<std::shared_ptr<MoeLayer>> MoeLayer::Create(
    LayerSpec spec,
    const absl::btree_map<std::string, std::shared_ptr<ExpertGroup>>& groups,
    uint64_t generation, MoeLayerEnvironment environment,
    const CallContext& call) {
  SWITCHYARD_RETURN_IF_ERROR(
      CheckGateBytes(spec, environment.limits.max_gate_bytes));
  SWITCHYARD_ASSIGN_OR_RETURN(auto membership,
                              PlaceExperts(spec, groups, generation, call));
  return std::make_shared<MoeLayer>(std::move(spec), std::move(membership),
                                    std::move(environment));
}

MoeLayer::MoeLayer(LayerSpec spec,
                   std::shared_ptr<const LayerMembership> membership,
                   MoeLayerEnvironment environment)
    : spec_(std::move(spec)),
      environment_(std::move(environment)),
      load_(spec_, environment_.metrics),
      merger_(environment_.limits.merge, environment_.clock,
              environment_.metrics,
              [this](const LayerMembership& members, const TokenRoutes& routes,
                     const Tensor& x, const CallContext& call) {
                return DispatchForward(members, routes, x, call);
              }),
      gate_(spec_),
      membership_(std::move(membership)),
      microbatches_(environment_.limits.max_open_microbatch_bytes,
                    environment_.limits.microbatch_ttl),
      importing_(environment_.awaits_import) {}

absl::StatusOr<ForwardResult> MoeLayer::Forward(const ForwardRequest& request,
                                                const CallContext& call,
                                                const GateDraws* draws) {
  const Stopwatch stopwatch;
  SWITCHYARD_RETURN_IF_ERROR(CheckForward(spec_, request));
  SWITCHYARD_RETURN_IF_ERROR(CheckImported());
  ReaderLock lock(step_lock_);
  SWITCHYARD_RETURN_IF_ERROR(call.Check(environment_.clock));
  absl::StatusOr<ForwardResult> result =
      request.mode == Mode::kTrain ? ForwardTrain(request, call, draws)
                                   : ForwardEval(request, call, draws);
  if (result.ok()) result->timing.gateway_us = stopwatch.ElapsedUs();
  return result;
}

absl::StatusOr<ForwardResult> MoeLayer::ForwardEval(
    const ForwardRequest& request, const CallContext& call,
    const GateDraws* draws) {
  absl::Status error;
  for (int attempt = 0; attempt < kMaxForwardAttempts; ++attempt) {
    SWITCHYARD_ASSIGN_OR_RETURN(const auto membership, Membership());
    absl::StatusOr<ForwardPass> pass = RunForward(
        request, membership, {.call = call, .routing = {.given_draws = draws}});
    if (pass.ok()) return std::move(pass->result);
    error = pass.status();
    if (!absl::IsUnavailable(error)) return error;
  }
  return error;
}

absl::StatusOr<ForwardResult> MoeLayer::ForwardTrain(
    const ForwardRequest& request, const CallContext& call,
    const GateDraws* draws) {
  std::shared_ptr<const LayerMembership> membership;
  MicrobatchKey key;
  ForwardOptions options = {.call = call, .routing = {.given_draws = draws}};
  {
    MutexLock lock(state_mutex_);
    SWITCHYARD_RETURN_IF_ERROR(CheckServingLocked());
    membership = membership_;
    BreakIfExpiredLocked();
    SWITCHYARD_RETURN_IF_ERROR(step_state_.OnForward());
    key.step = step_state_.step();
    SWITCHYARD_ASSIGN_OR_RETURN(
        key.microbatch,
        microbatches_.Reserve(request.microbatch, environment_.clock.Now()));
    key.attempt = ++last_attempt_;
    options.routing.step_routing = step_routing_;
  }
  options.routing.keep = key;
  absl::StatusOr<ForwardPass> pass = RunForward(request, membership, options);
  if (!pass.ok()) {
    {
      MutexLock lock(state_mutex_);
      microbatches_.Release(key.microbatch);
    }
    DropMicrobatch(*membership, key);
    return TrainingError(pass.status());
  }
  ForwardResult result = std::move(pass->result);
  result.step = key.step;
  result.microbatch = key.microbatch;
  pass->kept.attempt = key.attempt;
  pass->kept.x = request.x.Clone();
  MutexLock lock(state_mutex_);
  step_routing_.Add(result.expert_counts);
  microbatches_.Open(key.microbatch, std::move(pass->kept));
  return result;
}

absl::StatusOr<MoeLayer::ForwardPass> MoeLayer::RunForward(
    const ForwardRequest& request,
    const std::shared_ptr<const LayerMembership>& membership,
    const ForwardOptions& options) {
  const Stopwatch gate_stopwatch;
  ForwardPass pass;
  pass.kept = RouteBatch(spec_, gate_, request, options.routing);
  const RoutingDecision& decision = pass.kept.decision;
  const std::optional<Tensor> jittered =
      JitterForExperts(spec_, pass.kept, request.x);
  pass.result.timing.gate_us = gate_stopwatch.ElapsedUs();
  environment_.metrics.ObserveStage(Stage::kGate, pass.result.timing.gate_us);

  const Tensor& x = jittered.has_value() ? *jittered : request.x;
  SWITCHYARD_ASSIGN_OR_RETURN(
      pass.kept.plan, PlanDispatch(pass.kept.routes, membership->placement));
  SWITCHYARD_ASSIGN_OR_RETURN(
      ForwardExchange exchange,
      request.mode == Mode::kEval && environment_.limits.merge.max_tokens > 0
          ? merger_.Run(membership, pass.kept.routes, x, options.call)
          : ExchangeForward(Context(*membership, options.call), pass.kept.plan,
                            pass.kept.routes, x, options.routing.keep));
  load_.OnForward(request.mode, decision, pass.kept.plan,
                  membership->placement);

  pass.result.y = std::move(exchange.y);
  pass.result.y.Reshape(request.x.shape());
  pass.result.aux_loss = decision.aux_loss;
  pass.result.aux_loss_terms = decision.aux_loss_terms;
  pass.result.expert_counts = decision.expert_counts;
  pass.result.kept_counts = decision.kept_counts;
  pass.result.capacity = decision.capacity;
  if (request.return_routes) pass.result.routes = RoutesOf(decision);
  pass.result.timing.workers_wait_us = exchange.timing.wait_us;
  pass.result.timing.worker_compute_us = exchange.timing.compute_us;
  return pass;
}

absl::StatusOr<ForwardExchange> MoeLayer::DispatchForward(
    const LayerMembership& membership, const TokenRoutes& routes,
    const Tensor& x, const CallContext& call) const {
  SWITCHYARD_ASSIGN_OR_RETURN(const DispatchPlan plan,
                              PlanDispatch(routes, membership.placement));
  return ExchangeForward(Context(membership, call), plan, routes, x,
                         /*keep=*/std::nullopt);
}

absl::StatusOr<BackwardResult> MoeLayer::Backward(
    const BackwardRequest& request, const CallContext& call) {
  const Stopwatch stopwatch;
  ReaderLock lock(step_lock_);
  SWITCHYARD_RETURN_IF_ERROR(call.Check(environment_.clock));
  absl::StatusOr<BackwardResult> result = BackwardLocked(request, call);
  if (result.ok()) result->timing.gateway_us = stopwatch.ElapsedUs();
  return result;
}

absl::StatusOr<BackwardResult> MoeLayer::BackwardLocked(
    const BackwardRequest& request, const CallContext& call) {
  std::shared_ptr<const LayerMembership> membership;
  OpenMicrobatch microbatch;
  {
    MutexLock lock(state_mutex_);
    SWITCHYARD_RETURN_IF_ERROR(CheckServingLocked());
    SWITCHYARD_RETURN_IF_ERROR(step_state_.CheckMicrobatchStep(request.step));
    SWITCHYARD_ASSIGN_OR_RETURN(
        const OpenMicrobatch* const found,
        microbatches_.Find(request.step, request.microbatch));
    SWITCHYARD_RETURN_IF_ERROR(CheckBackward(request, *found));
    membership = membership_;
    microbatch = microbatches_.Take(request.microbatch);
  }
  absl::StatusOr<BackwardExchange> exchange = ExchangeBackward(
      Context(*membership, call), microbatch.plan, microbatch.routes,
      request.grad_y, {request.step, request.microbatch, microbatch.attempt});
  if (!exchange.ok()) {
    // Some workers may have added this microbatch's gradients, others not.
    BreakStep(absl::StrCat("Backward of microbatch ", request.microbatch,
                           " failed: ", exchange.status().message()));
    return TrainingError(exchange.status());
  }
  const Stopwatch gate_stopwatch;
  BackwardResult result;
  result.grad_topk_weights = BackpropagateRouting(
      spec_, gate_, microbatch, request.grad_aux_loss, *exchange);
  result.timing.gate_us = gate_stopwatch.ElapsedUs();
  environment_.metrics.ObserveStage(Stage::kGateBackward,
                                    result.timing.gate_us);
  result.timing.workers_wait_us = exchange->timing.wait_us;
  result.timing.worker_compute_us = exchange->timing.compute_us;
  result.grad_x = std::move(exchange->grad_x);
  result.grad_x.Reshape(request.grad_y.shape());
  MutexLock lock(state_mutex_);
  step_state_.OnBackward();
  return result;
}

absl::StatusOr<StepResult> MoeLayer::Step(const StepRequest& request,
                                          const CallContext& call) {
  const Stopwatch stopwatch;
  SWITCHYARD_RETURN_IF_ERROR(CheckTrainable(spec_));
  SWITCHYARD_RETURN_IF_ERROR(CheckLearningRate(request.learning_rate));
  WriterLock lock(step_lock_);
  SWITCHYARD_RETURN_IF_ERROR(call.Check(environment_.clock));
  {
    MutexLock state_lock(state_mutex_);
    if (request.discard && request.step != step_state_.step()) {
      return absl::FailedPreconditionError(
          absl::StrCat("step: got ", request.step, ", expected ",
                       step_state_.step(), ", the step that is open"));
    }
    BreakIfExpiredLocked();
    if (!request.discard) {
      SWITCHYARD_RETURN_IF_ERROR(CheckServingLocked());
      SWITCHYARD_ASSIGN_OR_RETURN(
          const StepState::Action action,
          step_state_.CheckStep(request.step, microbatches_.OpenNumbers()));
      if (action == StepState::Action::kRepeatAnswer) {
        return *step_state_.last_result();
      }
    }
  }
  if (request.discard) {
    DiscardLocked();
    return StepResult{.step = request.step,
                      .timing = {.gateway_us = stopwatch.ElapsedUs()}};
  }
  absl::StatusOr<StepResult> result = CommitLocked(request.learning_rate, call);
  if (result.ok()) result->timing.gateway_us = stopwatch.ElapsedUs();
  return result;
}

absl::StatusOr<StepResult> MoeLayer::CommitLocked(float learning_rate,
                                                  const CallContext& call) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto membership, Membership());
  uint64_t step = 0;
  StepRouting step_routing;
  {
    MutexLock lock(state_mutex_);
    step = step_state_.step();
    step_routing = step_routing_;
  }
  const Stopwatch prepare_stopwatch;
  const absl::StatusOr<double> experts_squared_norm =
      PrepareExperts(Context(*membership, call), step);
  if (!experts_squared_norm.ok()) {
    return TrainingError(experts_squared_norm.status());
  }
  if (const auto parameter = gate_.NonFiniteGradient(); parameter) {
    return absl::FailedPreconditionError(absl::StrCat(
        "gradient of ", *parameter,
        " is not finite, expected finite gradients; send Step with discard to "
        "go on"));
  }
  const double gate_squared_norm = gate_.GradientSquaredNorm();
  environment_.metrics.ObserveStage(Stage::kPrepare,
                                    prepare_stopwatch.ElapsedUs());

  // Decided: from here on the step ends whatever becomes of the client.
  const Stopwatch commit_stopwatch;
  const absl::Time commit_deadline =
      environment_.clock.Now() + environment_.limits.worker_call_timeout;
  CommitExperts(Context(*membership, commit_deadline), step, learning_rate);
  gate_.Update(learning_rate, static_cast<int64_t>(step) + 1);
  gate_.UpdateCorrectionBias(step_routing.expert_counts);
  load_.OnStep();
  environment_.metrics.ObserveStage(Stage::kCommit,
                                    commit_stopwatch.ElapsedUs());
  StepResult result;
  result.step = step + 1;
  result.grad_norm = std::sqrt(*experts_squared_norm + gate_squared_norm);
  result.timing.workers_wait_us = prepare_stopwatch.ElapsedUs();
  {
    MutexLock lock(state_mutex_);
    step_state_.Commit(result);
    microbatches_.Clear();
    step_routing_ = StepRouting();
  }
  SWITCHYARD_RETURN_IF_ERROR(Membership().status());
  return result;
}

absl::Status MoeLayer::DiscardAfter(const absl::Status& error) {
  std::optional<std::string> broken_reason;
  uint64_t step = 0;
  {
    MutexLock lock(state_mutex_);
    if (step_state_.clean()) return error;
    broken_reason = step_state_.broken_reason();
    step = step_state_.step();
  }
  DiscardLocked();
  if (!absl::IsAborted(error) || !broken_reason.has_value()) return error;
  return absl::AbortedError(absl::StrCat(
      "step ", step, " was discarded: ", *broken_reason, "; repeat it"));
}

void MoeLayer::DiscardLocked() {
  std::shared_ptr<const LayerMembership> membership;
  uint64_t step = 0;
  {
    MutexLock lock(state_mutex_);
    membership = membership_;
    step = step_state_.step();
    step_state_.Discard();
    microbatches_.Clear();
    step_routing_ = StepRouting();
  }
  gate_.ZeroGradient();
  AbortExperts(
      Context(*membership, environment_.clock.Now() +
                               environment_.limits.worker_call_timeout),
      step);
}

absl::StatusOr<TrainStepResult> MoeLayer::TrainStep(
    const TrainStepRequest& request, const CallContext& call) {
  const Stopwatch stopwatch;
  SWITCHYARD_RETURN_IF_ERROR(CheckTrainStep(spec_, request));
  SWITCHYARD_RETURN_IF_ERROR(CheckImported());
  WriterLock lock(step_lock_);
  SWITCHYARD_RETURN_IF_ERROR(call.Check(environment_.clock));
  {
    MutexLock state_lock(state_mutex_);
    if (!step_state_.clean()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "step ", step_state_.step(),
          " has microbatches of Forward calls, expected none: TrainStep is a "
          "whole step; end that one with Step first"));
    }
  }
  absl::StatusOr<TrainStepResult> result = TrainStepLocked(request, call);
  if (!result.ok()) return DiscardAfter(result.status());
  result->timing.gateway_us = stopwatch.ElapsedUs();
  return result;
}

absl::StatusOr<TrainStepResult> MoeLayer::TrainStepLocked(
    const TrainStepRequest& request, const CallContext& call) {
  ForwardRequest forward_request;
  forward_request.layer = request.layer;
  forward_request.mode = Mode::kTrain;
  forward_request.used_tokens = request.used_tokens;
  forward_request.x = request.x.Clone();
  SWITCHYARD_ASSIGN_OR_RETURN(ForwardResult forward,
                              ForwardTrain(forward_request, call, nullptr));

  LossGradient head = ComputeHead(request.head, forward.y);
  BackwardRequest backward_request;
  backward_request.layer = request.layer;
  backward_request.step = forward.step;
  backward_request.microbatch = forward.microbatch;
  backward_request.grad_aux_loss = spec_.aux_loss_coefficient;
  backward_request.grad_y = std::move(head.grad_y);
  backward_request.grad_y.Reshape(request.x.shape());
  SWITCHYARD_ASSIGN_OR_RETURN(BackwardResult backward,
                              BackwardLocked(backward_request, call));
  SWITCHYARD_ASSIGN_OR_RETURN(const StepResult step,
                              CommitLocked(request.learning_rate, call));
  TrainStepResult result;
  result.head_loss = head.loss;
  result.aux_loss = forward.aux_loss;
  result.loss = head.loss + spec_.aux_loss_coefficient * forward.aux_loss;
  result.expert_counts = std::move(forward.expert_counts);
  result.kept_counts = std::move(forward.kept_counts);
  result.step = step.step;
  result.grad_norm = step.grad_norm;
  if (request.return_grad_x) result.grad_x = std::move(backward.grad_x);
  Add(result.timing, forward.timing);
  Add(result.timing, backward.timing);
  Add(result.timing, step.timing);
  return result;
}

absl::StatusOr<ReadParametersResult> MoeLayer::ReadParameters(
    const ReadParametersRequest& request, const CallContext& call) {
  if (request.kind == ParameterKind::kGradient) {
    SWITCHYARD_RETURN_IF_ERROR(CheckTrainable(spec_));
  }
  ReaderLock lock(step_lock_);
  SWITCHYARD_ASSIGN_OR_RETURN(const auto membership, Membership());
  SWITCHYARD_ASSIGN_OR_RETURN(
      ReadParametersResult page,
      ReadParameterPage(Context(*membership, call), gate_, request));
  MutexLock state_lock(state_mutex_);
  page.step = step_state_.step();
  return page;
}

absl::Status MoeLayer::WriteParameters(const WriteParametersRequest& request,
                                       const CallContext& call) {
  SWITCHYARD_RETURN_IF_ERROR(CheckWriteParameters(spec_, request));
  WriterLock lock(step_lock_);
  SWITCHYARD_RETURN_IF_ERROR(call.Check(environment_.clock));
  SWITCHYARD_ASSIGN_OR_RETURN(const auto membership, Membership());
  // A client that leaves must not leave half of it behind.
  return WriteParameterSlices(Context(*membership, call.deadline()), gate_,
                              request);
}

absl::StatusOr<ImportParametersResult> MoeLayer::ImportParameters(
    const ImportParametersRequest& request, const CallContext& call) {
  SWITCHYARD_RETURN_IF_ERROR(CheckImportParameters(spec_, request));
  WriterLock lock(step_lock_);
  SWITCHYARD_ASSIGN_OR_RETURN(const auto membership, Membership());
  SWITCHYARD_ASSIGN_OR_RETURN(
      ImportParametersResult result,
      ImportExperts(Context(*membership, call), request));
  if (request.finish) {
    MutexLock state_lock(state_mutex_);
    importing_ = false;
  }
  return result;
}

void MoeLayer::Unload(const CallContext& call) {
  WriterLock lock(step_lock_);
  std::shared_ptr<const LayerMembership> membership;
  {
    MutexLock state_lock(state_mutex_);
    membership = membership_;
  }
  // To its end, once it has begun.
  UnloadExperts(*membership, spec_.name, call.deadline());
}

void MoeLayer::OnWorkerGone(const std::string& worker_id,
                            const std::string& reason, uint64_t generation) {
  MutexLock lock(state_mutex_);
  const std::vector<std::string>& workers = membership_->placement.workers();
  if (!std::binary_search(workers.begin(), workers.end(), worker_id)) return;
  Placement placement(WithoutWorker(membership_->placement.map(), worker_id));
  std::vector<std::shared_ptr<ExpertGroup>> groups;
  for (size_t w = 0; w < workers.size(); ++w) {
    if (workers[w] != worker_id) groups.push_back(membership_->groups[w]);
  }
  const std::vector<int32_t> lost = placement.LostExperts();
  const std::string what =
      absl::StrCat("worker '", worker_id, "' was lost (", reason, ")");
  if (!lost.empty() && lost_reason_.empty()) {
    lost_reason_ =
        absl::StrCat(what, " with the only replica of expert",
                     lost.size() > 1 ? "s " : " ", absl::StrJoin(lost, ", "));
  }
  step_state_.Break(what);
  membership_ = std::make_shared<const LayerMembership>(
      LayerMembership{generation, std::move(placement), std::move(groups)});
}

LayerStatus MoeLayer::Status() const {
  MutexLock lock(state_mutex_);
  return {.spec = spec_,
          .state = !lost_reason_.empty() ? LayerState::kLostExperts
                   : importing_          ? LayerState::kImporting
                                         : LayerState::kServing,
          .state_reason = !lost_reason_.empty() ? lost_reason_
                          : importing_ ? "its parameters are being imported"
                                       : "",
          .step = step_state_.step(),
          .num_open_microbatches =
              static_cast<int32_t>(microbatches_.OpenNumbers().size()),
          .placement = membership_->placement.map()};
}

absl::StatusOr<std::shared_ptr<const LayerMembership>> MoeLayer::Membership()
    const {
  MutexLock lock(state_mutex_);
  SWITCHYARD_RETURN_IF_ERROR(CheckServingLocked());
  return membership_;
}

absl::Status MoeLayer::CheckImported() const {
  MutexLock lock(state_mutex_);
  if (!importing_) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("layer '", spec_.name,
                   "' is being imported, expected all its parameters; delete "
                   "it if the import was given up"));
}

absl::Status MoeLayer::CheckServingLocked() const {
  if (lost_reason_.empty()) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("layer '", spec_.name, "': ", lost_reason_,
                   "; delete the layer and create it anew"));
}

ExchangeContext MoeLayer::Context(const LayerMembership& membership,
                                  const CallContext& call) const {
  return {.spec = spec_,
          .membership = membership,
          .metrics = environment_.metrics,
          .report_lost = environment_.report_lost,
          .groups = environment_.groups,
          .call = call.Until(environment_.clock.Now() +
                             environment_.limits.worker_call_timeout)};
}

void MoeLayer::DropMicrobatch(const LayerMembership& membership,
                              const MicrobatchKey& key) const {
  const absl::Time deadline =
      environment_.clock.Now() + environment_.limits.worker_call_timeout;
  const auto layer = std::make_shared<const std::string>(spec_.name);
  for (const std::shared_ptr<ExpertGroup>& group : membership.groups) {
    // A worker that does not hear it forgets by itself, in time.
    group->DropMicrobatch(*layer, key, deadline, [layer](absl::Status) {});
  }
}

void MoeLayer::BreakStep(const std::string& reason) {
  MutexLock lock(state_mutex_);
  step_state_.Break(reason);
}

absl::Status MoeLayer::TrainingError(const absl::Status& error) const {
  MutexLock lock(state_mutex_);
  SWITCHYARD_RETURN_IF_ERROR(CheckServingLocked());
  const absl::Status broken =
      step_state_.CheckMicrobatchStep(step_state_.step());
  return broken.ok() ? error : broken;
}

void MoeLayer::BreakIfExpiredLocked() {
  const std::optional<uint32_t> expired =
      microbatches_.FindExpired(environment_.clock.Now());
  if (!expired.has_value()) return;
  step_state_.Break(
      absl::StrCat("microbatch ", *expired, " had no Backward for ",
                   absl::FormatDuration(environment_.limits.microbatch_ttl)));
}

}  // namespace switchyard
