#include "expert_worker/group/group_passes.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "expert_worker/group/member_parts.h"

namespace switchyard {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);
// Row, expert and weight of a route.
constexpr int64_t kRouteBytes = 2 * sizeof(int32_t) + sizeof(float);

// Writes values one behind the other.
class Packer {
 public:
  explicit Packer(std::byte* to) : to_(to) {}

  template <typename T>
  void Put(const T* values, size_t num_values) {
    if (num_values == 0) return;
    std::memcpy(to_, values, num_values * sizeof(T));
    to_ += num_values * sizeof(T);
  }

 private:
  std::byte* to_;
};

// Reads them again.
class Unpacker {
 public:
  explicit Unpacker(const std::byte* from) : from_(from) {}

  template <typename T>
  void Take(T* values, size_t num_values) {
    if (num_values == 0) return;
    std::memcpy(values, from_, num_values * sizeof(T));
    from_ += num_values * sizeof(T);
  }
  template <typename T>
  void Append(std::vector<T>& values, size_t num_values) {
    values.resize(values.size() + num_values);
    Take(values.data() + values.size() - num_values, num_values);
  }

 private:
  const std::byte* from_;
};

std::vector<PartSize> SizesOf(const std::vector<MemberPart>& parts) {
  std::vector<PartSize> sizes;
  for (const MemberPart& part : parts) {
    sizes.push_back({static_cast<int64_t>(part.tokens.size()),
                     static_cast<int64_t>(part.routes.size())});
  }
  return sizes;
}

template <typename BytesOfPart>
std::vector<int64_t> BytesOf(const std::vector<PartSize>& sizes,
                             BytesOfPart bytes_of_part) {
  std::vector<int64_t> bytes;
  for (const PartSize& size : sizes) bytes.push_back(bytes_of_part(size));
  return bytes;
}

PartSize Total(const std::vector<PartSize>& sizes) {
  PartSize total;
  for (const PartSize& size : sizes) {
    total.num_tokens += size.num_tokens;
    total.num_routes += size.num_routes;
  }
  return total;
}

// The parts, or why this member cannot take part.
template <typename Request>
absl::StatusOr<std::vector<MemberPart>> MakeParts(const Request& request,
                                                  const Tensor& tokens,
                                                  const CallContext& call,
                                                  size_t group_size) {
  SWITCHYARD_RETURN_IF_ERROR(call.Check(Clock::Real()));
  if (tokens.shape().size() != 2 || tokens.cols() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tokens of a group's call: got shape ", ShapeToString(tokens.shape()),
        ", expected [tokens, hidden_size]"));
  }
  return SplitByRank(request.route_tokens, request.group->route_ranks,
                     tokens.rows(), static_cast<int>(group_size));
}

absl::Status CheckRouteVectors(const ExpertForwardRequest& request) {
  if (request.route_experts.size() == request.route_tokens.size() &&
      request.route_weights.size() == request.route_tokens.size()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "route_tokens, route_experts, route_weights: got ",
      request.route_tokens.size(), ", ", request.route_experts.size(), ", ",
      request.route_weights.size(), " entries, expected as many of each"));
}

void PackRows(const Tensor& rows, const std::vector<int32_t>& which,
              Packer& packer) {
  for (const int32_t row : which) {
    packer.Put(rows.row(row), static_cast<size_t>(rows.cols()));
  }
}

// What this member's experts are to compute: all parts, by rank.
ExpertForwardRequest OwnersRequest(const ExpertForwardRequest& request,
                                   const RankedBytes& received,
                                   const std::vector<PartSize>& sizes) {
  const int64_t hidden_size = request.x.cols();
  ExpertForwardRequest own = {
      .layer = request.layer,
      .generation = request.generation,
      .keep = request.keep,
      .exact_combine = request.exact_combine,
      .x = Tensor::Uninitialized({Total(sizes).num_tokens, hidden_size})};
  int64_t first_row = 0;
  for (size_t rank = 0; rank < sizes.size(); ++rank) {
    const size_t num_routes = static_cast<size_t>(sizes[rank].num_routes);
    Unpacker unpacker(received.of(rank));
    unpacker.Take(own.x.data() + first_row * hidden_size,
                  static_cast<size_t>(sizes[rank].num_tokens * hidden_size));
    const size_t first_route = own.route_tokens.size();
    unpacker.Append(own.route_tokens, num_routes);
    for (size_t r = first_route; r < own.route_tokens.size(); ++r) {
      own.route_tokens[r] += static_cast<int32_t>(first_row);
    }
    unpacker.Append(own.route_experts, num_routes);
    unpacker.Append(own.route_weights, num_routes);
    first_row += sizes[rank].num_tokens;
  }
  return own;
}

