#include "gateway/membership/lease_table.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace switchyard {
namespace {

constexpr size_t kMaxIdLength = 128;
constexpr int kMaxGoneWorkers = 1024;

bool IsValidWorkerId(const std::string& id) {
  if (id.empty() || id.size() > kMaxIdLength) return false;
  for (const char c : id) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' &&
        c != '_' && c != '/' && c != ':' && c != '-') {
      return false;
    }
  }
  return true;
}

absl::Status Validate(const WorkerRegistration& worker) {
  if (!IsValidWorkerId(worker.worker_id)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "worker_id: got '", absl::CHexEscape(worker.worker_id.substr(0, 256)),
        "', expected 1 to 128 characters out of [A-Za-z0-9._/:-]"));
  }
  if (worker.address.empty()) {
    return absl::InvalidArgumentError(
        "address: got '', expected host:port or unix:/path");
  }
  if (!worker.group.empty() && !IsValidWorkerId(worker.group)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "group: got '", absl::CHexEscape(worker.group.substr(0, 256)),
        "', expected at most 128 characters out of [A-Za-z0-9._/:-]"));
  }
  if (worker.incarnation == 0) {
    return absl::InvalidArgumentError(
        "incarnation: got 0, expected a random number");
  }
  return absl::OkStatus();
}

absl::Status NoLease(const std::string& worker_id, uint64_t incarnation) {
  return absl::NotFoundError(absl::StrCat(
      "no lease for worker '", absl::CHexEscape(worker_id.substr(0, 256)),
      "' with incarnation ", incarnation, ", expected it to register first"));
}

}  // namespace

absl::Status LeaseTable::Register(const WorkerRegistration& worker,
                                  absl::Time now, bool& replaced) {
  replaced = false;
  if (absl::Status status = Validate(worker); !status.ok()) return status;
  Entry& entry = entries_[worker.worker_id];
  replaced = entry.changed_at != 0 && entry.state == WorkerState::kUp;
  entry.registration = worker;
  entry.last_renewal = now;
  SetState(entry, WorkerState::kUp, "");
  return absl::OkStatus();
}

absl::Status LeaseTable::Renew(const std::string& worker_id,
                               uint64_t incarnation, absl::Time now) {
  const auto it = entries_.find(worker_id);
  if (it == entries_.end() || it->second.state != WorkerState::kUp ||
      it->second.registration.incarnation != incarnation) {
    return NoLease(worker_id, incarnation);
  }
  it->second.last_renewal = now;
  return absl::OkStatus();
}

absl::Status LeaseTable::Leave(const std::string& worker_id,
                               uint64_t incarnation) {
  const auto it = entries_.find(worker_id);
  if (it == entries_.end() || it->second.state != WorkerState::kUp ||
      it->second.registration.incarnation != incarnation) {
    return NoLease(worker_id, incarnation);
  }
  SetState(it->second, WorkerState::kLeft, "deregistered");
  return absl::OkStatus();
}

bool LeaseTable::MarkLost(const std::string& worker_id,
                          const std::string& reason) {
  const auto it = entries_.find(worker_id);
  if (it == entries_.end() || it->second.state != WorkerState::kUp) {
    return false;
  }
  SetState(it->second, WorkerState::kLost, reason);
  return true;
}

std::vector<std::string> LeaseTable::Expire(absl::Time now) {
  std::vector<std::string> expired;
  for (auto& [worker_id, entry] : entries_) {
    if (entry.state == WorkerState::kUp &&
        now - entry.last_renewal > lease_duration_) {
      expired.push_back(worker_id);
    }
  }
  for (const std::string& worker_id : expired) {
    MarkLost(worker_id, absl::StrCat("lease not renewed for ",
                                     absl::FormatDuration(lease_duration_)));
  }
  return expired;
}

std::vector<WorkerStatus> LeaseTable::List(absl::Time now) const {
  std::vector<WorkerStatus> workers;
  workers.reserve(entries_.size());
  for (const auto& [worker_id, entry] : entries_) {
    workers.push_back({.worker_id = worker_id,
                       .address = entry.registration.address,
                       .metrics_address = entry.registration.metrics_address,
                       .state = entry.state,
                       .state_reason = entry.reason,
                       .since_renewal_ms =
                           absl::ToInt64Milliseconds(now - entry.last_renewal),
                       .group = entry.registration.group});
  }
  return workers;
}

int LeaseTable::num_up() const {
  int num_up = 0;
  for (const auto& [worker_id, entry] : entries_) {
    if (entry.state == WorkerState::kUp) ++num_up;
  }
  return num_up;
}

void LeaseTable::SetState(Entry& entry, WorkerState state,
                          const std::string& reason) {
  entry.state = state;
  entry.reason = reason;
  entry.changed_at = ++generation_;
  if (state != WorkerState::kUp) ForgetOldest();
}

void LeaseTable::ForgetOldest() {
  int num_gone = 0;
  auto oldest = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->second.state == WorkerState::kUp) continue;
    ++num_gone;
    if (oldest == entries_.end() ||
        it->second.changed_at < oldest->second.changed_at) {
      oldest = it;
    }
  }
  if (num_gone > kMaxGoneWorkers) entries_.erase(oldest);
}

}  // namespace switchyard
