#include "expert_worker/dispatch/combine.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/functional/function_ref.h"

namespace switchyard {
namespace {

// Calls body(begin, end) for pieces of [0, num_rows). A piece of 64 rows is
// tens of microseconds at common widths, well above the cost of a task.
void ForEachPiece(int64_t num_rows, ThreadPool& pool,
                  absl::FunctionRef<void(int64_t, int64_t)> body) {
  constexpr int64_t kRowsPerPiece = 64;
  const int64_t num_pieces = (num_rows + kRowsPerPiece - 1) / kRowsPerPiece;
  pool.ParallelFor(num_pieces, [&](int64_t piece) {
    const int64_t begin = piece * kRowsPerPiece;
    body(begin, std::min(begin + kRowsPerPiece, num_rows));
  });
}

void SumTokens(const RoutedBatch& batch, const Tensor& rows, RowOrder order,
               RowWeighting weighting, int64_t begin_token, int64_t end_token,
               Tensor& sums) {
  const int64_t hidden_size = rows.cols();
  auto route = static_cast<size_t>(std::lower_bound(batch.route_tokens.begin(),
                                                    batch.route_tokens.end(),
                                                    begin_token) -
                                   batch.route_tokens.begin());
  for (int64_t token = begin_token; token < end_token; ++token) {
    float* sum = sums.row(token);
    std::fill_n(sum, hidden_size, 0.0f);
    for (; route < batch.route_tokens.size() &&
           batch.route_tokens[route] == token;
         ++route) {
      const float* row = rows.row(
          order == RowOrder::kByToken ? token : batch.order.route_rows[route]);
      const float weight = weighting == RowWeighting::kWeighted
                               ? batch.route_weights[route]
                               : 1.0f;
      for (int64_t j = 0; j < hidden_size; ++j) sum[j] += weight * row[j];
    }
  }
}

}  // namespace

Tensor SumByToken(const RoutedBatch& batch, const Tensor& rows, RowOrder order,
                  RowWeighting weighting, const TensorPlace& place,
                  ThreadPool& pool) {
  Tensor sums = place.Uninitialized({batch.num_tokens, rows.cols()});
  ForEachPiece(batch.num_tokens, pool, [&](int64_t begin, int64_t end) {
    SumTokens(batch, rows, order, weighting, begin, end, sums);
  });
  return sums;
}

Tensor OrderByRoute(const RoutedBatch& batch, const Tensor& rows,
                    const TensorPlace& place, ThreadPool& pool) {
  Tensor ordered = place.Uninitialized({batch.num_routes(), rows.cols()});
  const size_t row_bytes = static_cast<size_t>(rows.cols()) * sizeof(float);
  ForEachPiece(batch.num_routes(), pool, [&](int64_t begin, int64_t end) {
    for (int64_t route = begin; route < end; ++route) {
      const int64_t row = batch.order.route_rows[static_cast<size_t>(route)];
      std::memcpy(ordered.row(route), rows.row(row), row_bytes);
    }
  });
  return ordered;
}

}  // namespace switchyard
