#include "gateway/membership/lease_table.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kLease = absl::Seconds(10);

class LeaseTableTest : public ::testing::Test {
 protected:
  bool Register(const std::string& id, uint64_t incarnation) {
    bool replaced = false;
    EXPECT_OK(table_.Register(
        {.worker_id = id, .address = "127.0.0.1:1", .incarnation = incarnation},
        now_, replaced));
    return replaced;
  }
  WorkerState StateOf(const std::string& id) {
    for (const WorkerStatus& worker : table_.List(now_)) {
      if (worker.worker_id == id) return worker.state;
    }
    ADD_FAILURE() << "no worker " << id;
    return WorkerState::kLost;
  }

  absl::Time now_ = absl::UnixEpoch();
  LeaseTable table_{kLease};
};

TEST_F(LeaseTableTest, ExpiresOnlyThoseThatDidNotRenew) {
  Register("a", 1);
  Register("b", 2);
  now_ += absl::Seconds(8);
  EXPECT_OK(table_.Renew("a", 1, now_));
  now_ += absl::Seconds(8);
  EXPECT_THAT(table_.Expire(now_), ElementsAre("b"));
  EXPECT_THAT(table_.Expire(now_), IsEmpty());
  EXPECT_EQ(StateOf("a"), WorkerState::kUp);
  EXPECT_EQ(StateOf("b"), WorkerState::kLost);
  EXPECT_EQ(table_.num_up(), 1);
}

TEST_F(LeaseTableTest, RefusesToRenewALostOrRestartedWorkersLease) {
  Register("a", 1);
  EXPECT_THAT(table_.Renew("a", 2, now_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("worker 'a'")));
  EXPECT_TRUE(table_.MarkLost("a", "call failed"));
  EXPECT_FALSE(table_.MarkLost("a", "call failed"));
  EXPECT_THAT(table_.Renew("a", 1, now_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("register")));
}

TEST_F(LeaseTableTest, GenerationRisesWithEveryJoinAndLoss) {
  EXPECT_EQ(table_.generation(), 0u);
  EXPECT_FALSE(Register("a", 1));
  EXPECT_EQ(table_.generation(), 1u);
  EXPECT_TRUE(Register("a", 2)) << "a restarted worker replaces itself";
  EXPECT_EQ(table_.generation(), 2u);
  EXPECT_OK(table_.Leave("a", 2));
  EXPECT_EQ(table_.generation(), 3u);
  EXPECT_FALSE(Register("a", 3));
  EXPECT_EQ(table_.generation(), 4u);
}

TEST_F(LeaseTableTest, RefusesIllFormedRegistrations) {
  bool replaced = false;
  EXPECT_THAT(
      table_.Register({.worker_id = "a b", .address = "x:1", .incarnation = 1},
                      now_, replaced),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("worker_id: got 'a b'")));
  EXPECT_THAT(
      table_.Register({.worker_id = "a", .incarnation = 1}, now_, replaced),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("address")));
  EXPECT_THAT(
      table_.Register({.worker_id = "a", .address = "x:1"}, now_, replaced),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("incarnation")));
  EXPECT_THAT(table_.List(now_), IsEmpty());
}

TEST_F(LeaseTableTest, ForgetsTheOldestOfManyGoneWorkers) {
  for (int i = 0; i < 1100; ++i) {
    Register(absl::StrCat("w", i), 1);
    EXPECT_OK(table_.Leave(absl::StrCat("w", i), 1));
  }
  EXPECT_EQ(table_.List(now_).size(), 1024u);
  EXPECT_EQ(StateOf("w1099"), WorkerState::kLeft);
}

}  // namespace
}  // namespace switchyard