// Puts the rows that came back from `rank` where they belong in `to`: each
// route's in its place, or added to its token's.
class RowSums {
 public:
  RowSums(bool exact_combine, int64_t num_tokens, int64_t num_routes,
          int64_t hidden_size)
      : exact_combine_(exact_combine),
        rows_(Tensor::Uninitialized(
            {exact_combine ? num_routes : num_tokens, hidden_size})),
        has_row_(static_cast<size_t>(rows_.rows()), 0) {}

  void Add(const MemberPart& part, Unpacker& from) {
    std::vector<float> row(static_cast<size_t>(rows_.cols()));
    const size_t num_rows =
        exact_combine_ ? part.routes.size() : part.tokens.size();
    for (size_t i = 0; i < num_rows; ++i) {
      const size_t place =
          exact_combine_ ? part.routes[i] : static_cast<size_t>(part.tokens[i]);
      float* const to = rows_.row(static_cast<int64_t>(place));
      if (std::exchange(has_row_[place], 1) == 0) {
        from.Take(to, row.size());
        continue;
      }
      from.Take(row.data(), row.size());
      for (size_t j = 0; j < row.size(); ++j) to[j] += row[j];
    }
  }

  // Rows to which nothing was added are zero.
  Tensor Take() && {
    for (size_t place = 0; place < has_row_.size(); ++place) {
      if (has_row_[place] != 0) continue;
      std::fill_n(rows_.row(static_cast<int64_t>(place)), rows_.cols(), 0.0f);
    }
    return std::move(rows_);
  }

 private:
  const bool exact_combine_;
  Tensor rows_;
  std::vector<char> has_row_;
};

}  // namespace

absl::StatusOr<ExpertForwardResult> GroupForward(
    Worker& worker, MemberExchange& exchange,
    const ExpertForwardRequest& request, const CallContext& call) {
  const int64_t hidden_size = request.x.cols();
  absl::StatusOr<std::vector<MemberPart>> parts =
      MakeParts(request, request.x, call, exchange.size());
  if (parts.ok()) {
    const absl::Status status = CheckRouteVectors(request);
    if (!status.ok()) parts = status;
  }
  const std::vector<PartSize> sizes =
      parts.ok() ? SizesOf(*parts) : std::vector<PartSize>();
  SWITCHYARD_ASSIGN_OR_RETURN(const std::vector<PartSize> received_sizes,
                              exchange.Agree(parts.status(), sizes));

  const auto bytes_there = [hidden_size](const PartSize& size) {
    return size.num_tokens * hidden_size * kFloatBytes +
           size.num_routes * kRouteBytes;
  };
  RankedBytes sent(BytesOf(sizes, bytes_there));
  for (size_t rank = 0; rank < exchange.size(); ++rank) {
    const MemberPart& part = (*parts)[rank];
    Packer packer(sent.of(rank));
    PackRows(request.x, part.tokens, packer);
    packer.Put(part.route_tokens.data(), part.route_tokens.size());
    for (const size_t r : part.routes) packer.Put(&request.route_experts[r], 1);
    for (const size_t r : part.routes) packer.Put(&request.route_weights[r], 1);
  }
  absl::StatusOr<ExpertForwardResult> own;
  {
    SWITCHYARD_ASSIGN_OR_RETURN(
        const RankedBytes received,
        exchange.Trade(sent.bytes.get(), sent.sizes,
                       BytesOf(received_sizes, bytes_there)));
    const ExpertForwardRequest owners =
        OwnersRequest(request, received, received_sizes);
    own = owners.route_tokens.empty() ? ExpertForwardResult()
                                      : worker.Forward(owners, call);
  }
  SWITCHYARD_RETURN_IF_ERROR(
      exchange.Agree(own.status(), std::vector<PartSize>(exchange.size()))
          .status());

  const auto bytes_back = [&](const PartSize& size) {
    return (request.exact_combine ? size.num_routes : size.num_tokens) *
           hidden_size * kFloatBytes;
  };
  SWITCHYARD_ASSIGN_OR_RETURN(
      const RankedBytes answers,
      exchange.Trade(reinterpret_cast<const std::byte*>(own->y.data()),
                     BytesOf(received_sizes, bytes_back),
                     BytesOf(sizes, bytes_back)));
  RowSums sums(request.exact_combine, request.x.rows(),
               static_cast<int64_t>(request.route_tokens.size()), hidden_size);
  for (size_t rank = 0; rank < exchange.size(); ++rank) {
    Unpacker unpacker(answers.of(rank));
    sums.Add((*parts)[rank], unpacker);
  }
  return ExpertForwardResult{.y = std::move(sums).Take(),
                             .compute_us = own->compute_us};
}

