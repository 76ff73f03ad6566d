#include "expert_worker/dispatch/combine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "expert_worker/testing/random_tensor.h"

namespace switchyard {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

RoutedBatch MakeBatch(int64_t num_tokens, std::vector<int32_t> tokens,
                      std::vector<int32_t> experts,
                      std::vector<float> weights) {
  RoutedBatch batch;
  batch.num_tokens = num_tokens;
  batch.route_tokens = std::move(tokens);
  batch.route_weights = std::move(weights);
  batch.order = SortRoutesByExpert(experts, 8);
  return batch;
}

TEST(CombineTest, SumsWeightedRowsOfEachToken) {
  ThreadPool pool({.name = "test", .num_threads = 1});
  // Rows: routes 1, 0, 2.
  const RoutedBatch batch = MakeBatch(3, {0, 0, 2}, {5, 1, 6}, {0.5f, 2, -1});
  const Tensor rows = Tensor::FromSpan({3, 2}, {1, 2, 10, 20, 100, 200});
  EXPECT_THAT(SumByToken(batch, rows, RowOrder::kByExpert,
                         RowWeighting::kWeighted, {}, pool)
                  .values(),
              ElementsAre(7, 14, 0, 0, -100, -200));
  EXPECT_THAT(SumByToken(batch, rows, RowOrder::kByExpert,
                         RowWeighting::kUnweighted, {}, pool)
                  .values(),
              ElementsAre(11, 22, 0, 0, 100, 200));
  EXPECT_THAT(OrderByRoute(batch, rows, {}, pool).values(),
              ElementsAre(10, 20, 1, 2, 100, 200));
}

TEST(CombineTest, AddsInTheOrderOfTheRequest) {
  ThreadPool pool({.name = "test", .num_threads = 1});
  // 2^24 + 1 - 2^24 is 0 in that order alone; the rows lie in another.
  const RoutedBatch batch = MakeBatch(1, {0, 0, 0}, {2, 1, 0}, {1, 1, 1});
  const Tensor rows = Tensor::FromSpan({3, 1}, {-16777216, 1, 16777216});
  EXPECT_THAT(SumByToken(batch, rows, RowOrder::kByExpert,
                         RowWeighting::kWeighted, {}, pool)
                  .values(),
              ElementsAre(0));
}

TEST(CombineTest, StartsFromPositiveZero) {
  ThreadPool pool({.name = "test", .num_threads = 1});
  const RoutedBatch batch = MakeBatch(1, {0}, {0}, {1});
  const Tensor rows = Tensor::FromSpan({1, 1}, {-0.0f});
  const Tensor sums = SumByToken(batch, rows, RowOrder::kByExpert,
                                 RowWeighting::kWeighted, {}, pool);
  EXPECT_FALSE(std::signbit(sums.data()[0]));
}

TEST(CombineTest, DoesNotDependOnThreads) {
  constexpr int32_t kNumTokens = 300;
  std::vector<int32_t> tokens;
  std::vector<int32_t> experts;
  for (int32_t t = 0; t < kNumTokens; ++t) {
    for (int32_t i = 0; i < t % 5; ++i) {
      tokens.push_back(t);
      experts.push_back((t + i * 3) % 8);
    }
  }
  const auto num_routes = static_cast<int64_t>(tokens.size());
  const Tensor weights = testing::RandomTensor({num_routes}, 1);
  const Tensor rows = testing::RandomTensor({num_routes, 33}, 2);
  const RoutedBatch batch =
      MakeBatch(kNumTokens, tokens, experts,
                {weights.values().begin(), weights.values().end()});
  ThreadPool none({.name = "test", .num_threads = 0});
  const Tensor expected = SumByToken(batch, rows, RowOrder::kByExpert,
                                     RowWeighting::kWeighted, {}, none);
  for (const int num_threads : {1, 2, 4}) {
    ThreadPool pool({.name = "test", .num_threads = num_threads});
    EXPECT_THAT(SumByToken(batch, rows, RowOrder::kByExpert,
                           RowWeighting::kWeighted, {}, pool)
                    .values(),
                ElementsAreArray(expected.values()));
  }
}

}  // namespace
}  // namespace switchyard
