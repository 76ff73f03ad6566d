// Inference and training load on a gateway and two workers, for
// SWITCHYARD_SOAK_SECONDS (default 20): nothing fails, and once warm no process
// grows.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "cli/load/load_run.h"
#include "cli/local_cluster.h"
#include "cli/process/event_waiter.h"
#include "cli/process/resident_memory.h"
#include "client/gateway_client.h"
#include "common/base/status_testing.h"

namespace switchyard {
namespace {

constexpr int64_t kHidden = 64;
constexpr int64_t kTokens = 96;
// What allocators and gRPC may still take after the first half, the warm-up.
constexpr int64_t kMaxGrowthBytes = int64_t{16} << 20;

absl::Duration SoakTime() {
  const char* const text = std::getenv("SWITCHYARD_SOAK_SECONDS");
  int seconds = 20;
  if (text != nullptr) {
    EXPECT_TRUE(absl::SimpleAtoi(text, &seconds)) << text;
  }
  return absl::Seconds(seconds);
}

LayerSpec Layer(const std::string& name) {
  LayerSpec spec;
  spec.name = name;
  spec.hidden_size = kHidden;
  spec.num_experts = 8;
  spec.expert = MlpExpertSpec{128, Activation::kGelu};
  spec.gate.k = 2;
  spec.optimizer = AdamSpec{};
  return spec;
}

// Trains until told to stop; microbatches of changing sizes, and a step that is
// thrown away now and then.
absl::Status Train(GatewayClient& client, const std::atomic<bool>& stop) {
  for (int64_t i = 0; !stop; ++i) {
    ForwardRequest forward;
    forward.layer = "trained";
    forward.mode = Mode::kTrain;
    forward.x = Tensor::Zeros({1 + i * 7 % kTokens, kHidden});
    for (float& v : forward.x.values()) v = 0.25f;
    absl::StatusOr<ForwardResult> result = client.Forward(forward);
    if (!result.ok()) return result.status();
    BackwardRequest backward;
    backward.layer = "trained";
    backward.step = result->step;
    backward.microbatch = result->microbatch;
    backward.grad_y = std::move(result->y);
    if (absl::Status status = client.Backward(backward).status();
        !status.ok()) {
      return status;
    }
    const absl::Status stepped = client
                                     .Step({.layer = "trained",
                                            .step = result->step,
                                            .learning_rate = 1e-3f,
                                            .discard = i % 10 == 9})
                                     .status();
    if (!stepped.ok()) return stepped;
  }
  return absl::OkStatus();
}

std::vector<int64_t> MemoryOf(const LocalCluster& cluster) {
  std::vector<int64_t> bytes;
  for (const LocalCluster::Member& member : cluster.members()) {
    const absl::StatusOr<int64_t> resident =
        ResidentBytes(member.process.pid());
    EXPECT_OK(resident);
    bytes.push_back(resident.value_or(0));
  }
  return bytes;
}

class SoakTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(events_, EventWaiter::Create());
    LocalClusterOptions options;
    ASSERT_OK_AND_ASSIGN(options.gateway_binary,
                         SiblingBinary("switchyard-gateway"));
    ASSERT_OK_AND_ASSIGN(options.worker_binary,
                         SiblingBinary("switchyard-worker"));
    ASSERT_OK_AND_ASSIGN(LocalCluster cluster,
                         LocalCluster::Start(options, *events_));
    cluster_ = std::make_unique<LocalCluster>(std::move(cluster));
    client_ = std::make_unique<GatewayClient>(cluster_->gateway_address());
    ASSERT_OK(client_->CreateLayer(Layer("served")));
    ASSERT_OK(client_->CreateLayer(Layer("trained")));
  }
  void TearDown() override {
    if (cluster_ != nullptr) cluster_->Stop(*events_);
  }

  void LoadFor(absl::Duration duration) {
    LoadOptions options;
    options.gateway = cluster_->gateway_address();
    options.layer = "served";
    options.x = Tensor::Zeros({kTokens, kHidden});
    options.num_clients = 4;
    options.max_outstanding_per_client = 2;
    options.duration = duration;
    ASSERT_OK_AND_ASSIGN(const LoadResult result, RunLoad(options));
    EXPECT_GT(result.answered, 0);
    EXPECT_EQ(result.NumFailed(), 0)
        << (result.messages.empty() ? "" : result.messages.begin()->second);
  }

  std::unique_ptr<EventWaiter> events_;
  std::unique_ptr<LocalCluster> cluster_;
  std::unique_ptr<GatewayClient> client_;
};

TEST_F(SoakTest, NothingFailsAndNothingGrows) {
  std::atomic<bool> stop = false;
  absl::Status trained;
  std::thread trainer([&] { trained = Train(*client_, stop); });
  // Clients come and go: each piece of load has connections of its own.
  constexpr int kPieces = 10;
  const absl::Duration piece = SoakTime() / kPieces;
  std::vector<int64_t> warm;
  for (int i = 0; i < kPieces; ++i) {
    LoadFor(piece);
    if (i == kPieces / 2 - 1) warm = MemoryOf(*cluster_);
  }
  const std::vector<int64_t> end = MemoryOf(*cluster_);
  stop = true;
  trainer.join();
  EXPECT_OK(trained);
  for (size_t i = 0; i < end.size(); ++i) {
    const std::string& name = cluster_->members()[i].name;
    RecordProperty(name + "_growth_bytes", std::to_string(end[i] - warm[i]));
    EXPECT_LE(end[i] - warm[i], kMaxGrowthBytes) << name << " of " << warm[i];
  }
  EXPECT_TRUE(cluster_->TakeEnded().empty());
}

}  // namespace
}  // namespace switchyard
