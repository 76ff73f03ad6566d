#include "expert_worker/group/member_exchange.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"

namespace switchyard {
namespace {

// Rounds of one call at most.
constexpr uint64_t kTagsPerCall = 8;
// As NumElements bounds a tensor; sums over ranks cannot overflow.
constexpr int64_t kMaxPartSize = int64_t{1} << 40;

// What travels in Agree. Members run on one kind of machine.
struct Notice {
  int32_t code = 0;
  // Beginning of the status's message.
  std::array<char, 228> message = {};
  int64_t num_tokens = 0;
  int64_t num_routes = 0;
};

Notice MakeNotice(const absl::Status& own, const PartSize& size) {
  Notice notice;
  notice.code = static_cast<int32_t>(own.code());
  const absl::string_view message = own.message();
  std::copy_n(message.data(), std::min(message.size(), notice.message.size()),
              notice.message.data());
  if (own.ok()) {
    notice.num_tokens = size.num_tokens;
    notice.num_routes = size.num_routes;
  }
  return notice;
}

absl::Status StatusOf(const Notice& notice, size_t rank) {
  const std::string message(
      notice.message.data(),
      strnlen(notice.message.data(), notice.message.size()));
  return absl::Status(static_cast<absl::StatusCode>(notice.code),
                      absl::StrCat("rank ", rank, " of its group: ", message));
}

}  // namespace

RankedBytes::RankedBytes(std::vector<int64_t> s)
    : sizes(std::move(s)), begins(sizes.size()) {
  size_t total = 0;
  for (size_t rank = 0; rank < sizes.size(); ++rank) {
    begins[rank] = total;
    total += static_cast<size_t>(sizes[rank]);
  }
  bytes.reset(new std::byte[total]);
}

MemberExchange::MemberExchange(Collective& collective, uint64_t sequence,
                               absl::Time deadline)
    : collective_(collective),
      first_tag_(sequence * kTagsPerCall),
      deadline_(deadline) {}

absl::StatusOr<std::vector<PartSize>> MemberExchange::Agree(
    const absl::Status& own, const std::vector<PartSize>& sizes) {
  std::vector<Notice> send(size());
  for (size_t rank = 0; rank < size(); ++rank) {
    send[rank] = MakeNotice(own, own.ok() ? sizes[rank] : PartSize());
  }
  std::vector<Notice> received(size());
  const std::vector<int64_t> bytes(size(), sizeof(Notice));
  SWITCHYARD_RETURN_IF_ERROR(collective_.AllToAll(
      NextTag(),
      {.send = reinterpret_cast<const std::byte*>(send.data()),
       .send_bytes = bytes,
       .receive = reinterpret_cast<std::byte*>(received.data()),
       .receive_bytes = bytes},
      deadline_));
  std::vector<PartSize> parts(size());
  for (size_t rank = 0; rank < size(); ++rank) {
    const Notice& notice = received[rank];
    if (notice.code != 0)
      return rank == this->rank() ? own : StatusOf(notice, rank);
    parts[rank] = {notice.num_tokens, notice.num_routes};
    if (std::min(notice.num_tokens, notice.num_routes) < 0 ||
        std::max(notice.num_tokens, notice.num_routes) > kMaxPartSize) {
      collective_.Abort();
      return absl::UnavailableError(
          absl::StrCat("rank ", rank, " announced ", notice.num_tokens,
                       " tokens and ", notice.num_routes, " routes"));
    }
  }
  return parts;
}

absl::StatusOr<RankedBytes> MemberExchange::Trade(
    const std::byte* send, const std::vector<int64_t>& send_sizes,
    std::vector<int64_t> receive_sizes) {
  RankedBytes received(std::move(receive_sizes));
  SWITCHYARD_RETURN_IF_ERROR(
      collective_.AllToAll(NextTag(),
                           {.send = send,
                            .send_bytes = send_sizes,
                            .receive = received.bytes.get(),
                            .receive_bytes = received.sizes},
                           deadline_));
  return received;
}

}  // namespace switchyard
