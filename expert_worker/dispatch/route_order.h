#ifndef SWITCHYARD_EXPERT_WORKER_DISPATCH_ROUTE_ORDER_H_
#define SWITCHYARD_EXPERT_WORKER_DISPATCH_ROUTE_ORDER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace switchyard {

// The rows of one expert in a buffer sorted by expert. Never empty.
struct ExpertSegment {
  // Position among the experts hosted here.
  int32_t hosted_idx = 0;
  int64_t first_row = 0;
  int64_t num_rows = 0;
};

// How routes lie in a buffer that has one row per route, sorted by expert.
struct RouteOrder {
  // [routes]: the route of each row, and the row of each route.
  std::vector<int64_t> row_routes;
  std::vector<int64_t> route_rows;
  // By rising hosted_idx, without gaps.
  std::vector<ExpertSegment> segments;
};

// A stable counting sort: an expert's rows are in the order of the request.
// Every entry of `route_hosted_idx` is in [0, num_hosted).
RouteOrder SortRoutesByExpert(absl::Span<const int32_t> route_hosted_idx,
                              int64_t num_hosted);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_DISPATCH_ROUTE_ORDER_H_
