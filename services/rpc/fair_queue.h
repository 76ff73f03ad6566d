// Whose request is next: a queue that many clients share.
#ifndef SWITCHYARD_SERVICES_RPC_FAIR_QUEUE_H_
#define SWITCHYARD_SERVICES_RPC_FAIR_QUEUE_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace switchyard {

struct FairQueueLimits {
  // Stands in errors: "queue of NAME is full".
  std::string name;
  // Items that wait, at most.
  int64_t max_items = 0;
  // Bytes of items that wait or are out, together; one that is alone may have
  // more.
  int64_t max_bytes = 0;
};

// Items of many clients, served by deficit round robin (Shreedhar and Varghese,
// 1995): in each round every client that waits may have kQuantumBytes more, so
// a client gets the same bytes per second as any other, however much it asks
// for. In the order of one client's items nothing changes.
//
// A client may use all of the queue while no other wants it. When the queue is
// full, one that has less than its share (the limit / clients that hold
// anything) pushes out the newest items of the one that is most above its own.
//
// What it remembers of a client goes with the client's last item, so it is
// bounded by the items. Thread-compatible.
template <typename Item>
class FairQueue {
 public:
  static constexpr int64_t kQuantumBytes = int64_t{64} << 10;
  // What an item costs beside its bytes: small ones are not free.
  static constexpr int64_t kItemCostBytes = int64_t{4} << 10;

  struct Entry {
    std::string client;
    int64_t num_bytes = 0;
    Item item;
  };

  explicit FairQueue(FairQueueLimits limits) : limits_(std::move(limits)) {}

  // Returns what had to go to make room: it waits no more and is not held.
  // RESOURCE_EXHAUSTED, naming the limit, where there is no room.
  absl::StatusOr<std::vector<Entry>> Push(Entry entry) {
    const bool is_new = !clients_.contains(entry.client);
    const auto num_clients = static_cast<int64_t>(clients_.size()) + is_new;
    std::vector<Entry> pushed_out;
    while (!Fits(entry.num_bytes)) {
      const absl::Status refused = full(entry.num_bytes);
      std::optional<Entry> victim;
      if (IsWithinShare(entry, num_clients)) victim = PopNewest(num_clients);
      if (!victim.has_value()) {
        // In vain: they go back to where they were.
        while (!pushed_out.empty()) {
          Append(std::move(pushed_out.back()));
          pushed_out.pop_back();
        }
        return refused;
      }
      pushed_out.push_back(*std::move(victim));
    }
    Append(std::move(entry));
    return pushed_out;
  }

  // The next item, which is then out: its bytes count until Release. Nothing
  // where none waits.
  std::optional<Entry> Pop() {
    if (round_.empty()) return std::nullopt;
    for (size_t visits = 0;; ++visits) {
      if (visits == round_.size()) SkipRounds();
      Client& client = clients_.at(round_.front());
      if (!client.has_turn) client.deficit += kQuantumBytes;
      client.has_turn = client.deficit >= CostOf(client.waiting.front());
      if (client.has_turn) return Serve(client);
      round_.push_back(std::move(round_.front()));
      round_.pop_front();
    }
  }

  // Takes an item out that waits; false if it does not (any more).
  bool Remove(absl::string_view client_name, const Item& item) {
    const auto found = clients_.find(client_name);
    if (found == clients_.end()) return false;
    std::deque<Entry>& waiting = found->second.waiting;
    const auto entry =
        std::find_if(waiting.begin(), waiting.end(),
                     [&](const Entry& e) { return e.item == item; });
    if (entry == waiting.end()) return false;
    const int64_t num_bytes = entry->num_bytes;
    waiting.erase(entry);
    --num_waiting_;
    LeaveRoundIfEmpty(found->first, found->second);
    Unhold(found->first, num_bytes);
    return true;
  }

  // An item that was out has ended.
  void Release(absl::string_view client, int64_t num_bytes) {
    Unhold(client, num_bytes);
  }

  int64_t num_waiting() const { return num_waiting_; }
  int64_t held_bytes() const { return held_bytes_; }
  // That hold anything.
  int64_t num_clients() const { return static_cast<int64_t>(clients_.size()); }

 private:
  struct Client {
    std::deque<Entry> waiting;
    // Waiting or out.
    int64_t num_held = 0;
    int64_t held_bytes = 0;
    // Bytes that it may still have in this round.
    int64_t deficit = 0;
    bool has_turn = false;
  };

