#include "expert_worker/collective/gloo_collective.h"

#include <gloo/context.h>
#include <gloo/transport/context.h>
#include <gloo/transport/tcp/device.h>
#include <gloo/transport/unbound_buffer.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <functional>
#include <stdexcept>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/concurrency/thread_pool.h"

namespace switchyard {
namespace {

// Never 0, which means forever to Gloo.
std::chrono::milliseconds MsUntil(absl::Time deadline) {
  const absl::Duration left = deadline - Clock::Real().Now();
  return std::chrono::milliseconds(
      std::clamp<int64_t>(absl::ToInt64Milliseconds(left), 1,
                          absl::ToInt64Milliseconds(absl::Hours(1))));
}

// Gloo reports by exceptions.
template <typename Call>
absl::Status CatchGloo(Call call) {
  try {
    call();
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("gloo: ", error.what()));
  }
}

// Gloo writes to sockets whose other end may be gone, without MSG_NOSIGNAL.
void IgnoreBrokenPipes() {
  static const auto previous = std::signal(SIGPIPE, SIG_IGN);
  static_cast<void>(previous);
}

// Gloo crashes at times on a host that cannot be resolved.
absl::Status CheckHostResolves(const std::string& host) {
  const addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error == 0) {
    freeaddrinfo(found);
    return absl::OkStatus();
  }
  return absl::UnavailableError(
      absl::StrCat("host '", host, "': ", gai_strerror(error)));
}

// Gloo's rendezvous::Context, with addresses that come and go as plain bytes
// instead of through a store that one must wait for.
class MeshContext final : public gloo::Context {
 public:
  MeshContext(std::shared_ptr<gloo::transport::Device> device, int num_ranks,
              int own_rank)
      : gloo::Context(own_rank, num_ranks) {
    device_ = std::move(device);
    transportContext_ = device_->createContext(own_rank, num_ranks);
    // A pair keeps the timeout of its birth and knows no deadlines: Connect
    // watches over those.
    transportContext_->setTimeout(std::chrono::hours(1));
    for (int peer = 0; peer < size; ++peer) {
      if (peer == rank) continue;
      const std::vector<char> bytes =
          transportContext_->createPair(peer)->address().bytes();
      addresses_.append(bytes.data(), bytes.size());
    }
  }

  // One address for each other rank, of equal lengths.
  const std::string& addresses() const { return addresses_; }

  void Connect(const std::vector<std::string>& addresses) {
    for (int peer = 0; peer < size; ++peer) {
      if (peer == rank) continue;
      const std::string& all = addresses[static_cast<size_t>(peer)];
      const size_t length = all.size() / static_cast<size_t>(size - 1);
      const char* own =
          all.data() +
          static_cast<size_t>(rank < peer ? rank : rank - 1) * length;
      transportContext_->getPair(peer)->connect(
          std::vector<char>(own, own + length));
    }
  }

 private:
  std::string addresses_;
};

// Calls `on_late` once `deadline` has passed, unless it is destroyed before.
class DeadlineWatch {
 public:
  DeadlineWatch(absl::Time deadline, std::function<void()> on_late)
      : thread_({.name = "deadline watch"}) {
    // An empty queue takes a task.
    const absl::Status scheduled =
        thread_.Schedule([this, deadline, on_late = std::move(on_late)] {
          if (IsLate(deadline)) on_late();
        });
    static_cast<void>(scheduled.ok());
  }
  ~DeadlineWatch() {
    MutexLock lock(mutex_);
    done_ = true;
    changed_.NotifyAll();
  }

 private:
  bool IsLate(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    while (!done_) {
      const absl::Duration left = deadline - Clock::Real().Now();
      if (left <= absl::ZeroDuration()) return true;
      changed_.WaitFor(mutex_, std::min(left, absl::Hours(1)));
    }
    return false;
  }

  Mutex mutex_;
  CondVar changed_;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  // Last: its task uses the others.
  ThreadPool thread_;
};

class GlooCollective final : public Collective {
 public:
  explicit GlooCollective(std::unique_ptr<MeshContext> context)
      : context_(std::move(context)) {}
  ~GlooCollective() override { Abort(); }

  int rank() const override { return context_->rank; }
  int size() const override { return context_->size; }
  const std::string& address() const override { return context_->addresses(); }

