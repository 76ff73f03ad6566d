// Every family of open models: a tiny checkpoint with the names and dtypes of
// released ones (tests/families), imported by the command line's code into a
// gateway and workers with real servers between, must answer what the model's
// own MoE block answers (Hugging Face transformers), and come out of the export
// as it went in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/layer_export.h"
#include "cli/layer_import.h"
#include "client/gateway_client.h"
#include "common/base/status_testing.h"
#include "common/safetensors/safetensors_folder.h"
#include "common/safetensors/safetensors_testing.h"
#include "common/tensor/float_formats.h"
#include "tests/testing/remote_layer_api.h"

namespace switchyard::testing {
namespace {

std::string FolderOf(const std::string& family) {
  return absl::StrCat(SWITCHYARD_FAMILIES_DIR, "/", family);
}

std::vector<std::string> Families() {
  std::set<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(SWITCHYARD_FAMILIES_DIR)) {
    if (entry.is_directory()) names.insert(entry.path().filename().string());
  }
  return {names.begin(), names.end()};
}

Tensor Expected(const SafetensorsFile& file, const std::string& name) {
  const SafetensorsTensor* const tensor = file.Find(name);
  if (tensor == nullptr) {
    ADD_FAILURE() << name << " is missing";
    return Tensor();
  }
  Tensor values = Tensor::Uninitialized(tensor->declaration.shape);
  Widen(tensor->bytes.data(), DType::kFloat32, values.values());
  return values;
}

// |got - want| within 1e-5 of the largest.
void ExpectClose(const Tensor& got, const Tensor& want,
                 const std::string& what) {
  ASSERT_EQ(got.shape(), want.shape()) << what;
  double largest = 0;
  for (const float w : want.values()) {
    largest = std::max(largest, std::fabs(double{w}));
  }
  for (int64_t i = 0; i < want.num_elements(); ++i) {
    ASSERT_NEAR(got.data()[i], want.data()[i], 1e-5 * largest)
        << what << " at " << i;
  }
}

// Whether workers read the folder by themselves or get it streamed.
using FamilyCase = std::tuple<std::string, bool>;

class FamilyTest : public ::testing::TestWithParam<FamilyCase> {
 protected:
  FamilyTest()
      : cluster_(
            /*num_workers=*/3, {},
            {.import_root =
                 std::get<bool>(GetParam()) ? SWITCHYARD_FAMILIES_DIR : ""}) {}

  LoopbackCluster cluster_;
  GatewayClient& client_ = cluster_.client();
};

TEST_P(FamilyTest, AnswersWhatTheModelsOwnBlockAnswers) {
  const auto& [family, by_workers] = GetParam();
  ASSERT_OK_AND_ASSIGN(
      const LayerImportReport report,
      ImportLayers({.directory = FolderOf(family), .name_prefix = "m/"},
                   client_));
  ASSERT_FALSE(report.layers.empty());
  EXPECT_EQ(report.refusals.empty(), by_workers);
  const std::string path = FolderOf(family) + "/expected.safetensors";
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile expected,
                       SafetensorsFile::Open(path));
  for (const ImportedLayer& layer : report.layers) {
    EXPECT_EQ(layer.num_read_by_workers > 0, by_workers);
    const std::string module = layer.name.substr(2);
    ForwardRequest request;
    request.layer = layer.name;
    request.x = Expected(expected, module + ".x");
    request.return_routes = true;
    ASSERT_OK_AND_ASSIGN(const ForwardResult result, client_.Forward(request));
    ExpectClose(result.y, Expected(expected, module + ".y"), module + ".y");

    Tensor weights = Expected(expected, module + ".router_weights");
    if (family.rfind("nllb", 0) == 0) {
      // Its scaling by 1 - moe_token_dropout comes after the router.
      ASSERT_OK_AND_ASSIGN(const LayerStatus status,
                           client_.GetLayer(layer.name));
      for (float& w : weights.values()) w *= status.spec.gate.scaling_factor;
    }
    Tensor got = Tensor::Zeros(weights.shape());
    const Routes& routes = *result.routes;
    for (size_t i = 0; i < routes.expert_ids.size(); ++i) {
      if (routes.expert_ids[i] < 0) continue;
      got.row(static_cast<int64_t>(i) / routes.k)[routes.expert_ids[i]] =
          routes.weights[i];
    }
    ExpectClose(got, weights, module + ".router_weights");

    // A client that ran the gate itself gets the same.
    request.topk_ids = routes.expert_ids;
    request.topk_weights = routes.weights;
    ASSERT_OK_AND_ASSIGN(const ForwardResult pre_routed,
                         client_.Forward(request));
    EXPECT_THAT(pre_routed.y.values(),
                ::testing::ElementsAreArray(result.y.values()));
  }
}

