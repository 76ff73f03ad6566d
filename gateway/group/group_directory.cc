#include "gateway/group/group_directory.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"

namespace switchyard {
namespace {

constexpr absl::Duration kFormTimeout = absl::Seconds(5);
constexpr absl::Duration kMinBackoff = absl::Milliseconds(200);
constexpr absl::Duration kMaxBackoff = absl::Seconds(10);

bool IsMember(const std::vector<GroupedWorker>& workers,
              const GroupedWorker& wanted) {
  return std::any_of(workers.begin(), workers.end(),
                     [&wanted](const GroupedWorker& worker) {
                       return worker.worker == wanted.worker;
                     });
}

bool AreMembers(const std::vector<GroupedWorker>& wanted,
                const std::vector<GroupedWorker>& workers) {
  return std::all_of(wanted.begin(), wanted.end(),
                     [&workers](const GroupedWorker& worker) {
                       return IsMember(workers, worker);
                     });
}

}  // namespace

std::optional<GroupDirectory::Place> GroupDirectory::Find(
    const ExpertGroup* worker) const {
  MutexLock lock(mutex_);
  const auto it = places_.find(worker);
  if (it == places_.end()) return std::nullopt;
  return it->second;
}

void GroupDirectory::Form(const Groups& groups) {
  MutexLock lock(form_mutex_);
  EndOutdated(groups);
  Publish();
  for (const auto& [name, members] : groups) {
    if (members.size() >= 2) FormOne(name, members, entries_[name]);
  }
  Publish();
}

void GroupDirectory::EndOutdated(const Groups& groups) {
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto group = groups.find(it->first);
    if (group == groups.end() || group->second.size() < 2) {
      if (it->second.link != nullptr) it->second.link->Break();
      it = entries_.erase(it);
      continue;
    }
    const std::shared_ptr<GroupLink>& link = it->second.link;
    if (link != nullptr && !AreMembers(link->members(), group->second)) {
      // Whoever waits for the one that is gone must not wait on.
      link->Break();
    }
    ++it;
  }
}

void GroupDirectory::FormOne(const std::string& name,
                             const std::vector<GroupedWorker>& members,
                             Entry& entry) {
  const bool is_intact = entry.link != nullptr && !entry.link->IsBroken();
  if (is_intact && AreMembers(members, entry.link->members())) {
    entry.backoff = kMinBackoff;
    return;
  }
  const absl::Time now = clock_.Now();
  if (now < entry.retry_at) return;
  // Doubled until a link has been seen intact.
  entry.backoff = std::clamp(2 * entry.backoff, kMinBackoff, kMaxBackoff);
  entry.retry_at = now + entry.backoff;
  absl::StatusOr<std::shared_ptr<GroupLink>> link =
      GroupLink::Form(members, now + kFormTimeout, clock_);
  if (!link.ok()) {
    LogWarning("group '", name, "' of ", members.size(),
               " workers not formed: ", link.status().ToString());
    return;
  }
  LogInfo("group '", name, "' formed of ", members.size(), " workers");
  if (entry.link != nullptr) entry.link->Retire();
  entry.link = *std::move(link);
}

void GroupDirectory::Publish() {
  absl::flat_hash_map<const ExpertGroup*, Place> places;
  int num_groups = 0;
  for (const auto& [name, entry] : entries_) {
    if (entry.link == nullptr || entry.link->IsBroken()) continue;
    ++num_groups;
    int32_t rank = 0;
    for (const GroupedWorker& member : entry.link->members()) {
      places[member.worker.get()] = {entry.link, rank++};
    }
  }
  metrics_.SetGroupsConnected(num_groups);
  MutexLock lock(mutex_);
  // The former ones are let go of after the lock.
  places_.swap(places);
}

}  // namespace switchyard
