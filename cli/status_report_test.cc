#include "cli/status_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace switchyard {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

ClusterStatus TwoWorkersAndALayer() {
  ClusterStatus status;
  status.gateway_address = "127.0.0.1:4000";
  status.workers.generation = 3;
  status.workers.workers = {
      {"w0", "127.0.0.1:4001", "127.0.0.1:4002", WorkerState::kUp, "", 1250},
      {"w1", "127.0.0.1:4003", "", WorkerState::kLost, "lease ran out", 9000}};
  LayerStatus layer;
  layer.spec.name = "moe";
  layer.spec.hidden_size = 84;
  layer.spec.num_experts = 3;
  layer.state = LayerState::kLostExperts;
  layer.state_reason = "expert 2 has no worker";
  layer.step = 12;
  layer.placement.version = 2;
  layer.placement.expert_workers = {{"w0"}, {"w0", "w2"}, {}};
  status.layers = {layer};
  LayerLoad load;
  load.layer = "moe";
  load.tokens = 1000;
  load.expert_tokens = {500, 300, 200};
  load.train_expert_tokens = {400, 200, 100};
  load.dropped_routes = 25;
  load.aux_loss = 1.25f;
  load.workers = {{"w0", 775}};
  status.loads = {load};
  return status;
}

TEST(StatusReportTest, ShowsWorkersWithStateAndReason) {
  EXPECT_THAT(
      FormatStatus(TwoWorkersAndALayer(), {}),
      HasSubstr(
          "gateway 127.0.0.1:4000: 1 layer, 1 of 2 workers up, generation 3\n"
          "\n"
          "WORKER  ADDRESS         STATE    RENEWED  METRICS"
          "                        REASON\n"
          "w0      127.0.0.1:4001  UP     1.2 s ago  "
          "http://127.0.0.1:4002/metrics\n"
          "w1      127.0.0.1:4003  LOST   9.0 s ago  "
          "                               lease ran out\n"));
}

TEST(StatusReportTest, ShowsGroupsWhereThereAreAny) {
  ClusterStatus status = TwoWorkersAndALayer();
  status.workers.workers[0].group = "rack";
  status.workers.workers[0].group_connected = true;
  status.workers.workers[1].group = "rack";
  EXPECT_THAT(FormatStatus(status, {}),
              HasSubstr("WORKER  ADDRESS         STATE  GROUP          RENEWED"
                        "  METRICS                        REASON\n"
                        "w0      127.0.0.1:4001  UP     rack         1.2 s ago"
                        "  http://127.0.0.1:4002/metrics\n"
                        "w1      127.0.0.1:4003  LOST   rack, apart  9.0 s ago"
                        "                                 lease ran out\n"));
}

TEST(StatusReportTest, ShowsEachExpertsWorkersAndShareOfTheTokens) {
  EXPECT_THAT(
      FormatStatus(TwoWorkersAndALayer(), {}),
      HasSubstr(
          "layer moe  LOST_EXPERTS: expert 2 has no worker\n"
          "  3 experts (linear 84-84), top-1, step 12, 0 open microbatches, "
          "placement version 2\n"
          "  1,000 tokens, 25 dropped routes (2.5 %), auxiliary loss 1.250\n"
          "  EXPERT  WORKERS  TOKENS   SHARE\n"
          "       0  w0          500  50.0 %  ########################\n"
          "       1  w0, w2      300  30.0 %  ##############\n"
          "       2  lost        200  20.0 %  ##########\n"));
}

TEST(StatusReportTest, SaysThatThereIsNothing) {
  ClusterStatus status;
  status.gateway_address = "g:1";
  EXPECT_THAT(FormatStatus(status, {}),
              AllOf(HasSubstr("No worker has registered."),
                    HasSubstr("There is no layer.")));
  EXPECT_EQ(FormatLayerList({}, false), "There is no layer.\n");
}

TEST(StatusReportTest, CutsLongListsOfExpertsAndSaysSo) {
  const std::string text =
      FormatStatus(TwoWorkersAndALayer(), {.max_experts = 1});
  EXPECT_THAT(text,
              AllOf(HasSubstr("and 2 more experts"), Not(HasSubstr("w0, w2"))));
  EXPECT_THAT(FormatStatus(TwoWorkersAndALayer(), {.max_experts = 0}),
              HasSubstr("w0, w2"));
}

TEST(StatusReportTest, ALayerWithoutLoadHasZeros) {
  ClusterStatus status = TwoWorkersAndALayer();
  status.loads.clear();
  EXPECT_THAT(FormatStatus(status, {}),
              AllOf(HasSubstr("0 tokens, 0 dropped routes (-)"),
                    HasSubstr("       1  w0, w2        0      -\n")));
}

// A layer can be created or deleted between the two calls that a status takes.
TEST(StatusReportTest, LoadThatDoesNotFitItsLayerIsNoTrouble) {
  ClusterStatus status = TwoWorkersAndALayer();
  status.loads[0].expert_tokens = {1};
  status.loads[0].train_expert_tokens = {1, 2, 3, 4, 5, 6};
  EXPECT_THAT(FormatStatus(status, {}), HasSubstr("w0, w2"));
  EXPECT_EQ(StatusToJson(status)["layers"][0]["experts"].size(), 3);
}

TEST(StatusReportTest, ColoursOnlyWhereAsked) {
  EXPECT_THAT(FormatStatus(TwoWorkersAndALayer(), {.with_colour = true}),
              HasSubstr("\033[31mLOST\033[0m"));
  EXPECT_THAT(FormatStatus(TwoWorkersAndALayer(), {}), Not(HasSubstr("\033")));
}

TEST(StatusReportTest, JsonCarriesTheSame) {
  const nlohmann::ordered_json json = StatusToJson(TwoWorkersAndALayer());
  EXPECT_EQ(json["gateway"], "127.0.0.1:4000");
  EXPECT_EQ(json["generation"], 3);
  EXPECT_EQ(json["workers"][1]["state"], "LOST");
  EXPECT_EQ(json["workers"][1]["state_reason"], "lease ran out");
  const auto& layer = json["layers"][0];
  EXPECT_EQ(layer["name"], "moe");
  EXPECT_EQ(layer["step"], 12);
  EXPECT_EQ(layer["experts"][1]["worker_ids"],
            nlohmann::ordered_json({"w0", "w2"}));
  EXPECT_EQ(layer["experts"][1]["tokens"], 300);
  EXPECT_EQ(layer["experts"][1]["train_tokens"], 200);
  EXPECT_EQ(layer["workers"][0]["routes"], 775);
}

TEST(StatusReportTest, ListsLayersOneALine) {
  ClusterStatus status = TwoWorkersAndALayer();
  status.layers[0].spec.expert = MlpExpertSpec{.ffn_size = 336};
  status.layers[0].spec.gate.k = 2;
  EXPECT_EQ(FormatLayerList(status.layers, false),
            "LAYER  STATE         EXPERTS  KIND           K  STEP  REASON\n"
            "moe    LOST_EXPERTS        3  mlp 84-336-84  2    12  "
            "expert 2 has no worker\n");
}

}  // namespace
}  // namespace switchyard
