#ifndef SWITCHYARD_EXPERT_WORKER_COLLECTIVE_COLLECTIVE_H_
#define SWITCHYARD_EXPERT_WORKER_COLLECTIVE_COLLECTIVE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace switchyard {

// What one member gives and gets in an all-to-all. The pieces lie one behind
// the other, by rank; counts are bytes, [size] each, and may be 0. What a rank
// sends to another must be what that one expects of it.
struct AllToAllBuffers {
  const std::byte* send = nullptr;
  absl::Span<const int64_t> send_bytes;
  std::byte* receive = nullptr;
  absl::Span<const int64_t> receive_bytes;
};

// One member's end of a group of processes (or threads) that exchange bytes.
// Implementations pass one conformance suite (collective_conformance.h).
//
// A group lives once: every member makes its end, all addresses are brought to
// all (by whoever forms the group), every member connects. When anything
// fails - a member dies, a deadline passes, someone aborts - the whole group is
// broken for good: every call under way and every later one, on every member,
// ends with UNAVAILABLE. A new group takes its place.
//
// Thread-safe. Calls under way at the same time are told apart by their tags,
// so members need no common order; a tag may be used again once all members
// have returned from its call.
class Collective {
 public:
  virtual ~Collective() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Where the others find this member: opaque bytes, to be kept from strangers.
  virtual const std::string& address() const = 0;
  // Once, before any other call: `addresses` by rank, this one's included.
  // INVALID_ARGUMENT for another number of them. Blocks until `deadline`.
  virtual absl::Status Connect(const std::vector<std::string>& addresses,
                               absl::Time deadline) = 0;

  // Blocks until all pieces have come, and those sent may be overwritten.
  // INVALID_ARGUMENT, with the group intact, unless there are `size` counts of
  // each kind, not negative, those from and to itself equal.
  virtual absl::Status AllToAll(uint64_t tag, const AllToAllBuffers& buffers,
                                absl::Time deadline) = 0;

  // Breaks the group, from any thread.
  virtual void Abort() = 0;
};

// Makes a member's end of a group.
using CollectiveFactory =
    std::function<absl::StatusOr<std::unique_ptr<Collective>>(int rank,
                                                              int size)>;

// The check that AllToAll promises.
absl::Status CheckAllToAll(const AllToAllBuffers& buffers, int rank, int size);

// INVALID_ARGUMENT unless `rank` is one of a group of `size`.
absl::Status CheckRank(int rank, int size);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COLLECTIVE_COLLECTIVE_H_
