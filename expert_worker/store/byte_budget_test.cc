#include "expert_worker/store/byte_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <utility>
#include <vector>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::testing::ElementsAre;
using testing::StatusIs;

TEST(ByteBudgetTest, RefusesWhatIsNotFreeAndSaysWhatIs) {
  ByteBudget budget("test memory", 100);
  ASSERT_OK_AND_ASSIGN(const ByteReservation first, budget.Reserve(70));
  EXPECT_THAT(budget.Reserve(31),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "test memory: got 31 bytes, expected at most 30 (70 of "
                       "100 bytes are in use)"));
  EXPECT_OK(budget.Reserve(30));
  EXPECT_EQ(budget.used_bytes(), 70);
}

TEST(ByteBudgetTest, GivesBackOnceHoweverOftenMoved) {
  ByteBudget budget("test memory", 100);
  {
    ASSERT_OK_AND_ASSIGN(ByteReservation first, budget.Reserve(70));
    ByteReservation second = std::move(first);
    ByteReservation third;
    third = std::move(second);
    EXPECT_EQ(third.bytes(), 70);
    EXPECT_EQ(budget.used_bytes(), 70);
  }
  EXPECT_EQ(budget.used_bytes(), 0);
}

TEST(ByteBudgetTest, TellsEveryChange) {
  std::vector<int64_t> changes;
  ByteBudget budget("test memory", 100,
                    [&](int64_t change) { changes.push_back(change); });
  budget.Reserve(70).IgnoreError();
  budget.Reserve(101).IgnoreError();
  EXPECT_THAT(changes, ElementsAre(70, -70));
}

TEST(ByteBudgetTest, NeverGrantsMoreThanItHasToSeveralThreads) {
  ByteBudget budget("test memory", 3);
  std::atomic<int> holders{0};
  std::atomic<bool> exceeded{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 1000; ++round) {
        const auto reservation = budget.Reserve(1);
        if (!reservation.ok()) continue;
        if (++holders > 3) exceeded = true;
        --holders;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(exceeded);
  EXPECT_EQ(budget.used_bytes(), 0);
}

}  // namespace
}  // namespace switchyard
