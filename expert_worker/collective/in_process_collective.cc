#include "expert_worker/collective/in_process_collective.h"

#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"

namespace switchyard {

// Messages lie here from the time they are sent until they are fetched.
class InProcessNetwork::Room {
 public:
  struct MessageKey {
    uint64_t tag;
    int from;
    int to;
    friend auto operator<=>(const MessageKey&, const MessageKey&) = default;
  };

  absl::Status Send(const MessageKey& key, std::vector<std::byte> message)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    if (broken_) return Broken();
    messages_[key] = std::move(message);
    changed_.NotifyAll();
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::byte>> Fetch(const MessageKey& key,
                                               absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    for (;;) {
      if (broken_) return Broken();
      const auto found = messages_.find(key);
      if (found != messages_.end()) {
        std::vector<std::byte> message = std::move(found->second);
        messages_.erase(found);
        return message;
      }
      const absl::Duration left = deadline - Clock::Real().Now();
      if (left <= absl::ZeroDuration()) {
        BreakLocked();
        return absl::UnavailableError(absl::StrCat(
            "rank ", key.from, " sent nothing until the deadline"));
      }
      changed_.WaitFor(mutex_, std::min(left, absl::Hours(1)));
    }
  }

  void Break() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    BreakLocked();
  }

 private:
  static absl::Status Broken() {
    return absl::UnavailableError("the group is broken");
  }
  void BreakLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    broken_ = true;
    messages_.clear();
    changed_.NotifyAll();
  }

  Mutex mutex_;
  CondVar changed_;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  absl::btree_map<MessageKey, std::vector<std::byte>> messages_
      ABSL_GUARDED_BY(mutex_);
};

namespace {

class InProcessCollective final : public Collective {
 public:
  InProcessCollective(std::shared_ptr<InProcessNetwork> network,
                      std::string address, int rank, int size)
      : network_(std::move(network)),
        address_(std::move(address)),
        rank_(rank),
        size_(size),
        room_(network_->RoomAt(address_)) {}
  // A member that goes is a member that is dead.
  ~InProcessCollective() override { Abort(); }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const std::string& address() const override { return address_; }

  absl::Status Connect(const std::vector<std::string>& addresses,
                       absl::Time) override {
    if (addresses.size() != static_cast<size_t>(size_)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "addresses: got ", addresses.size(), ", expected ", size_));
    }
    MutexLock lock(mutex_);
    // All meet in the room of rank 0.
    room_ = network_->RoomAt(addresses.front());
    return absl::OkStatus();
  }

  absl::Status AllToAll(uint64_t tag, const AllToAllBuffers& buffers,
                        absl::Time deadline) override {
    SWITCHYARD_RETURN_IF_ERROR(CheckAllToAll(buffers, rank_, size_));
    const auto room = Room();
    const std::byte* send = buffers.send;
    for (int to = 0; to < size_; ++to) {
      const int64_t num_bytes = buffers.send_bytes[static_cast<size_t>(to)];
      SWITCHYARD_RETURN_IF_ERROR(
          room->Send({.tag = tag, .from = rank_, .to = to},
                     std::vector<std::byte>(send, send + num_bytes)));
      send += num_bytes;
    }
    std::byte* receive = buffers.receive;
    for (int from = 0; from < size_; ++from) {
      const size_t num_bytes =
          static_cast<size_t>(buffers.receive_bytes[static_cast<size_t>(from)]);
      SWITCHYARD_ASSIGN_OR_RETURN(
          const std::vector<std::byte> message,
          room->Fetch({.tag = tag, .from = from, .to = rank_}, deadline));
      if (message.size() != num_bytes) {
        room->Break();
        return absl::UnavailableError(
            absl::StrCat("rank ", from, " sent ", message.size(),
                         " bytes, expected ", num_bytes));
      }
      if (num_bytes > 0) std::memcpy(receive, message.data(), num_bytes);
      receive += num_bytes;
    }
    return absl::OkStatus();
  }

  void Abort() override { Room()->Break(); }

 private:
  std::shared_ptr<InProcessNetwork::Room> Room() const
      ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    return room_;
  }

  const std::shared_ptr<InProcessNetwork> network_;
  const std::string address_;
  const int rank_;
  const int size_;
  mutable Mutex mutex_;
  std::shared_ptr<InProcessNetwork::Room> room_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<InProcessNetwork> InProcessNetwork::Create() {
  return std::shared_ptr<InProcessNetwork>(new InProcessNetwork());
}

absl::StatusOr<std::unique_ptr<Collective>> InProcessNetwork::MakeMember(
    int rank, int size) {
  SWITCHYARD_RETURN_IF_ERROR(CheckRank(rank, size));
  std::string address;
  {
    MutexLock lock(mutex_);
    address = absl::StrCat("in-process ", ++last_address_);
  }
  return std::make_unique<InProcessCollective>(shared_from_this(),
                                               std::move(address), rank, size);
}

std::shared_ptr<InProcessNetwork::Room> InProcessNetwork::RoomAt(
    const std::string& address) {
  MutexLock lock(mutex_);
  absl::erase_if(rooms_,
                 [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<Room>& entry = rooms_[address];
  std::shared_ptr<Room> room = entry.lock();
  if (room == nullptr) {
    room = std::make_shared<Room>();
    entry = room;
  }
  return room;
}

}  // namespace switchyard
