#include "expert_worker/layer/expert_pass.h"

#include <cstddef>
#include <utility>

#include "absl/functional/function_ref.h"
#include "expert_worker/compute/cpu/dot_product.h"
#include "expert_worker/dispatch/combine.h"
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

int64_t NumTasksAtOnce(const RoutedBatch& batch, const ThreadPool& pool) {
  return MaxTasksAtOnce(pool,
                        static_cast<int64_t>(batch.order.segments.size()));
}

// Scratch, result and widened parameters, which both passes need.
int64_t CommonWorkingFloats(const RoutedBatch& batch, const ExpertStore& store,
                            const LayerCompute& compute,
                            const ThreadPool& pool) {
  const int64_t result_rows =
      batch.exact_combine ? batch.num_routes() : batch.num_tokens;
  return compute.ScratchFloats(batch.num_routes(), batch.num_branch_routes) +
         result_rows * batch.inputs.cols() +
         NumTasksAtOnce(batch, pool) * store.widening_floats();
}

// Calls body(segment, scratch) for each segment in parallel, with
// store.widening_floats() of scratch.
void ForEachSegment(
    const RoutedBatch& batch, const ExpertStore& store, ThreadPool& pool,
    absl::FunctionRef<void(const ExpertSegment&, absl::Span<float>)> body) {
  const std::vector<ExpertSegment>& segments = batch.order.segments;
  ScratchSlots<Tensor> slots(NumTasksAtOnce(batch, pool), [&] {
    return Tensor::Uninitialized({store.widening_floats()});
  });
  pool.ParallelFor(
      static_cast<int64_t>(segments.size()), [&](int64_t segment_idx) {
        const ScratchSlots<Tensor>::Loan slot = slots.Take();
        body(segments[static_cast<size_t>(segment_idx)], (*slot).values());
      });
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

void ForwardSegment(const StoredExpert& expert, const LayerCompute& compute,
                    const Tensor& x, const ExpertSegment& segment,
                    absl::Span<float> widening, Tensor& scratch,
                    RoutedBatch& batch) {
  for (int64_t i = 0; i < segment.num_rows; ++i) {
    const int64_t row = segment.first_row + i;
    const auto route =
        static_cast<size_t>(batch.order.row_routes[static_cast<size_t>(row)]);
    const float weight =
        WeighsInputs(batch) ? batch.route_weights[route] : 1.0f;
    Scale(weight, x.row(batch.route_tokens[route]), x.cols(),
          batch.inputs.row(row));
  }
  compute.of(expert.expert_id())
      .Forward(expert.Values(widening),
               {.x = ConstMatrix(batch.inputs.row(segment.first_row),
                                 segment.num_rows, x.cols()),
                .kept = batch.kept.data() + KeptOffset(compute, segment),
                .scratch = scratch.data() + ScratchOffset(compute, segment),
                .y = batch.outputs.row(segment.first_row)});
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

// Writes the gradients of a segment's outputs and, where they are weighted, the
// route dots.
void StartSegment(const RoutedBatch& batch, const Tensor& grad_y,
                  const ExpertSegment& segment, BackwardTensors& tensors) {
  const int64_t hidden_size = grad_y.cols();
  for (int64_t i = 0; i < segment.num_rows; ++i) {
    const int64_t row = segment.first_row + i;
    const auto route =
        static_cast<size_t>(batch.order.row_routes[static_cast<size_t>(row)]);
    const float* grad = grad_y.row(batch.route_tokens[route]);
    float* grad_output = tensors.grad_outputs.row(row);
    if (WeighsInputs(batch)) {
      Scale(1.0f, grad, hidden_size, grad_output);
      continue;
    }
    tensors.route_dots[route] = static_cast<float>(
        DotProduct(grad, batch.outputs.row(row), hidden_size));
    Scale(batch.route_weights[route], grad, hidden_size, grad_output);
  }
}

// Where inputs are weighted: the route dots, and from the gradients of a
// segment's inputs those of x.
void FinishSegment(const RoutedBatch& batch, const ExpertSegment& segment,
                   BackwardTensors& tensors) {
  const int64_t hidden_size = batch.tokens.cols();
  for (int64_t i = 0; i < segment.num_rows; ++i) {
    const int64_t row = segment.first_row + i;
    const auto route =
        static_cast<size_t>(batch.order.row_routes[static_cast<size_t>(row)]);
    const float* token = batch.tokens.row(batch.route_tokens[route]);
    float* grad_input = tensors.grad_inputs.row(row);
    tensors.route_dots[route] =
        static_cast<float>(DotProduct(grad_input, token, hidden_size));
    Scale(batch.route_weights[route], grad_input, hidden_size, grad_input);
  }
}

void BackwardSegment(StoredExpert& expert, const LayerCompute& compute,
                     const RoutedBatch& batch, const Tensor& grad_y,
                     const ExpertSegment& segment, absl::Span<float> widening,
                     BackwardTensors& tensors) {
  StartSegment(batch, grad_y, segment, tensors);
  const int64_t first = segment.first_row;
  expert.AccumulateGradients(
      compute.of(expert.expert_id()), expert.Values(widening),
      {.x = ConstMatrix(batch.inputs.row(first), segment.num_rows,
                        grad_y.cols()),
       .kept = batch.kept.data() + KeptOffset(compute, segment),
       .grad_y = tensors.grad_outputs.row(first),
       .scratch = tensors.scratch.data() + ScratchOffset(compute, segment),
       .grad_x = tensors.grad_inputs.row(first)});
  if (WeighsInputs(batch)) FinishSegment(batch, segment, tensors);
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
      .outputs = Tensor::Uninitialized({num_routes, hidden_size})};
  if (NumTokenRows(request, compute) > 0) batch.tokens = request.x.Clone();
  return batch;
}

int64_t ForwardWorkingBytes(const RoutedBatch& batch, const ExpertStore& store,
                            const LayerCompute& compute,
                            const ThreadPool& pool) {
  return kFloatBytes * CommonWorkingFloats(batch, store, compute, pool);
}

int64_t BackwardWorkingBytes(const RoutedBatch& batch, const ExpertStore& store,
                             const LayerCompute& compute,
                             const ThreadPool& pool) {
  return kFloatBytes * (CommonWorkingFloats(batch, store, compute, pool) +
                        batch.num_routes() * (2 * batch.inputs.cols() + 1));
}

Tensor RunForward(const ExpertStore& store, const LayerCompute& compute,
                  const Tensor& x, ThreadPool& pool, RoutedBatch& batch) {
  Tensor scratch = Tensor::Uninitialized(
      {compute.ScratchFloats(batch.num_routes(), batch.num_branch_routes)});
  ForEachSegment(batch, store, pool,
                 [&](const ExpertSegment& segment, absl::Span<float> widening) {
                   ForwardSegment(store.expert(segment.hosted_idx), compute, x,
                                  segment, widening, scratch, batch);
                 });
  if (batch.exact_combine) return OrderByRoute(batch, batch.outputs, pool);
  return SumByToken(
      batch, batch.outputs,
      WeighsInputs(batch) ? RowWeighting::kUnweighted : RowWeighting::kWeighted,
      pool);
}

ExpertBackwardResult RunBackward(ExpertStore& store,
                                 const LayerCompute& compute,
                                 const RoutedBatch& batch, const Tensor& grad_y,
                                 ThreadPool& pool) {
  const int64_t num_routes = batch.num_routes();
  const Shape rows_shape = batch.inputs.shape();
  BackwardTensors tensors = {
      .grad_outputs = Tensor::Uninitialized(rows_shape),
      .grad_inputs = Tensor::Uninitialized(rows_shape),
      .scratch = Tensor::Uninitialized(
          {compute.ScratchFloats(num_routes, batch.num_branch_routes)}),
      .route_dots = std::vector<float>(static_cast<size_t>(num_routes))};
  ForEachSegment(batch, store, pool,
                 [&](const ExpertSegment& segment, absl::Span<float> widening) {
                   BackwardSegment(store.expert(segment.hosted_idx), compute,
                                   batch, grad_y, segment, widening, tensors);
                 });
  ExpertBackwardResult result;
  // The weights are in grad_inputs: of grad_outputs where those are weighted,
  // of FinishSegment elsewhere.
  result.grad_x = batch.exact_combine
                      ? OrderByRoute(batch, tensors.grad_inputs, pool)
                      : SumByToken(batch, tensors.grad_inputs,
                                   RowWeighting::kUnweighted, pool);
  result.route_dots = std::move(tensors.route_dots);
  return result;
}

}  // namespace switchyard
