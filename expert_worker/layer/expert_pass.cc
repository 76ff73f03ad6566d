#include "expert_worker/layer/expert_pass.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

#include "absl/functional/function_ref.h"
#include "common/base/status_macros.h"
#include "expert_worker/compute/cpu/dot_product.h"
#include "expert_worker/dispatch/combine.h"
#include "expert_worker/layer/stage_tasks.h"
#include "expert_worker/store/scratch_slots.h"

namespace switchyard {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);

bool WeighsInputs(const RoutedBatch& batch) {
  return batch.weight_application == WeightApplication::kInput;
}

// Rows of `tokens` that the batch of a request has.
int64_t NumTokenRows(const ExpertForwardRequest& request,
                     const LayerCompute& compute) {
  const bool kept = request.keep.has_value() &&
                    compute.weight_application() == WeightApplication::kInput;
  return kept ? request.x.rows() : 0;
}

int64_t NumTasksAtOnce(const ThreadPool& pool) {
  return pool.num_threads() + 1;
}

// Scratch and result, which both passes need.
int64_t CommonWorkingFloats(const RoutedBatch& batch,
                            const LayerCompute& compute,
                            const ThreadPool& pool) {
  const int64_t result_rows =
      batch.exact_combine ? batch.num_routes() : batch.num_tokens;
  return compute.ScratchFloats(batch.num_routes(), batch.num_branch_routes) +
         result_rows * batch.inputs.cols() +
         NumTasksAtOnce(pool) * kProductScratchFloats;
}

// Scratch for the products of the tasks that run at the same time.
ScratchSlots<Tensor> MakeProductScratch(const ThreadPool& pool) {
  return ScratchSlots<Tensor>(NumTasksAtOnce(pool), [] {
    return Tensor::Uninitialized({kProductScratchFloats});
  });
}

// Calls body(row) for each row of the batch, in parallel. Some rows a task: few
// are not worth a thread.
void ForEachRow(const RoutedBatch& batch, ThreadPool& pool,
                absl::FunctionRef<void(int64_t)> body) {
  constexpr int64_t kRowsPerTask = 32;
  const int64_t num_rows = batch.num_routes();
  pool.ParallelFor(
      (num_rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task) {
        const int64_t begin = task * kRowsPerTask;
        const int64_t end = std::min(begin + kRowsPerTask, num_rows);
        for (int64_t row = begin; row < end; ++row) body(row);
      });
}

// Calls body(segment, blocks, product_scratch) for all blocks of a stage of all
// segments, in parallel; stages_of(compute) are those of an expert. Skips
// blocks once the call of `watch`, if any, is over. False if no segment has
// that stage.
bool RunStage(
    size_t stage, const RoutedBatch& batch, const ExpertStore& store,
    const LayerCompute& compute, ThreadPool& pool,
    absl::FunctionRef<const Stages&(const ExpertCompute&)> stages_of,
    const CallWatch* watch, ScratchSlots<Tensor>& slots,
    absl::FunctionRef<void(const ExpertSegment&, PanelRange, float*)> body) {
  const std::vector<ExpertSegment>& segments = batch.order.segments;
  std::vector<StageWork> works(segments.size());
  bool any = false;
  for (size_t i = 0; i < segments.size(); ++i) {
    const Stages& stages =
        stages_of(compute.of(store.expert(segments[i].hosted_idx).expert_id()));
    if (stage >= stages.size()) continue;
    any = true;
    works[i] = {.num_rows = segments[i].num_rows,
                .num_blocks = stages[stage].num_blocks,
                .multiply_adds = stages[stage].multiply_adds};
  }
  const std::vector<StageTask> tasks =
      CutIntoTasks(works, NumTasksAtOnce(pool));
  const auto run = [&](int64_t task_idx) {
    if (watch != nullptr && watch->IsOver()) return;
    const StageTask& task = tasks[static_cast<size_t>(task_idx)];
    const ScratchSlots<Tensor>::Loan slot = slots.Take();
    body(segments[static_cast<size_t>(task.work_idx)], task.blocks,
         (*slot).data());
  };
  const auto num_tasks = static_cast<int64_t>(tasks.size());
  if (WorthSharing(works)) {
    pool.ParallelFor(num_tasks, run);
  } else {
    for (int64_t i = 0; i < num_tasks; ++i) run(i);
  }
  return any;
}