TEST_P(FamilyTest, ComesOutOfTheExportAsItWentIn) {
  const std::string& family = std::get<std::string>(GetParam());
  ASSERT_OK(ImportLayers({.directory = FolderOf(family)}, client_).status());
  const TemporaryFolder folder;
  // Small files, so that there are several.
  ASSERT_OK_AND_ASSIGN(
      const LayerExportReport report,
      ExportLayers({.directory = folder.path(), .max_file_bytes = 4000},
                   client_));
  EXPECT_GT(report.num_tensors, 0);
  ASSERT_OK_AND_ASSIGN(const SafetensorsFolder before,
                       SafetensorsFolder::Open(FolderOf(family)));
  ASSERT_OK_AND_ASSIGN(const SafetensorsFolder after,
                       SafetensorsFolder::Open(folder.path()));
  EXPECT_EQ(static_cast<int64_t>(after.tensors().size()), report.num_tensors);
  for (const SafetensorsTensor* tensor : after.tensors()) {
    ASSERT_OK_AND_ASSIGN(const SafetensorsFolder::Location original,
                         before.Get(tensor->declaration.name));
    EXPECT_EQ(tensor->declaration.type, original.tensor->declaration.type);
    EXPECT_EQ(tensor->declaration.shape, original.tensor->declaration.shape);
    EXPECT_TRUE(tensor->bytes == original.tensor->bytes)
        << tensor->declaration.name;
  }
}

INSTANTIATE_TEST_SUITE_P(HuggingFace, FamilyTest,
                         ::testing::Combine(::testing::ValuesIn(Families()),
                                            ::testing::Bool()),
                         [](const auto& tested) {
                           return absl::StrCat(
                               std::get<std::string>(tested.param), "_",
                               std::get<bool>(tested.param) ? "read_by_workers"
                                                            : "streamed");
                         });

class ImportTest : public ::testing::Test {
 protected:
  LoopbackCluster cluster_{/*num_workers=*/1};
  GatewayClient& client_ = cluster_.client();
};

TEST_F(ImportTest, ChoosesLayersByTheirPath) {
  ASSERT_OK_AND_ASSIGN(const LayerImportReport report,
                       ImportLayers({.directory = FolderOf("mixtral"),
                                     .layers = "model.layers.1.*"},
                                    client_));
  ASSERT_EQ(report.layers.size(), 1u);
  EXPECT_EQ(report.layers[0].name, "model.layers.1.block_sparse_moe");
  EXPECT_THAT(
      ImportLayers({.directory = FolderOf("mixtral"), .layers = "no*"}, client_)
          .status(),
      StatusIs(absl::StatusCode::kInvalidArgument,
               ::testing::HasSubstr("model.layers.0")));
}

