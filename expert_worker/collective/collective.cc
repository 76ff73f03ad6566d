#include "expert_worker/collective/collective.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace switchyard {
namespace {

absl::Status CheckCounts(absl::string_view field,
                         absl::Span<const int64_t> counts, int size) {
  if (counts.size() != static_cast<size_t>(size)) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": got ", counts.size(), " counts, expected ", size,
                     ", one for each rank"));
  }
  for (const int64_t count : counts) {
    if (count < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          field, ": got ", count, ", expected counts that are not negative"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckAllToAll(const AllToAllBuffers& buffers, int rank, int size) {
  absl::Status status = CheckCounts("send_bytes", buffers.send_bytes, size);
  status.Update(CheckCounts("receive_bytes", buffers.receive_bytes, size));
  if (!status.ok()) return status;
  const size_t self = static_cast<size_t>(rank);
  if (buffers.send_bytes[self] == buffers.receive_bytes[self]) return status;
  return absl::InvalidArgumentError(
      absl::StrCat("receive_bytes of rank ", rank, " itself: got ",
                   buffers.receive_bytes[self], ", expected ",
                   buffers.send_bytes[self], ", as many as it sends"));
}

absl::Status CheckRank(int rank, int size) {
  constexpr int kMaxSize = 1024;
  if (size < 1 || size > kMaxSize) {
    return absl::InvalidArgumentError(absl::StrCat(
        "size: got ", size, ", expected 1 to ", kMaxSize, " members"));
  }
  if (rank < 0 || rank >= size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "rank: got ", rank, ", expected a rank of a group of ", size));
  }
  return absl::OkStatus();
}

}  // namespace switchyard
