#include "common/checkpoint/checkpoint_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "common/base/status_testing.h"
#include "common/checkpoint/tensor_layout.h"
#include "common/safetensors/safetensors_testing.h"
#include "common/safetensors/safetensors_writer.h"

namespace switchyard {
namespace {

using ::switchyard::testing::ReadBytes;
using ::switchyard::testing::StatusIs;
using ::switchyard::testing::TemporaryFolder;
using ::switchyard::testing::WriteBytes;
using ::testing::AllOf;
using ::testing::HasSubstr;

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

class FamilyTest : public ::testing::TestWithParam<std::string> {};

// Every parameter is read, and put together again the tensors are what they
// were, to the last byte.
TEST_P(FamilyTest, TensorsSurviveTheWayToParametersAndBack) {
  ASSERT_OK_AND_ASSIGN(const CheckpointFolder folder,
                       CheckpointFolder::Open(FolderOf(GetParam())));
  ASSERT_OK_AND_ASSIGN(const SafetensorsFolder tensors,
                       SafetensorsFolder::Open(FolderOf(GetParam())));
  ASSERT_OK_AND_ASSIGN(const std::vector<LayerSpec> layers, folder.Layers());
  ASSERT_FALSE(layers.empty());
  for (const LayerSpec& spec : layers) {
    EXPECT_OK(Validate(spec));
    EXPECT_EQ(spec.origin->model_type, folder.family());
    ASSERT_OK_AND_ASSIGN(const std::vector<TensorPlan> plans, TensorsOf(spec));
    for (const TensorPlan& plan : plans) {
      ASSERT_OK_AND_ASSIGN(const SafetensorsFolder::Location found,
                           tensors.Get(plan.name));
      std::string bytes(found.tensor->bytes.size(), '\x55');
      for (const TensorPart& part : plan.parts) {
        std::vector<float> values(
            static_cast<size_t>(part.parameter.num_elements()));
        // In two pieces, of which the second begins anywhere.
        const size_t half = values.size() / 3;
        const auto span = absl::MakeSpan(values);
        ASSERT_OK(folder.ReadParameter(spec, part.parameter, 0,
                                       span.subspan(0, half)));
        ASSERT_OK(folder.ReadParameter(spec, part.parameter,
                                       static_cast<int64_t>(half),
                                       span.subspan(half)));
        WriteSlice(part.slice, plan.dtype, 0, values, bytes.data());
      }
      EXPECT_TRUE(bytes == found.tensor->bytes) << plan.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, FamilyTest, ::testing::ValuesIn(Families()),
                         [](const auto& tested) { return tested.param; });

TEST(CheckpointFolderTest, RecordsTheDTypesOfItsTensors) {
  ASSERT_OK_AND_ASSIGN(const CheckpointFolder folder,
                       CheckpointFolder::Open(FolderOf("deepseek_v3")));
  ASSERT_OK_AND_ASSIGN(const std::vector<LayerSpec> layers, folder.Layers());
  std::set<std::string> bfloat16;
  for (const ParameterDType& entry : layers[0].parameter_dtypes) {
    EXPECT_EQ(entry.dtype, DType::kBFloat16);
    bfloat16.insert(entry.parameter);
  }
  EXPECT_TRUE(bfloat16.contains("experts.*.gate_proj.weight"));
  EXPECT_TRUE(bfloat16.contains("dense.down_proj.weight"));
  EXPECT_FALSE(bfloat16.contains("gate.score_correction_bias"));
}

// A copy of a fixture in which something is wrong.
class DamagedFolderTest : public ::testing::Test {
 protected:
  void Copy(const std::string& family) {
    std::filesystem::copy(FolderOf(family), folder_.path(),
                          std::filesystem::copy_options::recursive);
  }

  // Writes model.safetensors anew with what `change` makes of each tensor;
  // those without a name are left out.
  template <typename Change>
  void Rewrite(Change change) {
    const std::string path = folder_ / "model.safetensors";
    const std::string bytes = ReadBytes(path);
    ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                         SafetensorsFile::Parse(bytes, path));
    std::vector<TensorDeclaration> declarations;
    std::string data;
    for (const SafetensorsTensor& tensor : file.tensors()) {
      TensorDeclaration declaration = tensor.declaration;
      change(declaration);
      if (declaration.name.empty()) continue;
      ASSERT_OK_AND_ASSIGN(const int64_t num_bytes, SizeBytesOf(declaration));
      declarations.push_back(declaration);
      data.append(static_cast<size_t>(num_bytes), '\0');
    }
    ASSERT_OK_AND_ASSIGN(SafetensorsWriter writer,
                         SafetensorsWriter::Create(path, declarations, {}));
    ASSERT_OK(writer.Append(data));
    ASSERT_OK(writer.Finish());
  }

  void ChangeConfig(const std::string& field, const nlohmann::json& value) {
    const std::string path = folder_ / "config.json";
    nlohmann::json config = nlohmann::json::parse(ReadBytes(path));
    config[field] = value;
    WriteBytes(path, config.dump());
  }

  absl::Status Problem() {
    const auto opened = CheckpointFolder::Open(folder_.path());
    return opened.ok() ? opened->Layers().status() : opened.status();
  }

  TemporaryFolder folder_;
};

constexpr char kUp[] = "model.layers.1.mlp.experts.2.up_proj.weight";

TEST_F(DamagedFolderTest, AMissingTensorIsNamed) {
  Copy("qwen3_moe");
  Rewrite([](TensorDeclaration& tensor) {
    if (tensor.name == kUp) tensor.name = "";
  });
  EXPECT_THAT(Problem(),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(kUp), HasSubstr(folder_.path()))));
}

TEST_F(DamagedFolderTest, AWrongShapeIsNamed) {
  Copy("qwen3_moe");
  Rewrite([](TensorDeclaration& tensor) {
    if (tensor.name == kUp) tensor.shape.back() += 1;
  });
  EXPECT_THAT(Problem(), StatusIs(absl::StatusCode::kInvalidArgument,
                                  AllOf(HasSubstr(kUp), HasSubstr("got shape"),
                                        HasSubstr("expected ["))));
}

TEST_F(DamagedFolderTest, ADTypeThatIsNotComputedWithIsNamed) {
  Copy("qwen3_moe");
  Rewrite([](TensorDeclaration& tensor) {
    if (tensor.name == kUp) tensor.type = StoredType::kF8E4M3;
  });
  EXPECT_THAT(
      Problem(),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr(kUp), HasSubstr("expected F32, BF16 or F16"))));
}

