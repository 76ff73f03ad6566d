#include "common/checkpoint/glob.h"

#include <gtest/gtest.h>

namespace switchyard {
namespace {

TEST(GlobTest, StarsAndQuestionMarksStandForCharacters) {
  EXPECT_TRUE(MatchesGlob("model.layers.*", "model.layers.3.mlp"));
  EXPECT_TRUE(MatchesGlob("*", ""));
  EXPECT_TRUE(MatchesGlob("*.mlp", "model.layers.3.mlp"));
  EXPECT_TRUE(MatchesGlob("m*l*p", "model.layers.3.mlp"));
  EXPECT_TRUE(MatchesGlob("model.layers.?.mlp", "model.layers.3.mlp"));
  EXPECT_FALSE(MatchesGlob("model.layers.?.mlp", "model.layers.13.mlp"));
  EXPECT_FALSE(MatchesGlob("model.layers.3", "model.layers.3.mlp"));
  EXPECT_FALSE(MatchesGlob("", "a"));
  EXPECT_TRUE(MatchesGlob("", ""));
  EXPECT_FALSE(MatchesGlob("a*b", "acbc"));
}

TEST(GlobTest, ManyStarsTakeNoExponentialTime) {
  EXPECT_FALSE(
      MatchesGlob(std::string(200, '*') + "b", std::string(5000, 'a')));
}

}  // namespace
}  // namespace switchyard
