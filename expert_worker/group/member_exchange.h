#ifndef SWITCHYARD_EXPERT_WORKER_GROUP_MEMBER_EXCHANGE_H_
#define SWITCHYARD_EXPERT_WORKER_GROUP_MEMBER_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "expert_worker/collective/collective.h"

namespace switchyard {

// How much of a batch one member has for another.
struct PartSize {
  int64_t num_tokens = 0;
  int64_t num_routes = 0;
};

// Bytes for each rank, one behind the other.
struct RankedBytes {
  // Of `sizes` bytes, not yet written.
  explicit RankedBytes(std::vector<int64_t> sizes);

  std::byte* of(size_t rank) { return bytes.get() + begins[rank]; }
  const std::byte* of(size_t rank) const { return bytes.get() + begins[rank]; }

  std::vector<int64_t> sizes;
  std::vector<size_t> begins;
  std::unique_ptr<std::byte[]> bytes;
};

// The exchanges of one call of a group, on one member: rounds that every member
// takes part in, in the same order. Each round of data comes after one in which
// members tell what has become of their part so far; when one has failed, all
// end the call with its status, and the group is as good as before. UNAVAILABLE
// alone means that the group is broken. Thread-compatible.
class MemberExchange {
 public:
  MemberExchange(Collective& collective, uint64_t sequence,
                 absl::Time deadline);

  size_t rank() const { return static_cast<size_t>(collective_.rank()); }
  size_t size() const { return static_cast<size_t>(collective_.size()); }

  // Tells every rank `own` and, where that is OK, the size of its part; the
  // sizes of what comes, by rank, or the failure of the lowest rank that has
  // one.
  absl::StatusOr<std::vector<PartSize>> Agree(
      const absl::Status& own, const std::vector<PartSize>& sizes);

  // Gives every rank its bytes, which lie one behind the other, and takes as
  // many as `receive_sizes` says.
  absl::StatusOr<RankedBytes> Trade(const std::byte* send,
                                    const std::vector<int64_t>& send_sizes,
                                    std::vector<int64_t> receive_sizes);

 private:
  uint64_t NextTag() { return first_tag_ + round_++; }

  Collective& collective_;
  const uint64_t first_tag_;
  const absl::Time deadline_;
  uint64_t round_ = 0;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_GROUP_MEMBER_EXCHANGE_H_
