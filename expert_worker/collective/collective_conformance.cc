#include "expert_worker/collective/collective_conformance.h"

#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "common/base/status_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::_;
using ::testing::HasSubstr;

// Longer than anything here takes, and short of the tests' own limit.
absl::Time Late() { return absl::Now() + absl::Seconds(60); }
absl::Time Soon() { return absl::Now() + absl::Milliseconds(50); }

// Runs body(rank) on a thread for each rank.
void OnEachRank(int size, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&body, rank] { body(rank); });
  }
  for (std::thread& thread : threads) thread.join();
}

// An all-to-all of texts, by rank; what came, by rank.
absl::StatusOr<std::vector<std::string>> Trade(
    Collective& member, uint64_t tag, const std::vector<std::string>& texts,
    const std::vector<int64_t>& receive_bytes, absl::Time deadline) {
  std::string send;
  std::vector<int64_t> send_bytes;
  for (const std::string& text : texts) {
    send += text;
    send_bytes.push_back(static_cast<int64_t>(text.size()));
  }
  int64_t total = 0;
  for (const int64_t bytes : receive_bytes) total += bytes;
  std::string receive(static_cast<size_t>(total), '?');
  const absl::Status status =
      member.AllToAll(tag,
                      {.send = reinterpret_cast<const std::byte*>(send.data()),
                       .send_bytes = send_bytes,
                       .receive = reinterpret_cast<std::byte*>(receive.data()),
                       .receive_bytes = receive_bytes},
                      deadline);
  if (!status.ok()) return status;
  std::vector<std::string> received;
  size_t begin = 0;
  for (const int64_t bytes : receive_bytes) {
    received.push_back(receive.substr(begin, static_cast<size_t>(bytes)));
    begin += static_cast<size_t>(bytes);
  }
  return received;
}

// What rank `from` sends to rank `to`: of many lengths, 0 among them.
std::string Text(uint64_t tag, int from, int to) {
  const size_t length =
      static_cast<size_t>((static_cast<int>(tag) + 3 * from + 5 * to) % 7);
  return std::string(length * 1000,
                     static_cast<char>('a' + (from * 5 + to) % 26));
}

void ExpectTextsTraded(Collective& member, uint64_t tag) {
  std::vector<std::string> texts;
  std::vector<std::string> expected;
  std::vector<int64_t> receive_bytes;
  for (int peer = 0; peer < member.size(); ++peer) {
    texts.push_back(Text(tag, member.rank(), peer));
    expected.push_back(Text(tag, peer, member.rank()));
    receive_bytes.push_back(static_cast<int64_t>(expected.back().size()));
  }
  ASSERT_OK_AND_ASSIGN(const auto received,
                       Trade(member, tag, texts, receive_bytes, Late()));
  EXPECT_EQ(received, expected);
}

absl::Status TradeOneByteEach(Collective& member, uint64_t tag,
                              absl::Time deadline) {
  const size_t size = static_cast<size_t>(member.size());
  return Trade(member, tag, std::vector<std::string>(size, "x"),
               std::vector<int64_t>(size, 1), deadline)
      .status();
}

}  // namespace

CollectiveConformanceTest::Members CollectiveConformanceTest::Make(int size) {
  Members members;
  for (int rank = 0; rank < size; ++rank) {
    auto member = factory_(rank, size);
    EXPECT_OK(member);
    members.push_back(*std::move(member));
  }
  return members;
}

void CollectiveConformanceTest::Connect(Members& members) {
  std::vector<std::string> addresses;
  for (const auto& member : members) addresses.push_back(member->address());
  OnEachRank(static_cast<int>(members.size()), [&](int rank) {
    EXPECT_OK(members[static_cast<size_t>(rank)]->Connect(addresses, Late()));
  });
}

CollectiveConformanceTest::Members CollectiveConformanceTest::MakeConnected(
    int size) {
  Members members = Make(size);
  Connect(members);
  return members;
}

TEST_P(CollectiveConformanceTest, EveryRankGetsWhatEveryRankSentIt) {
  for (const int size : {1, 2, 3, 5}) {
    Members members = MakeConnected(size);
    OnEachRank(size, [&](int rank) {
      Collective& member = *members[static_cast<size_t>(rank)];
      EXPECT_EQ(member.rank(), rank);
      EXPECT_EQ(member.size(), size);
      for (uint64_t tag = 0; tag < 20; ++tag) ExpectTextsTraded(member, tag);
    });
  }
}

