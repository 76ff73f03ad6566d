#include "examples/image_classifier/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace switchyard::image_classifier {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

NetworkRecord Network(double test_accuracy) {
  NetworkRecord network;
  network.num_steps = 100;
  network.num_tokens = 6400;
  network.train_us = 2'000'000;
  network.test_accuracy = test_accuracy;
  return network;
}

TrainingRecord Record() {
  TrainingRecord record;
  record.dataset = "fashion-mnist";
  record.num_test_images = 10'000;
  record.moe = Network(0.8912);
  record.dense = Network(0.9);
  record.moe_layer.num_routes = 6400;
  record.moe_layer.num_dropped_routes = 640;
  record.moe_layer.aux_loss = 1.0125;
  return record;
}

LayerRecord Layer() {
  LayerRecord layer;
  layer.status.spec.num_experts = 3;
  layer.status.placement.expert_workers = {
      {"worker-0"}, {"worker-1", "worker-2"}, {}};
  layer.load.train_expert_tokens = {1000, 2000, 5000};
  layer.load.workers = {{"worker-0", 1000}, {"worker-1", 7000}};
  return layer;
}

// Forward 300 us, of which the gateway says 200, of which it waited 150, of
// which the workers computed 100; the others likewise.
LayerCallTimes CallsOfEachKind() {
  LayerCallTimes calls;
  for (CallTimes* kind : {&calls.forward, &calls.backward, &calls.step}) {
    kind->Add(300, Timing{200, 10, 150, 100});
  }
  return calls;
}

TEST(TimeBreakdownTest, PartsAddUpToTheWhole) {
  const TimeBreakdown time = BreakDown(10'000, CallsOfEachKind());
  EXPECT_EQ(time.gateway_us, 3 * 50);
  EXPECT_EQ(time.workers_us, 3 * 100);
  EXPECT_EQ(time.wire_us, 3 * 150);
  EXPECT_EQ(time.client_trunk_us, 10'000 - 900);
  EXPECT_EQ(
      time.gateway_us + time.workers_us + time.wire_us + time.client_trunk_us,
      time.total_us);
}

TEST(ReportTest, ListsExpertsWithTokensShareAndWorkers) {
  const LayerRecord layer = Layer();
  EXPECT_THAT(
      RenderReport(Record(), &layer),
      AllOf(HasSubstr("     0               1,000   12.5 %  worker-0\n"),
            HasSubstr("     1               2,000   25.0 %  worker-1, "
                      "worker-2\n"),
            HasSubstr("     2               5,000   62.5 %  lost\n"),
            HasSubstr("worker-1               7,000  1\n")));
}

TEST(ReportTest, TellsAccuraciesDropsAndAuxiliaryLoss) {
  const LayerRecord layer = Layer();
  EXPECT_THAT(
      RenderReport(Record(), &layer),
      AllOf(HasSubstr("MoE network   89.12 %"),
            HasSubstr("dense twin    90.00 %"),
            HasSubstr("batch: 1.012 (1: balanced, 3: worst)"),
            HasSubstr("640 of 6,400 training routes (10.0 %); none in tests"),
            HasSubstr("2.0 s for 6,400 tokens, 3,200 tokens/s")));
}

TEST(ReportTest, OfTheDenseTwinAloneHasNoExpertsAndNoCalls) {
  TrainingRecord record = Record();
  record.moe.reset();
  EXPECT_THAT(RenderReport(record, nullptr),
              AllOf(HasSubstr("dense twin    90.00 %"), Not(HasSubstr("MoE")),
                    Not(HasSubstr("Expert")), Not(HasSubstr("Call"))));
}

TEST(ReportTest, SaysThatTrainingWasInterrupted) {
  TrainingRecord record = Record();
  record.interrupted = true;
  record.moe->test_accuracy.reset();
  EXPECT_THAT(
      RenderReport(record, nullptr),
      AllOf(HasSubstr("Interrupted"), HasSubstr("MoE network  not tested")));
}

TEST(ResultLineTest, HasEveryField) {
  const LayerRecord layer = Layer();
  EXPECT_EQ(RenderResultLine(Record(), &layer),
            "result: dataset=fashion-mnist test_accuracy=0.8912 "
            "dense_test_accuracy=0.9000 min_expert_share=0.1250 steps=100 "
            "tokens_per_second=3200 seconds=2.0");
}

TEST(ResultLineTest, WritesNotApplicableForTheDenseTwinAlone) {
  TrainingRecord record = Record();
  record.moe.reset();
  EXPECT_EQ(RenderResultLine(record, nullptr),
            "result: dataset=fashion-mnist test_accuracy=n/a "
            "dense_test_accuracy=0.9000 min_expert_share=n/a steps=100 "
            "tokens_per_second=3200 seconds=2.0");
}

TEST(ResultLineTest, SurvivesARunThatEndedBeforeItsFirstBatch) {
  TrainingRecord record;
  record.dataset = "cifar10";
  record.moe = NetworkRecord();
  record.dense = NetworkRecord();
  EXPECT_EQ(RenderResultLine(record, nullptr),
            "result: dataset=cifar10 test_accuracy=n/a "
            "dense_test_accuracy=n/a min_expert_share=n/a steps=0 "
            "tokens_per_second=0 seconds=0.0");
}

}  // namespace
}  // namespace switchyard::image_classifier
