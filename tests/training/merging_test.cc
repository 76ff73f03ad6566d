// Eval forwards of many clients that are merged: every answer is, to the last
// bit, that of the request by itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "common/base/status_testing.h"
#include "embedded/embedded_cluster.h"
#include "expert_worker/testing/random_tensor.h"

namespace switchyard::testing {
namespace {

LayerSpec MergedLayer(int32_t k) {
  LayerSpec spec;
  spec.name = "moe";
  spec.hidden_size = 24;
  spec.num_experts = 6;
  spec.expert = GatedExpertSpec{.ffn_size = 40};
  spec.gate.k = k;
  // Capacity counts per request, and so its drops must.
  spec.capacity.drop_tokens = true;
  spec.capacity.eval_capacity_factor = 1.0f;
  spec.capacity.min_capacity = 1;
  return spec;
}

ForwardRequest RequestOf(int client, int round) {
  ForwardRequest request;
  request.layer = "moe";
  request.x = RandomTensor({1 + (client * 5 + round) % 9, 24},
                           static_cast<uint64_t>(100 * client + round));
  return request;
}

// Answers of all clients, sent side by side.
std::vector<std::vector<float>> Answers(int32_t k, MergeLimits merge) {
  constexpr int kClients = 8;
  constexpr int kRounds = 20;
  EmbeddedClusterOptions options;
  options.num_workers = 2;
  options.gateway.layer_limits.merge = merge;
  EmbeddedCluster cluster(options);
  EXPECT_OK(cluster.gateway()
                .CreateLayer(MergedLayer(k), absl::Now() + absl::Seconds(60))
                .status());
  std::vector<std::vector<float>> answers(kClients);
  std::vector<std::thread> clients;
  for (int client = 0; client < kClients; ++client) {
    clients.emplace_back([&, client] {
      for (int round = 0; round < kRounds; ++round) {
        const auto result = cluster.gateway().Forward(
            RequestOf(client, round), absl::Now() + absl::Seconds(60));
        ASSERT_OK(result.status());
        std::vector<float>& answer = answers[static_cast<size_t>(client)];
        answer.insert(answer.end(), result->y.values().begin(),
                      result->y.values().end());
      }
    });
  }
  for (std::thread& client : clients) client.join();
  return answers;
}

class MergingTest : public ::testing::TestWithParam<int32_t> {};

TEST_P(MergingTest, NoBitOfAnAnswerDependsOnTheCompany) {
  const auto alone = Answers(GetParam(), {});
  EXPECT_EQ(Answers(GetParam(), {.max_tokens = 16}), alone);
  EXPECT_EQ(Answers(GetParam(), {.max_tokens = 64,
                                 .max_wait = absl::Microseconds(200),
                                 .max_in_flight = 1}),
            alone);
}

INSTANTIATE_TEST_SUITE_P(K, MergingTest, ::testing::Values(1, 2, 4));

}  // namespace
}  // namespace switchyard::testing