// Where a segment begins in a buffer of RoutedBatch::kept's kind, see
// LayerCompute.
int64_t KeptOffset(const LayerCompute& compute, const ExpertSegment& segment) {
  return segment.first_row * compute.routed().kept_floats_per_row();
}
int64_t ScratchOffset(const LayerCompute& compute,
                      const ExpertSegment& segment) {
  return segment.first_row * compute.routed().scratch_floats_per_row();
}

// out [cols] = factor * in; with factor 1 a copy, bit by bit.
void Scale(float factor, const float* in, int64_t cols, float* out) {
  for (int64_t j = 0; j < cols; ++j) out[j] = factor * in[j];
}

size_t RouteOfRow(const RoutedBatch& batch, int64_t row) {
  return static_cast<size_t>(batch.order.row_routes[static_cast<size_t>(row)]);
}

// Rows of x, in the order of the experts.
void GatherInputs(const Tensor& x, ThreadPool& pool, RoutedBatch& batch) {
  ForEachRow(batch, pool, [&](int64_t row) {
    const size_t route = RouteOfRow(batch, row);
    const float weight =
        WeighsInputs(batch) ? batch.route_weights[route] : 1.0f;
    Scale(weight, x.row(batch.route_tokens[route]), x.cols(),
          batch.inputs.row(row));
  });
}

ConstMatrix InputsOf(const RoutedBatch& batch, const ExpertSegment& segment) {
  return ConstMatrix(batch.inputs.row(segment.first_row), segment.num_rows,
                     batch.inputs.cols());
}

// What one Backward writes; rows are sorted by expert.
struct BackwardTensors {
  // [routes, hidden_size]: gradients of the experts' outputs, and of x by way
  // of their inputs.
  Tensor grad_outputs;
  Tensor grad_inputs;
  // scratch_floats_per_row of each row's expert.
  Tensor scratch;
  // [routes], in the order of the request.
  std::vector<float> route_dots;
};

// Writes the gradients of the experts' outputs and, where those are weighted,
// the route dots.
void StartBackward(const RoutedBatch& batch, const Tensor& grad_y,
                   ThreadPool& pool, BackwardTensors& tensors) {
  const int64_t hidden_size = grad_y.cols();
  ForEachRow(batch, pool, [&](int64_t row) {
    const size_t route = RouteOfRow(batch, row);
    const float* grad = grad_y.row(batch.route_tokens[route]);
    float* grad_output = tensors.grad_outputs.row(row);
    if (WeighsInputs(batch)) {
      return Scale(1.0f, grad, hidden_size, grad_output);
    }
    tensors.route_dots[route] = static_cast<float>(
        DotProduct(grad, batch.outputs.row(row), hidden_size));
    Scale(batch.route_weights[route], grad, hidden_size, grad_output);
  });
}

// Where inputs are weighted: the route dots, and from the gradients of the
// experts' inputs those of x.
void FinishBackward(const RoutedBatch& batch, ThreadPool& pool,
                    BackwardTensors& tensors) {
  const int64_t hidden_size = batch.tokens.cols();
  ForEachRow(batch, pool, [&](int64_t row) {
    const size_t route = RouteOfRow(batch, row);
    const float* token = batch.tokens.row(batch.route_tokens[route]);
    float* grad_input = tensors.grad_inputs.row(row);
    tensors.route_dots[route] =
        static_cast<float>(DotProduct(grad_input, token, hidden_size));
    Scale(batch.route_weights[route], grad_input, hidden_size, grad_input);
  });
}

// The first stage in which some expert adds to gradients: the last of its own.
size_t FirstAddingStage(const RoutedBatch& batch, const ExpertStore& store,
                        const LayerCompute& compute) {
  size_t first = std::numeric_limits<size_t>::max();
  for (const ExpertSegment& segment : batch.order.segments) {
    const int32_t expert_id = store.expert(segment.hosted_idx).expert_id();
    first = std::min(first, compute.of(expert_id).backward_stages().size() - 1);
  }
  return first;
}

