#include "gateway/training/microbatch_table.h"

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::StatusCode kFailedPrecondition =
    absl::StatusCode::kFailedPrecondition;

OpenMicrobatch Kept(int64_t num_floats) {
  OpenMicrobatch kept;
  kept.x = Tensor::Zeros({num_floats, 1});
  return kept;
}

class MicrobatchTableTest : public ::testing::Test {
 protected:
  uint32_t Reserve(std::optional<uint32_t> number = std::nullopt) {
    const absl::StatusOr<uint32_t> got = table_.Reserve(number, now_);
    EXPECT_OK(got);
    return got.value_or(~0u);
  }

  absl::Time now_ = absl::UnixEpoch();
  MicrobatchTable table_{/*max_bytes=*/400, absl::Minutes(1)};
};

TEST_F(MicrobatchTableTest, GivesTheLowestFreeNumber) {
  EXPECT_EQ(Reserve(), 0u);
  EXPECT_EQ(Reserve(2), 2u);
  EXPECT_EQ(Reserve(), 1u);
  EXPECT_EQ(Reserve(), 3u);
  table_.Release(1);
  EXPECT_EQ(Reserve(), 1u);
  EXPECT_THAT(table_.Reserve(2, now_),
              StatusIs(kFailedPrecondition, HasSubstr("microbatch: got 2")));
}

TEST_F(MicrobatchTableTest, IsFoundBetweenForwardAndBackwardOnly) {
  EXPECT_THAT(table_.Find(7, 0),
              StatusIs(kFailedPrecondition, HasSubstr("no Forward")));
  Reserve();
  EXPECT_THAT(table_.Find(7, 0),
              StatusIs(kFailedPrecondition, HasSubstr("still in progress")));
  table_.Open(0, Kept(3));
  ASSERT_OK(table_.Find(7, 0));
  EXPECT_THAT(table_.OpenNumbers(), ElementsAre(0));
  EXPECT_EQ(table_.Take(0).x.num_elements(), 3);
  EXPECT_THAT(table_.Find(7, 0), StatusIs(kFailedPrecondition,
                                          HasSubstr("already sent backward")));
  EXPECT_THAT(table_.OpenNumbers(), IsEmpty());
  EXPECT_EQ(Reserve(), 1u) << "a taken number is used";
}

TEST_F(MicrobatchTableTest, IsBoundedInBytes) {
  Reserve();
  table_.Open(0, Kept(100));
  EXPECT_THAT(table_.Reserve(std::nullopt, now_),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("hold 400 bytes, at most 400")));
  table_.Take(0);
  EXPECT_OK(table_.Reserve(std::nullopt, now_));
}

TEST_F(MicrobatchTableTest, FindsWhatWasLeftOpenTooLong) {
  Reserve();
  table_.Open(0, Kept(1));
  EXPECT_EQ(table_.FindExpired(now_ + absl::Seconds(59)), std::nullopt);
  EXPECT_EQ(table_.FindExpired(now_ + absl::Seconds(61)), 0u);
  table_.Clear();
  EXPECT_EQ(table_.FindExpired(now_ + absl::Seconds(61)), std::nullopt);
}

}  // namespace
}  // namespace switchyard