  static int64_t CostOf(const Entry& entry) {
    return entry.num_bytes + kItemCostBytes;
  }

  bool Fits(int64_t num_bytes) const {
    return num_waiting_ < limits_.max_items &&
           (held_bytes_ == 0 || held_bytes_ + num_bytes <= limits_.max_bytes);
  }

  absl::Status full(int64_t num_bytes) const {
    if (num_waiting_ >= limits_.max_items) {
      return absl::ResourceExhaustedError(
          absl::StrCat("queue of ", limits_.name, " is full (", num_waiting_,
                       " waiting, at most ", limits_.max_items, ")"));
    }
    return absl::ResourceExhaustedError(
        absl::StrCat("queue of ", limits_.name, " is full (", held_bytes_,
                     " bytes pending, at most ", limits_.max_bytes, ", and ",
                     num_bytes, " more came)"));
  }

  // Whether the entry's client has no more than its share with it, or nothing
  // but it.
  bool IsWithinShare(const Entry& entry, int64_t num_clients) const {
    const auto found = clients_.find(entry.client);
    if (found == clients_.end()) return true;
    const Client& client = found->second;
    return (static_cast<int64_t>(client.waiting.size()) + 1) * num_clients <=
               limits_.max_items &&
           (client.held_bytes + entry.num_bytes) * num_clients <=
               limits_.max_bytes;
  }

  // The newest item of the client that is most above its share of what is
  // short; nothing where none is.
  std::optional<Entry> PopNewest(int64_t num_clients) {
    const bool short_of_items = num_waiting_ >= limits_.max_items;
    const int64_t share =
        (short_of_items ? limits_.max_items : limits_.max_bytes) / num_clients;
    const std::string* most_name = nullptr;
    int64_t most = share;
    for (const auto& [name, client] : clients_) {
      const int64_t has = short_of_items
                              ? static_cast<int64_t>(client.waiting.size())
                              : client.held_bytes;
      if (client.waiting.empty() || has <= most) continue;
      most = has;
      most_name = &name;
    }
    if (most_name == nullptr) return std::nullopt;
    const std::string name = *most_name;
    Client& client = clients_.at(name);
    Entry newest = std::move(client.waiting.back());
    client.waiting.pop_back();
    --num_waiting_;
    LeaveRoundIfEmpty(name, client);
    Unhold(name, newest.num_bytes);
    return newest;
  }

  void Append(Entry entry) {
    Client& client = clients_[entry.client];
    if (client.waiting.empty()) round_.push_back(entry.client);
    ++client.num_held;
    client.held_bytes += entry.num_bytes;
    held_bytes_ += entry.num_bytes;
    ++num_waiting_;
    client.waiting.push_back(std::move(entry));
  }

  Entry Serve(Client& client) {
    Entry entry = std::move(client.waiting.front());
    client.waiting.pop_front();
    client.deficit -= CostOf(entry);
    --num_waiting_;
    LeaveRoundIfEmpty(entry.client, client);
    return entry;
  }

  // Nobody could be served in a round: as many more rounds at once as it takes
  // until somebody can.
  void SkipRounds() {
    int64_t num_rounds = std::numeric_limits<int64_t>::max();
    for (const std::string& name : round_) {
      const Client& client = clients_.at(name);
      const int64_t missing = CostOf(client.waiting.front()) - client.deficit;
      num_rounds = std::min(num_rounds,
                            (missing + kQuantumBytes - 1) / kQuantumBytes - 1);
    }
    for (const std::string& name : round_) {
      clients_.at(name).deficit += num_rounds * kQuantumBytes;
    }
  }

  // A client that has nothing to send saves nothing up.
  void LeaveRoundIfEmpty(const std::string& name, Client& client) {
    if (!client.waiting.empty()) return;
    client.deficit = 0;
    client.has_turn = false;
    round_.erase(std::find(round_.begin(), round_.end(), name));
  }

  void Unhold(absl::string_view name, int64_t num_bytes) {
    const auto found = clients_.find(name);
    held_bytes_ -= num_bytes;
    found->second.held_bytes -= num_bytes;
    if (--found->second.num_held == 0) clients_.erase(found);
  }

  const FairQueueLimits limits_;
  // Of clients that hold anything; nodes stay in place.
  absl::node_hash_map<std::string, Client> clients_;
  // Those that wait, in the order of their turns.
  std::deque<std::string> round_;
  int64_t num_waiting_ = 0;
  int64_t held_bytes_ = 0;
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_FAIR_QUEUE_H_
