#include "common/shared_memory/region_slots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace switchyard {
namespace {

using ::testing::Eq;
using ::testing::Optional;

constexpr int64_t kBegin = 4096;
constexpr int64_t kAlignment = 64;

RegionSlots Slots(int64_t num_bytes) {
  return RegionSlots(kBegin, kBegin + num_bytes, kAlignment);
}

TEST(RegionSlotsTest, GivesTheFirstPartThatFits) {
  RegionSlots slots = Slots(1024);
  EXPECT_THAT(slots.Take(100), Optional(kBegin));
  EXPECT_THAT(slots.Take(64), Optional(kBegin + 128));
  EXPECT_THAT(slots.Take(1), Optional(kBegin + 192));
  slots.GiveBack(kBegin + 128);
  EXPECT_THAT(slots.Take(65), Optional(kBegin + 256));
  EXPECT_THAT(slots.Take(64), Optional(kBegin + 128));
}

TEST(RegionSlotsTest, HasNothingBeyondItsEnd) {
  RegionSlots slots = Slots(256);
  EXPECT_THAT(slots.Take(257), Eq(std::nullopt));
  EXPECT_THAT(slots.Take(256), Optional(kBegin));
  EXPECT_THAT(slots.Take(1), Eq(std::nullopt));
  EXPECT_THAT(Slots(256).Take(0), Eq(std::nullopt));
  EXPECT_THAT(Slots(256).Take(-1), Eq(std::nullopt));
}

TEST(RegionSlotsTest, JoinsWhatComesBackWithItsNeighbours) {
  for (const std::vector<int64_t>& order : std::vector<std::vector<int64_t>>{
           {0, 64, 128}, {128, 64, 0}, {0, 128, 64}, {64, 0, 128}}) {
    RegionSlots slots = Slots(192);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(slots.Take(64).has_value());
    for (const int64_t offset : order) slots.GiveBack(kBegin + offset);
    EXPECT_THAT(slots.Take(192), Optional(kBegin));
  }
}

TEST(RegionSlotsTest, KnowsWhatLiesInOnePart) {
  RegionSlots slots = Slots(256);
  slots.Take(128);
  slots.Take(64);
  EXPECT_TRUE(slots.Contains(kBegin, 128));
  EXPECT_TRUE(slots.Contains(kBegin + 64, 64));
  EXPECT_TRUE(slots.Contains(kBegin + 128, 64));
  EXPECT_FALSE(slots.Contains(kBegin, 129));
  EXPECT_FALSE(slots.Contains(kBegin - 1, 1));
  EXPECT_FALSE(slots.Contains(kBegin + 192, 1));
  EXPECT_FALSE(slots.Contains(kBegin, -1));
}

TEST(RegionSlotsTest, WhatWasAbandonedIsNotGivenOutAgain) {
  RegionSlots slots = Slots(256);
  slots.Take(128);
  slots.Abandon(kBegin + 64);
  EXPECT_EQ(slots.abandoned_bytes(), 128);
  slots.Abandon(kBegin);
  EXPECT_EQ(slots.abandoned_bytes(), 128);
  slots.GiveBack(kBegin);
  EXPECT_EQ(slots.free_bytes(), 128);
  EXPECT_THAT(slots.Take(128), Optional(kBegin + 128));
  EXPECT_THAT(slots.Take(64), Eq(std::nullopt));
}

TEST(RegionSlotsTest, TakenPartsNeverOverlapAndAllComeBack) {
  constexpr int64_t kBytes = 1 << 16;
  std::mt19937 random(1);
  RegionSlots slots = Slots(kBytes);
  struct Part {
    int64_t offset;
    int64_t num_bytes;
  };
  std::vector<Part> taken;
  for (int round = 0; round < 5000; ++round) {
    const auto num_bytes = static_cast<int64_t>(random() % 4096 + 1);
    if (const auto offset = slots.Take(num_bytes); offset.has_value()) {
      ASSERT_EQ((*offset - kBegin) % kAlignment, 0);
      ASSERT_GE(*offset, kBegin);
      ASSERT_LE(*offset + num_bytes, kBegin + kBytes);
      for (const Part& other : taken) {
        ASSERT_TRUE(*offset + num_bytes <= other.offset ||
                    other.offset + other.num_bytes <= *offset);
      }
      taken.push_back({*offset, num_bytes});
    }
    if (!taken.empty() && random() % 2 == 0) {
      std::swap(taken[random() % taken.size()], taken.back());
      slots.GiveBack(taken.back().offset);
      taken.pop_back();
    }
  }
  for (const Part& part : taken) slots.GiveBack(part.offset);
  EXPECT_EQ(slots.free_bytes(), kBytes);
  EXPECT_THAT(slots.Take(kBytes), Optional(kBegin));
}

}  // namespace
}  // namespace switchyard