TEST_F(ImportTest, AFailedImportLeavesNoLayerBehind) {
  // The second layer's name is taken.
  LayerSpec taken;
  taken.name = "model.layers.1.block_sparse_moe";
  taken.hidden_size = 4;
  taken.num_experts = 2;
  taken.expert = LinearExpertSpec{};
  ASSERT_OK(client_.CreateLayer(taken).status());
  EXPECT_THAT(
      ImportLayers({.directory = FolderOf("mixtral")}, client_).status(),
      StatusIs(absl::StatusCode::kAlreadyExists,
               ::testing::HasSubstr(taken.name)));
  ASSERT_OK_AND_ASSIGN(const std::vector<LayerStatus> layers,
                       client_.ListLayers());
  EXPECT_EQ(layers.size(), 1u);
}

TEST_F(ImportTest, ALayerIsNotServedBeforeAllOfItIsThere) {
  LayerSpec spec;
  spec.name = "half";
  spec.hidden_size = 4;
  spec.num_experts = 2;
  spec.expert = LinearExpertSpec{};
  ASSERT_OK_AND_ASSIGN(const LayerStatus created,
                       client_.CreateLayer(spec, /*awaits_import=*/true));
  EXPECT_EQ(created.state, LayerState::kImporting);
  ForwardRequest forward;
  forward.layer = "half";
  forward.x = Tensor::Zeros({1, 4});
  EXPECT_THAT(client_.Forward(forward).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       ::testing::HasSubstr("being imported")));
}

TEST_F(ImportTest, AnImportedLayerServesOnlyUnlessItIsToTrain) {
  const std::string name = "model.layers.1.block_sparse_moe";
  ASSERT_OK(ImportLayers({.directory = FolderOf("mixtral"),
                          .layers = name,
                          .name_prefix = "serve/"},
                         client_)
                .status());
  ASSERT_OK(ImportLayers({.directory = FolderOf("mixtral"),
                          .layers = name,
                          .name_prefix = "train/",
                          .trainable = true},
                         client_)
                .status());
  TrainStepRequest train;
  train.x = Tensor::Zeros({3, 16});
  std::fill(train.x.values().begin(), train.x.values().end(), 0.5f);
  train.head = MeanSquaredErrorHead{Tensor::Zeros({3, 16})};
  train.learning_rate = 1e-3f;
  train.layer = "serve/" + name;
  EXPECT_THAT(client_.TrainStep(train).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       ::testing::HasSubstr("inference_only")));
  train.layer = "train/" + name;
  EXPECT_OK(client_.TrainStep(train).status());
}

// Weights that are off by 1/254 of their row's largest give outputs near those
// of the weights themselves.
TEST_F(ImportTest, WithInt8WeightsAnswersStayNear) {
  const std::string name = "model.layers.1.block_sparse_moe";
  LayerImportOptions options = {.directory = FolderOf("mixtral"),
                                .layers = name};
  ASSERT_OK(ImportLayers(options, client_).status());
  options.name_prefix = "int8/";
  options.int8_weights = true;
  ASSERT_OK(ImportLayers(options, client_).status());
  ForwardRequest forward;
  forward.x = Tensor::Uninitialized({64, 16});
  for (int64_t i = 0; i < forward.x.num_elements(); ++i) {
    forward.x.data()[i] = static_cast<float>(i * 37 % 101) * 0.02f - 1.0f;
  }
  forward.layer = name;
  ASSERT_OK_AND_ASSIGN(const ForwardResult exact, client_.Forward(forward));
  forward.layer = "int8/" + name;
  ASSERT_OK_AND_ASSIGN(const ForwardResult rounded, client_.Forward(forward));
  float largest = 0;
  float largest_error = 0;
  for (int64_t i = 0; i < exact.y.num_elements(); ++i) {
    largest = std::max(largest, std::abs(exact.y.data()[i]));
    largest_error = std::max(largest_error,
                             std::abs(exact.y.data()[i] - rounded.y.data()[i]));
  }
  EXPECT_GT(largest_error, 0.0f);
  EXPECT_LT(largest_error, 0.02f * largest);
}

}  // namespace
}  // namespace switchyard::testing