  absl::Status Connect(const std::vector<std::string>& addresses,
                       absl::Time deadline) override {
    if (addresses.size() != static_cast<size_t>(size())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "addresses: got ", addresses.size(), ", expected ", size()));
    }
    DeadlineWatch watch(deadline, [this] { Abort(); });
    SWITCHYARD_RETURN_IF_ERROR(
        BreakUnlessOk(CatchGloo([&] { context_->Connect(addresses); })));
    // To Gloo a closed pair is one that need not be waited for.
    return IsBroken() ? Broken() : absl::OkStatus();
  }

  absl::Status AllToAll(uint64_t tag, const AllToAllBuffers& buffers,
                        absl::Time deadline) override {
    SWITCHYARD_RETURN_IF_ERROR(CheckAllToAll(buffers, rank(), size()));
    if (IsBroken()) return Broken();
    return BreakUnlessOk(CatchGloo([&] { Exchange(tag, buffers, deadline); }));
  }

  void Abort() override {
    {
      MutexLock lock(mutex_);
      if (broken_) return;
      broken_ = true;
    }
    // Wakes all who wait at the other ends.
    const absl::Status closed =
        CatchGloo([&] { context_->closeConnections(); });
    static_cast<void>(closed.ok());
    // And here: what is received from a pair that is closed already never ends.
    MutexLock lock(mutex_);
    for (UnboundBuffer* const buffer : waiting_) {
      buffer->abortWaitRecv();
      buffer->abortWaitSend();
    }
  }

 private:
  static absl::Status Broken() {
    return absl::UnavailableError("the group is broken");
  }

  using UnboundBuffer = gloo::transport::UnboundBuffer;

  // Lets Abort wake the waits of one exchange. Throws where it came first.
  class Waits {
   public:
    Waits(GlooCollective& collective, UnboundBuffer& send,
          UnboundBuffer& receive)
        : collective_(collective), buffers_{&send, &receive} {
      MutexLock lock(collective_.mutex_);
      if (collective_.broken_) ThrowAborted();
      for (UnboundBuffer* const buffer : buffers_) {
        collective_.waiting_.insert(buffer);
      }
    }
    ~Waits() {
      MutexLock lock(collective_.mutex_);
      for (UnboundBuffer* const buffer : buffers_) {
        collective_.waiting_.erase(buffer);
      }
    }

   private:
    GlooCollective& collective_;
    const std::array<UnboundBuffer*, 2> buffers_;
  };

  // Where each rank's piece begins, and where the last one ends.
  static std::vector<size_t> Offsets(absl::Span<const int64_t> counts) {
    std::vector<size_t> offsets = {0};
    for (const int64_t count : counts) {
      offsets.push_back(offsets.back() + static_cast<size_t>(count));
    }
    return offsets;
  }

  void Exchange(uint64_t tag, const AllToAllBuffers& buffers,
                absl::Time deadline) {
    const std::vector<size_t> from = Offsets(buffers.send_bytes);
    const std::vector<size_t> to = Offsets(buffers.receive_bytes);
    // Gloo takes memory to write to and only reads what is sent.
    const auto send = context_->createUnboundBuffer(
        const_cast<std::byte*>(buffers.send), from.back());
    const auto receive =
        context_->createUnboundBuffer(buffers.receive, to.back());
    const Waits waits(*this, *send, *receive);
    int num_sends = 0;
    int num_receives = 0;
    // Each rank begins with its successor, so that not all send to one.
    for (int i = 1; i < size(); ++i) {
      const int peer = (rank() + i) % size();
      const size_t p = static_cast<size_t>(peer);
      if (buffers.receive_bytes[p] > 0) {
        receive->recv(peer, tag, to[p], to[p + 1] - to[p]);
        ++num_receives;
      }
      if (buffers.send_bytes[p] > 0) {
        send->send(peer, tag, from[p], from[p + 1] - from[p]);
        ++num_sends;
      }
    }
    const size_t self = static_cast<size_t>(rank());
    if (buffers.send_bytes[self] > 0) {
      std::memcpy(buffers.receive + to[self], buffers.send + from[self],
                  static_cast<size_t>(buffers.send_bytes[self]));
    }
    while (num_receives-- > 0) {
      if (!receive->waitRecv(nullptr, MsUntil(deadline))) ThrowAborted();
    }
    while (num_sends-- > 0) {
      if (!send->waitSend(nullptr, MsUntil(deadline))) ThrowAborted();
    }
  }

  [[noreturn]] static void ThrowAborted() {
    throw std::runtime_error("aborted while it waited");
  }

  absl::Status BreakUnlessOk(absl::Status status) {
    if (!status.ok()) Abort();
    return status;
  }

  bool IsBroken() const ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    return broken_;
  }

  const std::unique_ptr<MeshContext> context_;
  mutable Mutex mutex_;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<UnboundBuffer*> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<Collective>> MakeGlooCollective(
    const std::string& listen_host, int rank, int size) {
  SWITCHYARD_RETURN_IF_ERROR(CheckRank(rank, size));
  SWITCHYARD_RETURN_IF_ERROR(CheckHostResolves(listen_host));
  IgnoreBrokenPipes();
  std::unique_ptr<MeshContext> context;
  const absl::Status status = CatchGloo([&] {
    gloo::transport::tcp::attr attributes;
    attributes.hostname = listen_host;
    context = std::make_unique<MeshContext>(
        gloo::transport::tcp::CreateDevice(attributes), size, rank);
  });
  if (!status.ok()) return status;
  return std::make_unique<GlooCollective>(std::move(context));
}

}  // namespace switchyard
