#include "services/shared_memory/memory_link.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "services/shared_memory/attachment.h"

namespace switchyard {
namespace {

using Phase = Attachment::Phase;

// Between two attempts to attach.
constexpr absl::Duration kRetryInterval = absl::Seconds(1);
// A peer that has not answered for so long is asked anew.
constexpr absl::Duration kAnswerTimeout = absl::Seconds(10);

// Whether the peer would answer the same again.
bool IsRefusal(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kPermissionDenied:
      return true;
    default:
      return false;
  }
}

}  // namespace

MemoryLink::MemoryLink(MemoryLinkOptions options, StartCall start_call,
                       std::shared_ptr<OutboundCalls> calls, Clock& clock)
    : options_(std::move(options)),
      start_call_(std::move(start_call)),
      calls_(std::move(calls)),
      clock_(clock) {}

MemoryLink::~MemoryLink() = default;

Tensor MemoryLink::Allocate(const Shape& shape) {
  const absl::StatusOr<int64_t> num_elements = NumElements(shape, "shape");
  if (num_elements.ok()) {
    if (const std::shared_ptr<Attachment> attachment = Current()) {
      auto memory = Take(attachment, *num_elements * int64_t{sizeof(float)});
      if (memory != nullptr) return Tensor::Around(shape, std::move(memory));
    }
  }
  return Tensor::Uninitialized(shape);
}

std::optional<SharedCall> MemoryLink::Begin(const Tensor& tensor,
                                            int64_t answer_bytes) {
  if (tensor.size_bytes() < kMinSharedTensorBytes) return std::nullopt;
  std::optional<SharedCall> call = TryBegin(tensor, answer_bytes);
  ++(call.has_value() ? num_shared_calls_ : num_inline_calls_);
  prometheus::Counter* const counter =
      call.has_value() ? options_.shared_calls : options_.inline_calls;
  if (counter != nullptr) counter->Increment();
  return call;
}

std::optional<SharedCall> MemoryLink::TryBegin(const Tensor& tensor,
                                               int64_t answer_bytes) {
  const std::shared_ptr<Attachment> attachment = Current();
  if (attachment == nullptr) return std::nullopt;
  Tensor request = tensor.Share();
  const int64_t num_bytes = tensor.size_bytes();
  if (!attachment->region().OffsetOf(tensor.data(), num_bytes).has_value()) {
    std::shared_ptr<float[]> copy = Take(attachment, num_bytes);
    if (copy == nullptr) return std::nullopt;
    std::memcpy(copy.get(), tensor.data(), static_cast<size_t>(num_bytes));
    request = Tensor::Around(tensor.shape(), std::move(copy));
  }
  std::shared_ptr<float[]> answer;
  if (answer_bytes > 0) answer = Take(attachment, answer_bytes);
  return SharedCall(attachment, std::move(request), std::move(answer),
                    answer_bytes);
}

std::shared_ptr<float[]> MemoryLink::Take(
    const std::shared_ptr<Attachment>& attachment, int64_t num_bytes) {
  std::shared_ptr<float[]> memory = attachment->region().Allocate(num_bytes);
  if (memory != nullptr || attachment->region().abandoned_bytes() == 0) {
    return memory;
  }
  std::shared_ptr<Attachment> replaced;
  MutexLock lock(mutex_);
  if (attachment_ == attachment) replaced = std::move(attachment_);
  return nullptr;
}

absl::Status MemoryLink::AwaitAttached(absl::Duration timeout) {
  std::shared_ptr<Attachment> attachment;
  {
    MutexLock lock(mutex_);
    CurrentLocked();
    if (attachment_ == nullptr) return ErrorLocked();
    attachment = attachment_;
  }
  if (!attachment->AwaitChange(Phase::kAttaching, timeout)) {
    return absl::DeadlineExceededError(
        absl::StrCat(options_.peer, ": no answer about shared memory"));
  }
  if (attachment->phase() == Phase::kAttached) return absl::OkStatus();
  MutexLock lock(mutex_);
  CurrentLocked();
  return ErrorLocked();
}

absl::Status MemoryLink::ErrorLocked() const {
  if (!last_error_.ok()) return last_error_;
  return absl::UnavailableError(
      absl::StrCat(options_.peer, ": the shared memory is being replaced"));
}

bool MemoryLink::Close(absl::Duration timeout) {
  std::shared_ptr<Attachment> attachment;
  {
    MutexLock lock(mutex_);
    refused_ = true;
    attachment = std::move(attachment_);
  }
  if (attachment == nullptr) return true;
  const absl::Time until = clock_.Now() + timeout;
  attachment->Cancel();
  for (const Phase phase : {Phase::kAttaching, Phase::kAttached}) {
    if (!attachment->AwaitChange(phase, until - clock_.Now())) return false;
  }
  return true;
}

std::shared_ptr<Attachment> MemoryLink::Current() {
  MutexLock lock(mutex_);
  return CurrentLocked();
}

std::shared_ptr<Attachment> MemoryLink::CurrentLocked() {
  if (attachment_ != nullptr) {
    switch (attachment_->phase()) {
      case Phase::kAttached:
        return attachment_;
      case Phase::kAttaching:
        if (clock_.Now() - started_at_ < kAnswerTimeout) return nullptr;
        last_error_ = absl::DeadlineExceededError("not answered");
        break;
      case Phase::kEnded:
        OnEndedLocked(attachment_->end_status(), attachment_->was_attached());
        break;
    }
    attachment_.reset();
  }
  if (!refused_ && clock_.Now() - started_at_ >= kRetryInterval) StartLocked();
  return nullptr;
}

void MemoryLink::StartLocked() {
  started_at_ = clock_.Now();
  absl::StatusOr<std::shared_ptr<Attachment>> started =
      Attachment::Start(options_.region_bytes, start_call_, calls_);
  if (started.ok()) {
    attachment_ = *std::move(started);
  } else {
    OnEndedLocked(started.status(), /*was_attached=*/false);
  }
}

void MemoryLink::OnEndedLocked(const absl::Status& status, bool was_attached) {
  last_error_ = absl::Status(
      status.code(), absl::StrCat("no shared memory with ", options_.peer,
                                  ", tensors are "
                                  "sent: ",
                                  status.message()));
  if (was_attached) return;
  refused_ = IsRefusal(status.code());
  // A peer that is not there fails the calls themselves.
  if (warned_ || absl::IsUnavailable(status) || absl::IsCancelled(status)) {
    return;
  }
  warned_ = true;
  LogWarning(last_error_.message());
}

}  // namespace switchyard