TEST_P(CollectiveConformanceTest, TagsTellCallsApartInWhateverOrderTheyCome) {
  constexpr int kSize = 3;
  constexpr int kThreads = 4;
  Members members = MakeConnected(kSize);
  OnEachRank(kSize * kThreads, [&](int i) {
    const int rank = i / kThreads;
    // Another order on every rank.
    const uint64_t thread = static_cast<uint64_t>((i + rank) % kThreads);
    for (uint64_t call = 0; call < 50; ++call) {
      ExpectTextsTraded(*members[static_cast<size_t>(rank)],
                        (uint64_t{1} << 40) + thread * 1000 + call);
    }
  });
}

TEST_P(CollectiveConformanceTest, MegabytesArriveWhole) {
  constexpr int kSize = 2;
  constexpr size_t kBytes = size_t{24} << 20;
  Members members = MakeConnected(kSize);
  OnEachRank(kSize, [&](int rank) {
    const std::vector<std::string> texts = {
        std::string(kBytes, static_cast<char>('0' + rank)),
        std::string(kBytes, static_cast<char>('5' + rank))};
    const auto received = Trade(
        *members[static_cast<size_t>(rank)], 1, texts,
        {static_cast<int64_t>(kBytes), static_cast<int64_t>(kBytes)}, Late());
    ASSERT_OK(received);
    const char first = static_cast<char>(rank == 0 ? '0' : '5');
    EXPECT_EQ((*received)[0], std::string(kBytes, first));
    EXPECT_EQ((*received)[1],
              std::string(kBytes, static_cast<char>(first + 1)));
  });
}

TEST_P(CollectiveConformanceTest, AMemberThatGoesBreaksTheGroupForAll) {
  Members members = MakeConnected(3);
  OnEachRank(3, [&](int rank) {
    const size_t r = static_cast<size_t>(rank);
    if (rank == 2) return members[r].reset();
    EXPECT_THAT(TradeOneByteEach(*members[r], 1, Late()),
                StatusIs(absl::StatusCode::kUnavailable, _));
    EXPECT_THAT(TradeOneByteEach(*members[r], 2, Late()),
                StatusIs(absl::StatusCode::kUnavailable, _));
  });
}

TEST_P(CollectiveConformanceTest, AMemberThatDoesNotComeBreaksTheGroupInTime) {
  Members members = MakeConnected(2);
  EXPECT_THAT(TradeOneByteEach(*members[0], 1, Soon()),
              StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_THAT(TradeOneByteEach(*members[1], 2, Late()),
              StatusIs(absl::StatusCode::kUnavailable, _));
}

TEST_P(CollectiveConformanceTest, AbortWakesWhoeverWaits) {
  Members members = MakeConnected(3);
  OnEachRank(3, [&](int rank) {
    const size_t r = static_cast<size_t>(rank);
    if (rank == 2) return members[r]->Abort();
    EXPECT_THAT(TradeOneByteEach(*members[r], 1, Late()),
                StatusIs(absl::StatusCode::kUnavailable, _));
  });
  EXPECT_THAT(TradeOneByteEach(*members[2], 1, Late()),
              StatusIs(absl::StatusCode::kUnavailable, _));
}

TEST_P(CollectiveConformanceTest, AGroupAfterABrokenOneWorks) {
  Members broken = MakeConnected(2);
  broken[0]->Abort();
  Members members = MakeConnected(2);
  broken.clear();
  OnEachRank(2, [&](int rank) {
    ExpectTextsTraded(*members[static_cast<size_t>(rank)], 1);
  });
}

TEST_P(CollectiveConformanceTest, AMemberMayGoWithoutHavingConnected) {
  Members members = Make(2);
  members[1].reset();
  members[0]->Abort();
  EXPECT_THAT(TradeOneByteEach(*members[0], 1, Late()),
              StatusIs(absl::StatusCode::kUnavailable, _));
}

TEST_P(CollectiveConformanceTest, CountsThatDoNotFitAreRefusedAndCostNothing) {
  Members members = MakeConnected(2);
  Collective& member = *members[0];
  EXPECT_THAT(
      Trade(member, 1, {"a"}, {1, 1}, Late()).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("send_bytes")));
  EXPECT_THAT(
      Trade(member, 1, {"a", "b"}, {1}, Late()).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("receive_bytes")));
  EXPECT_THAT(Trade(member, 1, {"a", "b"}, {2, 1}, Late()).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("got 2")));
  const std::vector<int64_t> negative = {1, -1};
  EXPECT_THAT(
      member.AllToAll(1, {.send_bytes = negative, .receive_bytes = negative},
                      Late()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("-1")));
  OnEachRank(2, [&](int rank) {
    ExpectTextsTraded(*members[static_cast<size_t>(rank)], 1);
  });
}

TEST_P(CollectiveConformanceTest, WrongNumbersOfAddressesAreRefused) {
  Members members = Make(2);
  EXPECT_THAT(members[0]->Connect({members[0]->address()}, Late()),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

}  // namespace switchyard::testing