absl::StatusOr<ExpertBackwardResult> GroupBackward(
    Worker& worker, MemberExchange& exchange,
    const ExpertBackwardRequest& request, const CallContext& call) {
  const int64_t hidden_size = request.grad_y.cols();
  const absl::StatusOr<std::vector<MemberPart>> parts =
      MakeParts(request, request.grad_y, call, exchange.size());
  const std::vector<PartSize> sizes =
      parts.ok() ? SizesOf(*parts) : std::vector<PartSize>();
  SWITCHYARD_ASSIGN_OR_RETURN(const std::vector<PartSize> received_sizes,
                              exchange.Agree(parts.status(), sizes));

  const auto bytes_there = [hidden_size](const PartSize& size) {
    return size.num_tokens * hidden_size * kFloatBytes;
  };
  RankedBytes sent(BytesOf(sizes, bytes_there));
  for (size_t rank = 0; rank < exchange.size(); ++rank) {
    Packer packer(sent.of(rank));
    PackRows(request.grad_y, (*parts)[rank].tokens, packer);
  }
  const PartSize total = Total(received_sizes);
  absl::StatusOr<ExpertBackwardResult> own = ExpertBackwardResult();
  {
    SWITCHYARD_ASSIGN_OR_RETURN(
        const RankedBytes received,
        exchange.Trade(sent.bytes.get(), sent.sizes,
                       BytesOf(received_sizes, bytes_there)));
    if (total.num_routes > 0) {
      ExpertBackwardRequest owners = {
          .layer = request.layer,
          .generation = request.generation,
          .key = request.key,
          .grad_y = Tensor::Uninitialized({total.num_tokens, hidden_size})};
      Unpacker(received.of(0))
          .Take(owners.grad_y.data(),
                static_cast<size_t>(owners.grad_y.num_elements()));
      own = worker.Backward(owners, call);
    }
  }
  const auto num_rows = [&request](const PartSize& size) {
    return request.exact_combine ? size.num_routes : size.num_tokens;
  };
  if (own.ok() &&
      (own->grad_x.rows() != num_rows(total) ||
       static_cast<int64_t>(own->route_dots.size()) != total.num_routes)) {
    own = absl::FailedPreconditionError(absl::StrCat(
        "routes of the backward: got ", total.num_routes,
        ", expected those of its forward, ", own->route_dots.size()));
  }
  SWITCHYARD_RETURN_IF_ERROR(
      exchange.Agree(own.status(), std::vector<PartSize>(exchange.size()))
          .status());

  const auto bytes_back = [&](const PartSize& size) {
    return num_rows(size) * hidden_size * kFloatBytes +
           size.num_routes * kFloatBytes;
  };
  RankedBytes back(BytesOf(received_sizes, bytes_back));
  int64_t first_row = 0;
  size_t first_route = 0;
  for (size_t rank = 0; rank < exchange.size(); ++rank) {
    const PartSize& size = received_sizes[rank];
    Packer packer(back.of(rank));
    packer.Put(own->grad_x.data() + first_row * hidden_size,
               static_cast<size_t>(num_rows(size) * hidden_size));
    packer.Put(own->route_dots.data() + first_route,
               static_cast<size_t>(size.num_routes));
    first_row += num_rows(size);
    first_route += static_cast<size_t>(size.num_routes);
  }
  SWITCHYARD_ASSIGN_OR_RETURN(
      const RankedBytes answers,
      exchange.Trade(back.bytes.get(), back.sizes, BytesOf(sizes, bytes_back)));

  const auto num_routes = static_cast<int64_t>(request.route_tokens.size());
  RowSums sums(request.exact_combine, request.grad_y.rows(), num_routes,
               hidden_size);
  ExpertBackwardResult result;
  result.route_dots.resize(request.route_tokens.size());
  for (size_t rank = 0; rank < exchange.size(); ++rank) {
    const MemberPart& part = (*parts)[rank];
    Unpacker unpacker(answers.of(rank));
    sums.Add(part, unpacker);
    for (const size_t route : part.routes) {
      unpacker.Take(&result.route_dots[route], 1);
    }
  }
  result.grad_x = std::move(sums).Take();
  result.compute_us = own->compute_us;
  return result;
}

}  // namespace switchyard
