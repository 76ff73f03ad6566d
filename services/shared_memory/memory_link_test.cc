#include "services/shared_memory/memory_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_testing.h"
#include "services/rpc/callback_threads.h"
#include "services/rpc/channel.h"
#include "services/rpc/rpc_server.h"
#include "services/shared_memory/attach_handler.h"
#include "services/shared_memory/attached_regions.h"
#include "switchyard/v1/worker.grpc.pb.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::Eq;
using ::testing::HasSubstr;

constexpr int64_t kRegionBytes = 256 << 10;
constexpr absl::Duration kPatience = absl::Seconds(20);

class SetClock final : public Clock {
 public:
  absl::Time Now() override { return absl::UnixEpoch() + offset_.load(); }
  void Advance(absl::Duration by) { offset_ = offset_.load() + by; }

 private:
  std::atomic<absl::Duration> offset_ = absl::ZeroDuration();
};

// Attaches regions, or refuses to.
class Callee final : public v1::ExpertWorker::CallbackService {
 public:
  grpc::ServerWriteReactor<v1::AttachMemoryResponse>* AttachMemory(
      grpc::CallbackServerContext* /*context*/,
      const v1::AttachMemoryRequest* request) override {
    ++num_asked;
    v1::AttachMemoryRequest changed = *request;
    if (refuses) changed.set_token("wrong token 1234");
    return handler->Handle(changed);
  }

  std::atomic<int> num_asked = 0;
  std::atomic<bool> refuses = false;
  std::unique_ptr<AttachHandler> handler;
};

class MemoryLinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    callee_.handler = std::make_unique<AttachHandler>(regions_);
    ASSERT_OK_AND_ASSIGN(
        server_, RpcServer::Start("127.0.0.1:0", {}, {{"worker", &callee_}}));
    using Stub = v1::ExpertWorker::Stub;
    const std::shared_ptr<Stub> stub(
        new Stub(MakeChannel(server_->address(), 1 << 20)),
        &DeleteOffCallbackThreads<Stub>);
    link_ = std::make_unique<MemoryLink>(
        MemoryLinkOptions{.peer = "the callee", .region_bytes = kRegionBytes},
        [stub](grpc::ClientContext* context,
               const v1::AttachMemoryRequest* request,
               MemoryLink::Reader* reader) {
          stub->async()->AttachMemory(context, request, reader);
        },
        nullptr, clock_);
  }
  void TearDown() override {
    EXPECT_TRUE(link_ == nullptr || link_->Close(kPatience));
  }

  double NumRegions() const {
    for (const prometheus::MetricFamily& family : metrics_->Collect()) {
      if (family.name == "switchyard_shared_memory_regions") {
        return family.metric[0].gauge.value;
      }
    }
    return -1;
  }
  bool AwaitRegions(double expected) const {
    const absl::Time until = absl::Now() + kPatience;
    while (NumRegions() != expected) {
      if (absl::Now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }

  SetClock clock_;
  const std::shared_ptr<prometheus::Registry> metrics_ =
      std::make_shared<prometheus::Registry>();
  AttachedRegions regions_{{.max_shared_regions = 2}, metrics_};
  std::unique_ptr<AttachHandler> ended_handler_;
  Callee callee_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<MemoryLink> link_;
};

Tensor Ones(const Shape& shape) {
  Tensor tensor = Tensor::Zeros(shape);
  for (float& value : tensor.values()) value = 1;
  return tensor;
}

// 32 KiB.
const Shape kShape = {64, 128};
constexpr int64_t kTensorBytes = 32 << 10;

TEST_F(MemoryLinkTest, TheCalleeFindsTheTensorAndTheCallerItsAnswer) {
  ASSERT_OK(link_->AwaitAttached(kPatience));
  const Tensor x = Ones(kShape);
  std::optional<SharedCall> call = link_->Begin(x, kTensorBytes);
  ASSERT_TRUE(call.has_value());
  ASSERT_OK_AND_ASSIGN(const auto sent,
                       regions_.Find(call->request_place(), kTensorBytes, "x"));
  EXPECT_EQ(sent[64 * 128 - 1], 1);
  ASSERT_NE(call->offered_place(), nullptr);
  const v1::SharedMemory offered = *call->offered_place();
  EXPECT_EQ(offered.capacity_bytes(), kTensorBytes);
  ASSERT_OK_AND_ASSIGN(const auto answer,
                       regions_.Find(offered, kTensorBytes, "y"));
  answer[7] = 3;
  call->End(/*answered=*/true);
  ASSERT_OK_AND_ASSIGN(const auto got, call->Find(offered, kTensorBytes, "y"));
  EXPECT_EQ(got[7], 3);
}

TEST_F(MemoryLinkTest, ATensorThatLiesInTheRegionIsNotCopied) {
  ASSERT_OK(link_->AwaitAttached(kPatience));
  const Tensor x = link_->Allocate(kShape);
  std::optional<SharedCall> call = link_->Begin(x, 0);
  ASSERT_TRUE(call.has_value());
  EXPECT_EQ(call->request_place().offset(), kRegionHeaderBytes);
  EXPECT_EQ(call->offered_place(), nullptr);
}

TEST_F(MemoryLinkTest, OnlyTheOfferedPlaceIsTakenForAnAnswer) {
  ASSERT_OK(link_->AwaitAttached(kPatience));
  std::optional<SharedCall> call = link_->Begin(Ones(kShape), kTensorBytes);
  ASSERT_TRUE(call.has_value());
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("expected the place that was"));
  EXPECT_THAT(call->Find(call->request_place(), 4, "y"), refused);
  v1::SharedMemory place = *call->offered_place();
  EXPECT_THAT(call->Find(place, kTensorBytes + 1, "y"), refused);
  place.set_region_id(place.region_id() + 1);
  EXPECT_THAT(call->Find(place, 4, "y"), refused);
}

