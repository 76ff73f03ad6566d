#include "expert_worker/dispatch/route_order.h"

#include <algorithm>
#include <cstddef>

namespace switchyard {

RouteOrder SortRoutesByExpert(absl::Span<const int32_t> route_hosted_idx,
                              int64_t num_hosted) {
  const size_t num_routes = route_hosted_idx.size();
  std::vector<int64_t> next_row(static_cast<size_t>(num_hosted), 0);
  for (const int32_t idx : route_hosted_idx) {
    ++next_row[static_cast<size_t>(idx)];
  }
  RouteOrder order;
  order.segments.reserve(std::min(next_row.size(), num_routes));
  int64_t first_row = 0;
  for (size_t idx = 0; idx < next_row.size(); ++idx) {
    const int64_t num_rows = next_row[idx];
    next_row[idx] = first_row;
    if (num_rows == 0) continue;
    order.segments.push_back({static_cast<int32_t>(idx), first_row, num_rows});
    first_row += num_rows;
  }
  order.row_routes.resize(num_routes);
  order.route_rows.resize(num_routes);
  for (size_t route = 0; route < num_routes; ++route) {
    const int64_t row =
        next_row[static_cast<size_t>(route_hosted_idx[route])]++;
    order.route_rows[route] = row;
    order.row_routes[static_cast<size_t>(row)] = static_cast<int64_t>(route);
  }
  return order;
}

}  // namespace switchyard
