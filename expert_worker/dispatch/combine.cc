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

void SumTokens(const RoutedBatch& batch, const Tensor& rows,
               RowWeighting weighting, int64_t begin_token, int64_t end_token,
               Tensor& sums) {
  const int64_t hidden_size = rows.cols();
  const auto first = std::lower_bound(batch.route_tokens.begin(),
                                      batch.route_tokens.end(), begin_token);
  for (auto route = static_cast<size_t>(first - batch.route_tokens.begin());
       route < batch.route_tokens.size(); ++route) {
    const int64_t token = batch.route_tokens[route];
    if (token >= end_token) return;
    const float* row = rows.row(batch.order.route_rows[route]);
    const float weight = weighting == RowWeighting::kWeighted
                             ? batch.route_weights[route]
                             : 1.0f;
    float* sum = sums.row(token);
    for (int64_t j = 0; j < hidden_size; ++j) sum[j] += weight * row[j];
  }
}

}  // namespace

Tensor SumByToken(const RoutedBatch& batch, const Tensor& rows,
                  RowWeighting weighting, ThreadPool& pool) {
  Tensor sums = Tensor::Zeros({batch.num_tokens, rows.cols()});
  ForEachPiece(batch.num_tokens, pool, [&](int64_t begin, int64_t end) {
    SumTokens(batch, rows, weighting, begin, end, sums);
  });
  return sums;
}

Tensor OrderByRoute(const RoutedBatch& batch, const Tensor& rows,
                    ThreadPool& pool) {
  Tensor ordered = Tensor::Uninitialized({batch.num_routes(), rows.cols()});
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