TEST_F(MemoryLinkTest, SmallTensorsAndThoseWithoutRoomAreSent) {
  ASSERT_OK(link_->AwaitAttached(kPatience));
  EXPECT_THAT(link_->Begin(Ones({8, 8}), 0), Eq(std::nullopt));
  EXPECT_EQ(link_->num_inline_calls(), 0);
  const Tensor all = link_->Allocate({(kRegionBytes - 4096) / 4});
  const Tensor x = Ones(kShape);
  EXPECT_THAT(link_->Begin(x, 0), Eq(std::nullopt));
  EXPECT_EQ(link_->num_inline_calls(), 1);
  // In memory of its own.
  const Tensor other = link_->Allocate(kShape);
  EXPECT_EQ(other.shape(), kShape);
}

TEST_F(MemoryLinkTest, AnAnswerWithoutRoomIsNotOfferedAny) {
  ASSERT_OK(link_->AwaitAttached(kPatience));
  const Tensor most = link_->Allocate({(kRegionBytes - 4096 - (40 << 10)) / 4});
  std::optional<SharedCall> call = link_->Begin(Ones(kShape), kTensorBytes);
  ASSERT_TRUE(call.has_value());
  EXPECT_EQ(call->offered_place(), nullptr);
}

TEST_F(MemoryLinkTest, PlacesAreUsedAgainOnceTheCallWasAnswered) {
  ASSERT_OK(link_->AwaitAttached(kPatience));
  const Tensor x = Ones(kShape);
  for (int i = 0; i < 100; ++i) {
    std::optional<SharedCall> call = link_->Begin(x, kTensorBytes);
    ASSERT_TRUE(call.has_value());
    call->End(/*answered=*/true);
  }
  EXPECT_EQ(callee_.num_asked, 1);
}

