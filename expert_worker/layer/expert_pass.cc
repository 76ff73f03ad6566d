#include "expert_worker/layer/expert_pass.h"

#include <cstddef>
#include <cstring>

#include "expert_worker/compute/cpu/dot_product.h"
#include "expert_worker/dispatch/combine.h"

namespace switchyard {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);

void ForwardSegment(const StoredExpert& expert, const ExpertCompute& compute,
                    const Tensor& x, const ExpertSegment& segment,
                    Tensor& scratch, RoutedBatch& batch) {
  const size_t row_bytes = static_cast<size_t>(x.cols()) * sizeof(float);
  for (int64_t i = 0; i < segment.num_rows; ++i) {
    const int64_t row = segment.first_row + i;
    const int64_t route = batch.order.row_routes[static_cast<size_t>(row)];
    const int32_t token = batch.route_tokens[static_cast<size_t>(route)];
    std::memcpy(batch.inputs.row(row), x.row(token), row_bytes);
  }
  compute.Forward(expert.values(),
                  {.x = ConstMatrix(batch.inputs.row(segment.first_row),
                                    segment.num_rows, x.cols()),
                   .kept = batch.kept.row(segment.first_row),
                   .scratch = scratch.row(segment.first_row),
                   .y = batch.outputs.row(segment.first_row)});
}

// What one Backward writes; rows are sorted by expert.
struct BackwardTensors {
  // [routes, hidden_size]: gradients of the experts' outputs, and of their
  // inputs.
  Tensor grad_outputs;
  Tensor grad_inputs;
  // [routes, scratch_floats_per_row].
  Tensor scratch;
  // [routes], in the order of the request.
  std::vector<float> route_dots;
};

void BackwardSegment(StoredExpert& expert, const ExpertCompute& compute,
                     const RoutedBatch& batch, const Tensor& grad_y,
                     const ExpertSegment& segment, BackwardTensors& tensors) {
  const int64_t hidden_size = grad_y.cols();
  for (int64_t i = 0; i < segment.num_rows; ++i) {
    const int64_t row = segment.first_row + i;
    const auto route =
        static_cast<size_t>(batch.order.row_routes[static_cast<size_t>(row)]);
    const float* grad = grad_y.row(batch.route_tokens[route]);
    tensors.route_dots[route] = static_cast<float>(
        DotProduct(grad, batch.outputs.row(row), hidden_size));
    const float weight = batch.route_weights[route];
    float* grad_output = tensors.grad_outputs.row(row);
    for (int64_t j = 0; j < hidden_size; ++j) grad_output[j] = weight * grad[j];
  }
  const int64_t first = segment.first_row;
  expert.AccumulateGradients(
      compute,
      {.x = ConstMatrix(batch.inputs.row(first), segment.num_rows, hidden_size),
       .kept = batch.kept.row(first),
       .grad_y = tensors.grad_outputs.row(first),
       .scratch = tensors.scratch.row(first),
       .grad_x = tensors.grad_inputs.row(first)});
}

}  // namespace

int64_t ForwardWorkingBytes(const ExpertForwardRequest& request,
                            const ExpertCompute& compute) {
  const auto num_routes = static_cast<int64_t>(request.route_tokens.size());
  const int64_t result_rows =
      request.exact_combine ? num_routes : request.x.rows();
  return kFloatBytes * (num_routes * compute.scratch_floats_per_row() +
                        result_rows * request.x.cols());
}

int64_t BackwardWorkingBytes(const RoutedBatch& batch,
                             const ExpertCompute& compute) {
  const int64_t num_routes = batch.num_routes();
  const int64_t hidden_size = batch.inputs.cols();
  const int64_t result_rows =
      batch.exact_combine ? num_routes : batch.num_tokens;
  return kFloatBytes * (num_routes * (2 * hidden_size +
                                      compute.scratch_floats_per_row() + 1) +
                        result_rows * hidden_size);
}

RoutedBatch MakeRoutedBatch(const ExpertForwardRequest& request,
                            const std::vector<int32_t>& route_hosted_idx,
                            int64_t num_hosted, const ExpertCompute& compute) {
  const auto num_routes = static_cast<int64_t>(request.route_tokens.size());
  const int64_t hidden_size = request.x.cols();
  return {.num_tokens = request.x.rows(),
          .exact_combine = request.exact_combine,
          .route_tokens = request.route_tokens,
          .route_weights = request.route_weights,
          .order = SortRoutesByExpert(route_hosted_idx, num_hosted),
          .inputs = Tensor::Uninitialized({num_routes, hidden_size}),
          .kept = Tensor::Uninitialized(
              {num_routes, compute.kept_floats_per_row()}),
          .outputs = Tensor::Uninitialized({num_routes, hidden_size})};
}

Tensor RunForward(const ExpertStore& store, const ExpertCompute& compute,
                  const Tensor& x, ThreadPool& pool, RoutedBatch& batch) {
  Tensor scratch = Tensor::Uninitialized(
      {batch.num_routes(), compute.scratch_floats_per_row()});
  const std::vector<ExpertSegment>& segments = batch.order.segments;
  pool.ParallelFor(static_cast<int64_t>(segments.size()),
                   [&](int64_t segment_idx) {
                     const ExpertSegment& segment =
                         segments[static_cast<size_t>(segment_idx)];
                     ForwardSegment(store.expert(segment.hosted_idx), compute,
                                    x, segment, scratch, batch);
                   });
  if (batch.exact_combine) return OrderByRoute(batch, batch.outputs, pool);
  return SumByToken(batch, batch.outputs, RowWeighting::kWeighted, pool);
}

ExpertBackwardResult RunBackward(ExpertStore& store,
                                 const ExpertCompute& compute,
                                 const RoutedBatch& batch, const Tensor& grad_y,
                                 ThreadPool& pool) {
  const int64_t num_routes = batch.num_routes();
  const Shape rows_shape = batch.inputs.shape();
  BackwardTensors tensors = {
      .grad_outputs = Tensor::Uninitialized(rows_shape),
      .grad_inputs = Tensor::Uninitialized(rows_shape),
      .scratch =
          Tensor::Uninitialized({num_routes, compute.scratch_floats_per_row()}),
      .route_dots = std::vector<float>(static_cast<size_t>(num_routes))};
  const std::vector<ExpertSegment>& segments = batch.order.segments;
  pool.ParallelFor(static_cast<int64_t>(segments.size()),
                   [&](int64_t segment_idx) {
                     const ExpertSegment& segment =
                         segments[static_cast<size_t>(segment_idx)];
                     BackwardSegment(store.expert(segment.hosted_idx), compute,
                                     batch, grad_y, segment, tensors);
                   });
  ExpertBackwardResult result;
  // The weights are in grad_outputs, hence in grad_inputs.
  result.grad_x = batch.exact_combine
                      ? OrderByRoute(batch, tensors.grad_inputs, pool)
                      : SumByToken(batch, tensors.grad_inputs,
                                   RowWeighting::kUnweighted, pool);
  result.route_dots = std::move(tensors.route_dots);
  return result;
}

}  // namespace switchyard