TEST_F(DamagedFolderTest, ExpertsOfTwoDTypesAreNamed) {
  Copy("qwen3_moe");
  Rewrite([](TensorDeclaration& tensor) {
    if (tensor.name == kUp) tensor.type = StoredType::kBF16;
  });
  EXPECT_THAT(Problem(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(kUp), HasSubstr("bfloat16"),
                             HasSubstr("experts.0.up_proj.weight"))));
}

TEST_F(DamagedFolderTest, ATruncatedFileIsNamed) {
  Copy("qwen3_moe");
  const std::string path = folder_ / "model.safetensors";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  EXPECT_THAT(Problem(), StatusIs(absl::StatusCode::kInvalidArgument,
                                  HasSubstr("model.safetensors")));
}

TEST_F(DamagedFolderTest, AMissingShardIsNamed) {
  Copy("mixtral");
  std::filesystem::remove(folder_ / "model-00002-of-00002.safetensors");
  EXPECT_THAT(Problem().message(),
              HasSubstr("model-00002-of-00002.safetensors"));
}

TEST_F(DamagedFolderTest, AnUnknownFamilyIsRefusedWithThoseThereAre) {
  Copy("mixtral");
  ChangeConfig("model_type", "bert");
  ChangeConfig("architectures", nlohmann::json::array({"BertModel"}));
  EXPECT_THAT(Problem(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("model_type"), HasSubstr("bert"),
                             HasSubstr("mixtral"))));
}

TEST_F(DamagedFolderTest, QuantisedWeightsAreRefused) {
  Copy("gpt_oss");
  ChangeConfig("quantization_config", {{"quant_method", "mxfp4"}});
  EXPECT_THAT(Problem(), StatusIs(absl::StatusCode::kInvalidArgument,
                                  HasSubstr("quantization_config")));
}

TEST_F(DamagedFolderTest, AFolderWithoutAModelIsNotFound) {
  EXPECT_THAT(Problem(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("config.json")));
}

TEST_F(DamagedFolderTest, TheFingerprintSeesOtherWeights) {
  Copy("qwen3_moe");
  ASSERT_OK_AND_ASSIGN(const CheckpointFolder before,
                       CheckpointFolder::Open(folder_.path()));
  const std::string path = folder_ / "model.safetensors";
  std::string bytes = ReadBytes(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  WriteBytes(path, bytes);
  ASSERT_OK_AND_ASSIGN(const CheckpointFolder after,
                       CheckpointFolder::Open(folder_.path()));
  EXPECT_NE(before.Fingerprint(), after.Fingerprint());
}

TEST_F(DamagedFolderTest, BlocksOfAQuantisedTensorAreNamed) {
  Copy("gpt_oss");
  Rewrite([](TensorDeclaration& tensor) {
    if (tensor.name == "model.layers.0.mlp.experts.gate_up_proj") {
      tensor.name += "_blocks";
    }
  });
  EXPECT_THAT(Problem(), StatusIs(absl::StatusCode::kInvalidArgument,
                                  AllOf(HasSubstr("gate_up_proj"),
                                        HasSubstr("quantised"))));
}

TEST_F(DamagedFolderTest, TheFingerprintTellsFoldersApart) {
  Copy("mixtral");
  ASSERT_OK_AND_ASSIGN(const CheckpointFolder copy,
                       CheckpointFolder::Open(folder_.path()));
  ASSERT_OK_AND_ASSIGN(const CheckpointFolder original,
                       CheckpointFolder::Open(FolderOf("mixtral")));
  EXPECT_EQ(copy.Fingerprint(), original.Fingerprint());
  ChangeConfig("rope_theta", 1);
  ASSERT_OK_AND_ASSIGN(const CheckpointFolder changed,
                       CheckpointFolder::Open(folder_.path()));
  EXPECT_NE(changed.Fingerprint(), original.Fingerprint());
}

}  // namespace
}  // namespace switchyard