absl::Status RunBackwardStages(ExpertStore& store, const LayerCompute& compute,
                               const CallWatch& watch, ThreadPool& pool,
                               RoutedBatch& batch, BackwardTensors& tensors) {
  ScratchSlots<Tensor> slots = MakeProductScratch(pool);
  const size_t first_adding_stage = FirstAddingStage(batch, store, compute);
  MutexLock lock(store.gradients_mutex());
  const auto run_blocks = [&](size_t stage, const ExpertSegment& segment,
                              PanelRange blocks, float* product_scratch) {
    StoredExpert& expert = store.expert(segment.hosted_idx);
    compute.of(expert.expert_id())
        .Backward(static_cast<int>(stage), blocks, expert.Maps(),
                  {.x = InputsOf(batch, segment),
                   .kept = batch.kept.data() + KeptOffset(compute, segment),
                   .grad_y = tensors.grad_outputs.row(segment.first_row),
                   .scratch =
                       tensors.scratch.data() + ScratchOffset(compute, segment),
                   .grad_x = tensors.grad_inputs.row(segment.first_row)},
                  expert.Gradients(), product_scratch);
  };
  for (size_t stage = 0;; ++stage) {
    if (stage <= first_adding_stage) SWITCHYARD_RETURN_IF_ERROR(watch.Check());
    const bool ran = RunStage(
        stage, batch, store, compute, pool,
        [](const ExpertCompute& c) -> const Stages& {
          return c.backward_stages();
        },
        stage < first_adding_stage ? &watch : nullptr, slots,
        [&](const ExpertSegment& segment, PanelRange blocks, float* scratch) {
          run_blocks(stage, segment, blocks, scratch);
        });
    if (!ran) break;
  }
  for (const ExpertSegment& segment : batch.order.segments) {
    store.expert(segment.hosted_idx).HaveGradients();
  }
  return absl::OkStatus();
}

void RunForwardStages(const ExpertStore& store, const LayerCompute& compute,
                      const CallWatch& watch, ThreadPool& pool,
                      RoutedBatch& batch) {
  Tensor scratch = Tensor::Uninitialized(
      {compute.ScratchFloats(batch.num_routes(), batch.num_branch_routes)});
  ScratchSlots<Tensor> slots = MakeProductScratch(pool);
  const auto run_blocks = [&](size_t stage, const ExpertSegment& segment,
                              PanelRange blocks, float* product_scratch) {
    const StoredExpert& expert = store.expert(segment.hosted_idx);
    compute.of(expert.expert_id())
        .Forward(static_cast<int>(stage), blocks, expert.Maps(),
                 {.x = InputsOf(batch, segment),
                  .kept = batch.kept.data() + KeptOffset(compute, segment),
                  .scratch = scratch.data() + ScratchOffset(compute, segment),
                  .y = batch.outputs.row(segment.first_row)},
                 product_scratch);
  };
  for (size_t stage = 0;; ++stage) {
    const bool ran = RunStage(
        stage, batch, store, compute, pool,
        [](const ExpertCompute& c) -> const Stages& {
          return c.forward_stages();
        },
        &watch, slots,
        [&](const ExpertSegment& segment, PanelRange blocks,
            float* product_scratch) {
          run_blocks(stage, segment, blocks, product_scratch);
        });
    if (!ran) return;
  }
}

}  // namespace

int64_t BatchBytes(const ExpertForwardRequest& request,
                   const LayerCompute& compute) {
  const auto num_routes = static_cast<int64_t>(request.route_experts.size());
  return RoutedBatchBytes(
      num_routes, NumTokenRows(request, compute), request.x.cols(),
      compute.KeptFloats(num_routes,
                         compute.NumBranchRoutes(request.route_experts)));
}

