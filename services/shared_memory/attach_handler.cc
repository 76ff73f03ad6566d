#include "services/shared_memory/attach_handler.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/rpc/exception_boundary.h"
#include "services/rpc/status_conversion.h"

namespace switchyard {
namespace {

absl::Status ShuttingDown() {
  return absl::UnavailableError("shared memory: the server is shutting down");
}

absl::StatusOr<RegionSource> DecodeSource(
    const v1::AttachMemoryRequest& request) {
  RegionSource source = {.pid = request.pid(),
                         .fd = request.fd(),
                         .size_bytes = request.size_bytes()};
  const std::string& token = request.token();
  if (token.size() != source.token.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "token: got ", token.size(), " bytes, expected ", source.token.size()));
  }
  std::copy(token.begin(), token.end(), source.token.begin());
  return source;
}

}  // namespace

// One stream, from its arrival until gRPC is done with it; EndAll may hold it a
// little longer.
class AttachHandler::Stream final
    : public grpc::ServerWriteReactor<v1::AttachMemoryResponse>,
      public std::enable_shared_from_this<Stream> {
 public:
  explicit Stream(AttachHandler& handler) : handler_(handler) {}

  void Start(const v1::AttachMemoryRequest& request) {
    self_ = shared_from_this();
    absl::Status status = RunCatching([&]() -> absl::Status {
      absl::StatusOr<RegionSource> source = DecodeSource(request);
      if (!source.ok()) return source.status();
      absl::StatusOr<uint64_t> id = handler_.regions_.Attach(*source);
      if (!id.ok()) return id.status();
      response_.set_region_id(*id);
      attached_ = true;
      return absl::OkStatus();
    });
    if (status.ok() && !handler_.Add(self_)) status = ShuttingDown();
    if (!status.ok()) return End(status);
    StartWrite(&response_);
  }

  // Once gRPC has taken the stream over; from then on at any time.
  void End(const absl::Status& status) {
    if (!ended_.exchange(true)) Finish(ToGrpcStatus(status));
  }

 private:
  void OnWriteDone(bool ok) override {
    if (!ok) End(absl::CancelledError("the caller has left"));
  }
  void OnCancel() override { End(absl::CancelledError("the caller has left")); }
  void OnDone() override {
    if (attached_) handler_.regions_.Detach(response_.region_id());
    handler_.Remove(self_);
    self_.reset();  // The last, but for EndAll.
  }

  AttachHandler& handler_;
  v1::AttachMemoryResponse response_;
  bool attached_ = false;
  std::atomic<bool> ended_ = false;
  std::shared_ptr<Stream> self_;
};

grpc::ServerWriteReactor<v1::AttachMemoryResponse>* AttachHandler::Handle(
    const v1::AttachMemoryRequest& request) {
  const auto stream = std::make_shared<Stream>(*this);
  stream->Start(request);
  return stream.get();
}

void AttachHandler::EndAll() {
  std::vector<std::shared_ptr<Stream>> streams;
  {
    MutexLock lock(mutex_);
    closed_ = true;
    streams.assign(streams_.begin(), streams_.end());
  }
  for (const std::shared_ptr<Stream>& stream : streams) {
    stream->End(ShuttingDown());
  }
}

bool AttachHandler::Add(std::shared_ptr<Stream> stream) {
  MutexLock lock(mutex_);
  if (closed_) return false;
  streams_.insert(std::move(stream));
  return true;
}

void AttachHandler::Remove(const std::shared_ptr<Stream>& stream) {
  MutexLock lock(mutex_);
  streams_.erase(stream);
}

}  // namespace switchyard