TEST_F(MemoryLinkTest, ARegionFullOfUnansweredCallsIsReplaced) {
  ASSERT_OK(link_->AwaitAttached(kPatience));
  const Tensor x = Ones(kShape);
  std::vector<int64_t> offsets;
  while (true) {
    std::optional<SharedCall> call = link_->Begin(x, 0);
    if (!call.has_value()) break;
    for (const int64_t offset : offsets) {
      ASSERT_NE(call->request_place().offset(), offset);
    }
    offsets.push_back(call->request_place().offset());
    call->End(/*answered=*/false);
  }
  EXPECT_EQ(offsets.size(), 7u);
  // The old one goes, as no call needs it; a new one comes, but not at once.
  EXPECT_TRUE(AwaitRegions(0));
  EXPECT_THAT(link_->Begin(x, 0), Eq(std::nullopt));
  clock_.Advance(absl::Seconds(1));
  ASSERT_OK(link_->AwaitAttached(kPatience));
  EXPECT_TRUE(link_->Begin(x, 0).has_value());
  EXPECT_EQ(callee_.num_asked, 2);
}

TEST_F(MemoryLinkTest, ACallKeepsItsRegionAttached) {
  ASSERT_OK(link_->AwaitAttached(kPatience));
  const Tensor x = Ones(kShape);
  std::optional<SharedCall> kept = link_->Begin(x, kTensorBytes);
  ASSERT_TRUE(kept.has_value());
  while (auto call = link_->Begin(x, 0)) {
    call->End(/*answered=*/false);
  }
  clock_.Advance(absl::Seconds(1));
  ASSERT_OK(link_->AwaitAttached(kPatience));
  EXPECT_EQ(NumRegions(), 2);
  EXPECT_OK(regions_.Find(kept->request_place(), kTensorBytes, "x"));
  kept.reset();
  EXPECT_TRUE(AwaitRegions(1));
}

TEST_F(MemoryLinkTest, APeerThatRefusesIsNotAskedAgain) {
  callee_.refuses = true;
  EXPECT_THAT(link_->AwaitAttached(kPatience),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no shared memory with the callee")));
  clock_.Advance(absl::Hours(1));
  EXPECT_THAT(link_->Begin(Ones(kShape), 0), Eq(std::nullopt));
  EXPECT_EQ(callee_.num_asked, 1);
}

TEST_F(MemoryLinkTest, AStreamThatTheCalleeEndedIsMadeAnew) {
  ASSERT_OK(link_->AwaitAttached(kPatience));
  callee_.handler->EndAll();
  ASSERT_TRUE(AwaitRegions(0));
  const Tensor x = Ones(kShape);
  while (link_->Begin(x, 0).has_value()) std::this_thread::yield();
  EXPECT_THAT(link_->AwaitAttached(kPatience),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("shutting")));
  // As if it had been started again.
  ended_handler_ = std::move(callee_.handler);
  callee_.handler = std::make_unique<AttachHandler>(regions_);
  clock_.Advance(absl::Seconds(1));
  ASSERT_OK(link_->AwaitAttached(kPatience));
  EXPECT_TRUE(link_->Begin(x, 0).has_value());
}

TEST_F(MemoryLinkTest, NothingStaysAttachedWithoutTheLink) {
  ASSERT_OK(link_->AwaitAttached(kPatience));
  Tensor tensor = link_->Allocate(kShape);
  EXPECT_EQ(NumRegions(), 1);
  link_.reset();
  EXPECT_TRUE(AwaitRegions(0));
  tensor.data()[0] = 1;
}

TEST_F(MemoryLinkTest, AClosedLinkAttachesNoMore) {
  ASSERT_OK(link_->AwaitAttached(kPatience));
  EXPECT_TRUE(link_->Close(kPatience));
  clock_.Advance(absl::Hours(1));
  EXPECT_THAT(link_->Begin(Ones(kShape), 0), Eq(std::nullopt));
  EXPECT_TRUE(AwaitRegions(0));
}

}  // namespace
}  // namespace switchyard
