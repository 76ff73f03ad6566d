#include "services/rpc/fair_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::ElementsAre;

using Queue = FairQueue<int>;
using Entry = Queue::Entry;

constexpr int64_t kKiB = 1024;
constexpr int64_t kMiB = 1024 * kKiB;

FairQueueLimits Roomy() { return {"tests", 100'000, int64_t{1} << 40}; }

std::vector<int> ItemsOf(const std::vector<Entry>& entries) {
  std::vector<int> items;
  for (const Entry& entry : entries) items.push_back(entry.item);
  return items;
}

// Pops all that wait.
std::vector<int> Drain(Queue& queue) {
  std::vector<int> items;
  while (const std::optional<Entry> entry = queue.Pop()) {
    items.push_back(entry->item);
    queue.Release(entry->client, entry->num_bytes);
  }
  return items;
}

TEST(FairQueueTest, OneClientsItemsKeepTheirOrder) {
  Queue queue(Roomy());
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(queue.Push({"a", (5 - i) * kMiB, i}));
  }
  EXPECT_THAT(Drain(queue), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(FairQueueTest, AClientThatComesLateDoesNotWaitForAllOfAnother) {
  Queue queue(Roomy());
  for (int i = 0; i < 100; ++i) ASSERT_OK(queue.Push({"heavy", kMiB, i}));
  ASSERT_OK(queue.Push({"light", kKiB, 1000}));
  const std::vector<int> first = {queue.Pop()->item, queue.Pop()->item};
  EXPECT_THAT(first, ::testing::Contains(1000));
}

// Whatever the sizes: over any stretch in which two clients both wait, what
// they get differs by no more than one quantum and one item of each.
TEST(FairQueueTest, ClientsGetTheSameBytes) {
  std::mt19937 random(7);
  for (const int64_t largest : {kKiB, 100 * kKiB, 8 * kMiB}) {
    Queue queue(Roomy());
    std::uniform_int_distribution<int64_t> any(1, largest);
    const int64_t sizes[] = {1, largest, 0};
    std::map<std::string, int64_t> waiting_bytes;
    for (int i = 0; i < 300; ++i) {
      for (int c = 0; c < 3; ++c) {
        const std::string name(1, static_cast<char>('a' + c));
        const int64_t num_bytes = sizes[c] > 0 ? sizes[c] : any(random);
        ASSERT_OK(queue.Push({name, num_bytes, i}));
        waiting_bytes[name] += num_bytes + Queue::kItemCostBytes;
      }
    }
    std::map<std::string, int64_t> served;
    bool all_wait = true;
    while (all_wait) {
      const Entry entry = *queue.Pop();
      served[entry.client] += entry.num_bytes + Queue::kItemCostBytes;
      all_wait = served[entry.client] < waiting_bytes[entry.client];
      for (const auto& [name, bytes] : served) {
        EXPECT_LE(std::abs(bytes - served["a"]),
                  Queue::kQuantumBytes + 2 * (largest + Queue::kItemCostBytes));
      }
    }
  }
}

TEST(FairQueueTest, ALoneClientMayHaveAllOfTheQueue) {
  Queue queue({"tests", 4, kMiB});
  for (int i = 0; i < 4; ++i) ASSERT_OK(queue.Push({"a", kKiB, i}));
  EXPECT_THAT(queue.Push({"a", kKiB, 4}),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "queue of tests is full (4 waiting, at most 4)"));
}

TEST(FairQueueTest, BytesCountUntilTheItemHasEnded) {
  Queue queue({"tests", 100, 1000});
  ASSERT_OK(queue.Push({"a", 5000, 0})) << "alone it may be larger";
  EXPECT_THAT(queue.Push({"a", 1, 1}),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "queue of tests is full (5000 bytes pending, at most "
                       "1000, and 1 more came)"));
  queue.Pop();
  EXPECT_FALSE(queue.Push({"b", 1, 1}).ok());
  queue.Release("a", 5000);
  EXPECT_EQ(queue.held_bytes(), 0);
  EXPECT_OK(queue.Push({"b", 1, 1}));
}

TEST(FairQueueTest, ANewcomerPushesOutTheNewestOfWhoHasMost) {
  Queue queue({"tests", 6, kMiB});
  for (int i = 0; i < 4; ++i) ASSERT_OK(queue.Push({"heavy", 1, i}));
  for (int i = 10; i < 12; ++i) ASSERT_OK(queue.Push({"middle", 1, i}));
  ASSERT_OK_AND_ASSIGN(const std::vector<Entry> out,
                       queue.Push({"light", 1, 20}));
  EXPECT_THAT(ItemsOf(out), ElementsAre(3));
  // Its share is two of the six.
  EXPECT_OK(queue.Push({"light", 1, 21}));
  EXPECT_FALSE(queue.Push({"light", 1, 22}).ok());
  EXPECT_FALSE(queue.Push({"heavy", 1, 4}).ok());
  EXPECT_EQ(queue.num_waiting(), 6);
}

TEST(FairQueueTest, BytesArePushedOutTooAsManyAsItTakes) {
  Queue queue({"tests", 100, 1000});
  for (int i = 0; i < 10; ++i) ASSERT_OK(queue.Push({"heavy", 100, i}));
  ASSERT_OK_AND_ASSIGN(const std::vector<Entry> out,
                       queue.Push({"light", 250, 20}));
  EXPECT_THAT(ItemsOf(out), ElementsAre(9, 8, 7));
  EXPECT_EQ(queue.held_bytes(), 950);
}

TEST(FairQueueTest, NobodyIsPushedOutInVain) {
  Queue queue({"tests", 100, 1000});
  for (int i = 0; i < 10; ++i) ASSERT_OK(queue.Push({"heavy", 100, i}));
  // What is out cannot be pushed out, and the heavy client keeps its half.
  for (int i = 0; i < 4; ++i) queue.Pop();
  EXPECT_FALSE(queue.Push({"light", 600, 20}).ok());
  EXPECT_EQ(queue.held_bytes(), 1000);
  EXPECT_THAT(Drain(queue), ElementsAre(4, 5, 6, 7, 8, 9));
}

TEST(FairQueueTest, WhatIsRemovedIsNotServed) {
  Queue queue(Roomy());
  for (int i = 0; i < 3; ++i) ASSERT_OK(queue.Push({"a", 10, i}));
  ASSERT_OK(queue.Push({"b", 10, 5}));
  EXPECT_TRUE(queue.Remove("a", 1));
  EXPECT_FALSE(queue.Remove("a", 1));
  EXPECT_FALSE(queue.Remove("c", 1));
  EXPECT_TRUE(queue.Remove("b", 5));
  EXPECT_EQ(queue.num_clients(), 1);
  EXPECT_EQ(queue.held_bytes(), 20);
  EXPECT_THAT(Drain(queue), ElementsAre(0, 2));
}

TEST(FairQueueTest, RemembersNobodyWhoHoldsNothing) {
  Queue queue(Roomy());
  for (int i = 0; i < 1000; ++i) {
    ASSERT_OK(queue.Push({std::to_string(i), 10, i}));
    EXPECT_EQ(queue.num_clients(), 1);
    const Entry entry = *queue.Pop();
    queue.Release(entry.client, entry.num_bytes);
  }
  EXPECT_EQ(queue.num_clients(), 0);
  EXPECT_EQ(queue.held_bytes(), 0);
}

// Against a plain model: nothing is lost, served twice or over a limit, and
// each client's items come in their order.
TEST(FairQueueTest, KeepsItsBooksUnderRandomUse) {
  std::mt19937 random(11);
  Queue queue({"tests", 20, 10'000});
  std::map<int, std::string> waiting;
  std::vector<Entry> out;
  for (int i = 0; i < 20'000; ++i) {
    const std::string client(1, static_cast<char>('a' + random() % 5));
    const uint32_t action = random() % 10;
    if (action < 6) {
      auto pushed =
          queue.Push({client, static_cast<int64_t>(random() % 2000), i});
      if (pushed.ok()) {
        waiting[i] = client;
        for (const Entry& entry : *pushed) {
          ASSERT_NE(entry.client, client);
          ASSERT_EQ(waiting.erase(entry.item), 1u);
        }
      }
    } else if (action < 8) {
      std::optional<Entry> entry = queue.Pop();
      ASSERT_EQ(entry.has_value(), !waiting.empty());
      if (!entry.has_value()) continue;
      for (const auto& [item, owner] : waiting) {
        if (owner == entry->client) {
          ASSERT_EQ(item, entry->item);
          break;
        }
      }
      ASSERT_EQ(waiting.erase(entry->item), 1u);
      out.push_back(*std::move(entry));
    } else if (action == 8 && !waiting.empty()) {
      const auto [item, owner] = *waiting.begin();
      ASSERT_TRUE(queue.Remove(owner, item));
      waiting.erase(item);
    } else if (!out.empty()) {
      queue.Release(out.back().client, out.back().num_bytes);
      out.pop_back();
    }
    ASSERT_EQ(queue.num_waiting(), static_cast<int64_t>(waiting.size()));
    ASSERT_LE(queue.num_waiting(), 20);
  }
  Drain(queue);
  for (const Entry& entry : out) queue.Release(entry.client, entry.num_bytes);
  EXPECT_EQ(queue.held_bytes(), 0);
  EXPECT_EQ(queue.num_clients(), 0);
}

}  // namespace
}  // namespace switchyard
