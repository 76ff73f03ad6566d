#include "expert_worker/store/kept_activations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

constexpr MicrobatchKey kFirst = {.step = 4, .microbatch = 0};
constexpr MicrobatchKey kSecond = {.step = 4, .microbatch = 1};

class KeptActivationsTest : public ::testing::Test {
 protected:
  std::shared_ptr<KeptBatch> Batch() {
    auto batch = std::make_shared<KeptBatch>();
    batch->reservation = *budget_.Reserve(10);
    return batch;
  }

  ByteBudget budget_{"kept activations", 1000};
  KeptActivations kept_{absl::Seconds(60)};
  const absl::Time start_ = absl::UnixEpoch();
};

TEST_F(KeptActivationsTest, GivesABatchToOneTakerOnly) {
  kept_.Put(1, kFirst, Batch(), start_);
  const auto found = kept_.Find(1, kFirst);
  ASSERT_NE(found, nullptr);
  EXPECT_NE(kept_.Take(1, kFirst, *found), nullptr);
  EXPECT_EQ(kept_.Take(1, kFirst, *found), nullptr);
  EXPECT_EQ(kept_.Find(1, kFirst), nullptr);
}

TEST_F(KeptActivationsTest, CountsBytesWhileSomebodyUsesTheBatch) {
  kept_.Put(1, kFirst, Batch(), start_);
  auto found = kept_.Find(1, kFirst);
  kept_.Drop(1, kFirst);
  EXPECT_EQ(budget_.used_bytes(), 10);
  found = nullptr;
  EXPECT_EQ(budget_.used_bytes(), 0);
}

TEST_F(KeptActivationsTest, ReplacesABatchUnderTheSameKey) {
  kept_.Put(1, kFirst, Batch(), start_);
  const auto replaced = kept_.Find(1, kFirst);
  kept_.Put(1, kFirst, Batch(), start_);
  EXPECT_NE(kept_.Find(1, kFirst), replaced);
  EXPECT_EQ(kept_.Take(1, kFirst, *replaced), nullptr);
  EXPECT_NE(kept_.Find(1, kFirst), nullptr);
}

TEST_F(KeptActivationsTest, ALaterAttemptTakesTheEarlierOnesPlace) {
  MicrobatchKey earlier = kFirst;
  earlier.attempt = 3;
  MicrobatchKey later = kFirst;
  later.attempt = 5;
  kept_.Put(1, earlier, Batch(), start_);
  kept_.Put(1, kSecond, Batch(), start_);
  kept_.Put(1, later, Batch(), start_);
  EXPECT_EQ(kept_.Find(1, earlier), nullptr);
  // The earlier one is late: it was given up while it computed.
  kept_.Put(1, earlier, Batch(), start_);
  EXPECT_EQ(kept_.Find(1, earlier), nullptr);
  EXPECT_NE(kept_.Find(1, later), nullptr);
  kept_.Drop(1, earlier);
  EXPECT_NE(kept_.Find(1, later), nullptr);
  EXPECT_EQ(budget_.used_bytes(), 20);
  later.attempt = 6;
  kept_.Drop(1, later);
  EXPECT_EQ(budget_.used_bytes(), 10);
  EXPECT_NE(kept_.Find(1, kSecond), nullptr);
}

TEST_F(KeptActivationsTest, DropsOneLayerAndNoOther) {
  kept_.Put(1, kFirst, Batch(), start_);
  kept_.Put(2, kFirst, Batch(), start_);
  kept_.Put(2, kSecond, Batch(), start_);
  kept_.Put(3, kFirst, Batch(), start_);
  kept_.DropLayer(2);
  EXPECT_NE(kept_.Find(1, kFirst), nullptr);
  EXPECT_EQ(kept_.Find(2, kFirst), nullptr);
  EXPECT_EQ(kept_.Find(2, kSecond), nullptr);
  EXPECT_NE(kept_.Find(3, kFirst), nullptr);
  EXPECT_EQ(budget_.used_bytes(), 20);
}

TEST_F(KeptActivationsTest, DropsWhatHasExpired) {
  kept_.Put(1, kFirst, Batch(), start_);
  kept_.Put(1, kSecond, Batch(), start_ + absl::Seconds(30));
  kept_.DropExpired(start_ + absl::Seconds(59));
  EXPECT_NE(kept_.Find(1, kFirst), nullptr);
  kept_.DropExpired(start_ + absl::Seconds(60));
  EXPECT_EQ(kept_.Find(1, kFirst), nullptr);
  EXPECT_NE(kept_.Find(1, kSecond), nullptr);
  kept_.DropExpired(start_ + absl::Seconds(90));
  EXPECT_EQ(kept_.Find(1, kSecond), nullptr);
  EXPECT_EQ(budget_.used_bytes(), 0);
}

TEST_F(KeptActivationsTest, IsUnmovedByDroppingWhatIsNotThere) {
  kept_.Drop(1, kFirst);
  kept_.DropLayer(1);
  kept_.DropExpired(absl::InfiniteFuture());
  EXPECT_EQ(kept_.Find(1, kFirst), nullptr);
}

}  // namespace
}  // namespace switchyard
