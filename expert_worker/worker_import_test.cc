// Workers that read a checkpoint by themselves, hold it in its dtype and serve
// it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "common/base/status_testing.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/model/parameters.h"
#include "common/safetensors/safetensors_testing.h"
#include "expert_worker/worker_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::HasSubstr;

class WorkerImportTest : public ::testing::Test {
 protected:
  // The first layer of a fixture, all of its experts here.
  void Load(const std::string& family) {
    directory_ = absl::StrCat(SWITCHYARD_FAMILIES_DIR, "/", family);
    ASSERT_OK_AND_ASSIGN(CheckpointFolder folder,
                         CheckpointFolder::Open(directory_));
    ASSERT_OK_AND_ASSIGN(std::vector<LayerSpec> layers, folder.Layers());
    folder_.emplace(std::move(folder));
    spec_ = std::move(layers.front());
    spec_.inference_only = true;
    LoadExpertsRequest load = {.spec = spec_, .generation = 1};
    for (int32_t e = 0; e < spec_.num_hosted_experts(); ++e) {
      load.expert_ids.push_back(e);
    }
    ASSERT_OK(worker_.LoadExperts(load));
    request_ = {.layer = spec_.name,
                .directory = directory_,
                .fingerprint = folder_->Fingerprint(),
                .expert_ids = load.expert_ids};
  }

  std::string directory_;
  std::optional<CheckpointFolder> folder_;
  LayerSpec spec_;
  ImportExpertsRequest request_;
  prometheus::Registry registry_;
  Worker worker_{{.worker_id = "w", .import_root = SWITCHYARD_FAMILIES_DIR},
                 Clock::Real(),
                 registry_};
};

class WorkerImportFamilyTest
    : public WorkerImportTest,
      public ::testing::WithParamInterface<const char*> {};

TEST_P(WorkerImportFamilyTest, EveryParameterIsTheFolders) {
  Load(GetParam());
  ASSERT_OK(worker_.ImportExperts(request_));
  for (int32_t e = 0; e < spec_.num_hosted_experts(); ++e) {
    for (const ParameterSpec& parameter : ExpertParameters(spec_, e)) {
      std::vector<float> want(static_cast<size_t>(parameter.num_elements()));
      ASSERT_OK(
          folder_->ReadParameter(spec_, parameter, 0, absl::MakeSpan(want)));
      ASSERT_OK_AND_ASSIGN(
          const std::vector<ParameterSlice> got,
          worker_.ReadExperts(
              {.layer = spec_.name,
               .ranges = {{.name = parameter.name,
                           .num_elements = parameter.num_elements()}}}));
      EXPECT_EQ(got[0].values, want) << parameter.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, WorkerImportFamilyTest,
                         ::testing::Values("mixtral", "gpt_oss", "granitemoe",
                                           "deepseek_v3", "nllb_moe"),
                         [](const auto& tested) {
                           return std::string(tested.param);
                         });

TEST_F(WorkerImportTest, BadRequestsChangeNothing) {
  Load("mixtral");
  ImportExpertsRequest bad = request_;
  bad.fingerprint += 1;
  EXPECT_THAT(worker_.ImportExperts(bad),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("fingerprint")));
  bad = request_;
  bad.expert_ids = {99};
  EXPECT_THAT(
      worker_.ImportExperts(bad),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("expert 99")));
  bad = request_;
  bad.directory = "/";
  EXPECT_THAT(worker_.ImportExperts(bad),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("--import-root")));
  bad = request_;
  bad.layer = "none";
  EXPECT_THAT(
      worker_.ImportExperts(bad),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("'none'")));
}

TEST_F(WorkerImportTest, AnExpertNamedTwiceIsRefused) {
  Load("mixtral");
  request_.expert_ids = {2, 1, 2};
  EXPECT_THAT(worker_.ImportExperts(request_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("expert_ids: got 2 twice")));
}

TEST_F(WorkerImportTest, NoExpertsAreFine) {
  Load("mixtral");
  request_.expert_ids.clear();
  EXPECT_OK(worker_.ImportExperts(request_));
}

TEST_F(WorkerImportTest, ALayerWithoutOriginIsRefused) {
  Load("mixtral");
  ASSERT_OK(worker_.UnloadExperts(spec_.name));
  spec_.origin.reset();
  ASSERT_OK(worker_.LoadExperts(
      {.spec = spec_, .expert_ids = request_.expert_ids, .generation = 1}));
  EXPECT_THAT(worker_.ImportExperts(request_),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("has no origin")));
  request_.expert_ids.clear();
  EXPECT_THAT(worker_.ImportExperts(request_),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("has no origin")));
}

TEST_F(WorkerImportTest, NumbersThatAreNotFiniteAreRefused) {
  const testing::TemporaryFolder folder;
  std::filesystem::copy(absl::StrCat(SWITCHYARD_FAMILIES_DIR, "/olmoe"),
                        folder.path(),
                        std::filesystem::copy_options::recursive);
  std::string bytes = testing::ReadBytes(folder / "model.safetensors");
  // Bytes that are NaN in every dtype, all over the last tensors.
  std::fill(bytes.end() - 4096, bytes.end(), '\xff');
  testing::WriteBytes(folder / "model.safetensors", bytes);
  Worker worker({.worker_id = "w", .import_root = folder.path()}, Clock::Real(),
                registry_);
  ASSERT_OK_AND_ASSIGN(const CheckpointFolder opened,
                       CheckpointFolder::Open(folder.path()));
  ASSERT_OK_AND_ASSIGN(std::vector<LayerSpec> layers, opened.Layers());
  const LayerSpec& spec = layers.back();
  LoadExpertsRequest load = {.spec = spec, .generation = 1};
  for (int32_t e = 0; e < spec.num_hosted_experts(); ++e) {
    load.expert_ids.push_back(e);
  }
  ASSERT_OK(worker.LoadExperts(load));
  EXPECT_THAT(worker.ImportExperts({.layer = spec.name,
                                    .directory = folder.path(),
                                    .fingerprint = opened.Fingerprint(),
                                    .expert_ids = load.expert_ids}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       ::testing::AllOf(HasSubstr("experts."),
                                        HasSubstr("expected a finite"))));
}

TEST_F(WorkerImportTest, AnInferenceOnlyLayerRefusesToTrain) {
  Load("mixtral");
  ExpertForwardRequest forward = {.layer = spec_.name,
                                  .generation = 1,
                                  .keep = MicrobatchKey{},
                                  .x = Tensor::Zeros({0, spec_.hidden_size})};
  const auto refused = StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("inference_only"));
  EXPECT_THAT(worker_.Forward(forward).status(), refused);
  forward.keep.reset();
  EXPECT_OK(worker_.Forward(forward).status());
  EXPECT_THAT(worker_.PrepareStep({spec_.name, 1, 0}).status(), refused);
  EXPECT_THAT(worker_
                  .ReadExperts({.layer = spec_.name,
                                .ranges = {},
                                .kind = ParameterKind::kGradient})
                  .status(),
              refused);
  EXPECT_THAT(worker_.WriteExperts({.layer = spec_.name,
                                    .slices = {},
                                    .kind = ParameterKind::kGradient}),
              refused);
  EXPECT_THAT(worker_.Backward({.layer = spec_.name, .generation = 1}).status(),
              refused);
  EXPECT_THAT(worker_.CommitStep({spec_.name, 1, 0}, 0.1f), refused);
  EXPECT_OK(worker_.AbortStep({spec_.name, 1, 0}));
  EXPECT_OK(worker_.UnloadExperts(spec_.name));
}

}  // namespace
}  // namespace switchyard