RoutedBatch MakeRoutedBatch(const ExpertForwardRequest& request,
                            const std::vector<int32_t>& route_hosted_idx,
                            int64_t num_hosted, const LayerCompute& compute) {
  const auto num_routes = static_cast<int64_t>(request.route_tokens.size());
  const int64_t num_branch_routes =
      compute.NumBranchRoutes(request.route_experts);
  const int64_t hidden_size = request.x.cols();
  RoutedBatch batch = {
      .num_tokens = request.x.rows(),
      .exact_combine = request.exact_combine,
      .weight_application = compute.weight_application(),
      .route_tokens = request.route_tokens,
      .route_weights = request.route_weights,
      .order = SortRoutesByExpert(route_hosted_idx, num_hosted),
      .num_branch_routes = num_branch_routes,
      .tokens = {},
      .inputs = Tensor::Uninitialized({num_routes, hidden_size}),
      .kept = Tensor::Uninitialized(
          {compute.KeptFloats(num_routes, num_branch_routes)}),
      .outputs = {}};
  batch.outputs = compute.returns_inputs()
                      ? batch.inputs.Share()
                      : Tensor::Uninitialized({num_routes, hidden_size});
  if (NumTokenRows(request, compute) > 0) batch.tokens = request.x.Clone();
  return batch;
}

int64_t ForwardWorkingBytes(const RoutedBatch& batch,
                            const LayerCompute& compute,
                            const ThreadPool& pool) {
  return kFloatBytes * CommonWorkingFloats(batch, compute, pool);
}

int64_t BackwardWorkingBytes(const RoutedBatch& batch,
                             const LayerCompute& compute,
                             const ThreadPool& pool) {
  return kFloatBytes * (CommonWorkingFloats(batch, compute, pool) +
                        batch.num_routes() * (2 * batch.inputs.cols() + 1));
}

absl::StatusOr<Tensor> RunForward(const ExpertStore& store,
                                  const LayerCompute& compute,
                                  const ExpertForwardRequest& request,
                                  const CallWatch& watch, ThreadPool& pool,
                                  RoutedBatch& batch) {
  SWITCHYARD_RETURN_IF_ERROR(watch.Check());
  if (compute.returns_inputs() && !request.keep.has_value() &&
      !batch.exact_combine) {
    return SumByToken(batch, request.x, RowOrder::kByToken,
                      RowWeighting::kWeighted, request.y_place, pool);
  }
  GatherInputs(request.x, pool, batch);
  if (!compute.returns_inputs()) {
    RunForwardStages(store, compute, watch, pool, batch);
    SWITCHYARD_RETURN_IF_ERROR(watch.Check());
  }
  if (batch.exact_combine) {
    return OrderByRoute(batch, batch.outputs, request.y_place, pool);
  }
  return SumByToken(
      batch, batch.outputs, RowOrder::kByExpert,
      WeighsInputs(batch) ? RowWeighting::kUnweighted : RowWeighting::kWeighted,
      request.y_place, pool);
}

absl::StatusOr<ExpertBackwardResult> RunBackward(
    ExpertStore& store, const LayerCompute& compute, const Tensor& grad_y,
    const CallWatch& watch, ThreadPool& pool, RoutedBatch& batch) {
  const int64_t num_routes = batch.num_routes();
  const Shape rows_shape = batch.inputs.shape();
  BackwardTensors tensors = {
      .grad_outputs = Tensor::Uninitialized(rows_shape),
      .grad_inputs = Tensor::Uninitialized(rows_shape),
      .scratch = Tensor::Uninitialized(
          {compute.ScratchFloats(num_routes, batch.num_branch_routes)}),
      .route_dots = std::vector<float>(static_cast<size_t>(num_routes))};
  StartBackward(batch, grad_y, pool, tensors);
  SWITCHYARD_RETURN_IF_ERROR(
      RunBackwardStages(store, compute, watch, pool, batch, tensors));
  if (WeighsInputs(batch)) FinishBackward(batch, pool, tensors);
  ExpertBackwardResult result;
  // The weights are in grad_inputs: of grad_outputs where those are weighted,
  // of FinishBackward elsewhere.
  result.grad_x =
      batch.exact_combine
          ? OrderByRoute(batch, tensors.grad_inputs, {}, pool)
          : SumByToken(batch, tensors.grad_inputs, RowOrder::kByExpert,
                       RowWeighting::kUnweighted, {}, pool);
  result.route_dots = std::move(tensors.route_dots);
  return result;
}

}  // namespace switchyard
