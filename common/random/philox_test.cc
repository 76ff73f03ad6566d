#include "common/random/philox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace switchyard {
namespace {

using ::testing::ElementsAre;

// The known-answer tests of the paper's authors (Random123, kat_vectors).
TEST(PhiloxTest, MatchesTheAuthorsKnownAnswers) {
  EXPECT_THAT(Philox4x32({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u));
  EXPECT_THAT(Philox4x32({0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu},
                         {0xffffffffu, 0xffffffffu}),
              ElementsAre(0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu));
  EXPECT_THAT(Philox4x32({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u},
                         {0xa4093822u, 0x299f31d0u}),
              ElementsAre(0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u));
}

TEST(PhiloxTest, StreamsOfDifferentNamesSeedsAndNumbersDiffer) {
  const PhiloxStream stream(MakePhiloxKey(1, "a"), 7, 3);
  EXPECT_EQ(stream.Block(5),
            PhiloxStream(MakePhiloxKey(1, "a"), 7, 3).Block(5));
  EXPECT_NE(stream.Block(5), stream.Block(6));
  EXPECT_NE(stream.Block(5),
            PhiloxStream(MakePhiloxKey(1, "b"), 7, 3).Block(5));
  EXPECT_NE(stream.Block(5),
            PhiloxStream(MakePhiloxKey(2, "a"), 7, 3).Block(5));
  EXPECT_NE(stream.Block(5),
            PhiloxStream(MakePhiloxKey(1, "a"), 8, 3).Block(5));
  EXPECT_NE(stream.Block(5),
            PhiloxStream(MakePhiloxKey(1, "a"), 7, 4).Block(5));
}

TEST(PhiloxTest, UniformsStayInsideTheOpenInterval) {
  EXPECT_GT(ToOpenUnitInterval(0), 0.0f);
  EXPECT_LT(ToOpenUnitInterval(0xffffffffu), 1.0f);
}

}  // namespace
}  // namespace switchyard
