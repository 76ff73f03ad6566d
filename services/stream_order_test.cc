#include "services/stream_order.h"

#include <gtest/gtest.h>

namespace switchyard {
namespace {

using wire::StreamCall;
using wire::StreamHead;

StreamHead Eval(std::string layer = "m") {
  return {.call = StreamCall::kForward, .layer = std::move(layer)};
}
StreamHead Train(std::optional<uint64_t> microbatch, std::string layer = "m") {
  return {.call = StreamCall::kForward,
          .layer = std::move(layer),
          .train = true,
          .microbatch = microbatch};
}
StreamHead Backward(uint64_t microbatch, std::string layer = "m") {
  return {.call = StreamCall::kBackward,
          .layer = std::move(layer),
          .train = true,
          .microbatch = microbatch};
}
StreamHead Step(std::string layer = "m") {
  return {.call = StreamCall::kStep, .layer = std::move(layer), .train = true};
}
StreamHead TrainStep() {
  return {.call = StreamCall::kTrainStep, .layer = "m", .train = true};
}

TEST(StreamOrderTest, EvalForwardsWaitForNobodyAndNobodyForThem) {
  for (const StreamHead& other :
       {Eval(), Train(1), Backward(1), Step(), TrainStep(), Eval("other")}) {
    EXPECT_FALSE(MustWait(Eval(), other));
    EXPECT_FALSE(MustWait(other, Eval()));
  }
}

TEST(StreamOrderTest, AStepPartsWhatIsBeforeFromWhatIsAfter) {
  for (const StreamHead& step : {Step(), TrainStep()}) {
    for (const StreamHead& other :
         {Train(1), Train({}), Backward(1), Step(), TrainStep()}) {
      EXPECT_TRUE(MustWait(step, other));
      EXPECT_TRUE(MustWait(other, step));
    }
  }
}

TEST(StreamOrderTest, BackwardsGoOneByOneBesideTheForwardsOfOthers) {
  EXPECT_TRUE(MustWait(Backward(0), Backward(1)));
  EXPECT_FALSE(MustWait(Backward(0), Train(1)));
  EXPECT_FALSE(MustWait(Train(1), Backward(0)));
  EXPECT_TRUE(MustWait(Train(1), Backward(1)));
}

TEST(StreamOrderTest, OnlyForwardsThatTheGatewayNumbersWait) {
  EXPECT_FALSE(MustWait(Train(0), Train(1)));
  EXPECT_TRUE(MustWait(Train(0), Train({})));
  EXPECT_TRUE(MustWait(Train({}), Train({})));
  EXPECT_FALSE(MustWait(Train({}), Train(1)));
}

TEST(StreamOrderTest, LayersDoNotWaitForOneAnother) {
  EXPECT_FALSE(MustWait(Step("a"), Train(0, "b")));
  EXPECT_FALSE(MustWait(Backward(0, "a"), Backward(0, "b")));
  // Unknown: it may be this one.
  EXPECT_TRUE(MustWait(Step(""), Train(0, "b")));
  EXPECT_TRUE(MustWait(Backward(0, "a"), Backward(0, "")));
}

}  // namespace
}  // namespace switchyard
