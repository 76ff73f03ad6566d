#include "common/model/parameters.h"

#include <set>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

LayerSpec MlpSpec() {
  LayerSpec spec;
  spec.name = "moe";
  spec.hidden_size = 8;
  spec.num_experts = 12;
  spec.expert = MlpExpertSpec{.ffn_size = 16};
  return spec;
}

TEST(ParametersTest, FindsEveryParameterByItsName) {
  const LayerSpec spec = MlpSpec();
  std::set<std::string> names;
  for (const ParameterSpec& parameter : AllParameters(spec)) {
    ASSERT_OK_AND_ASSIGN(const ParameterSpec found,
                         FindParameter(spec, parameter.name));
    EXPECT_EQ(found.expert_id, parameter.expert_id);
    EXPECT_EQ(found.idx_in_expert, parameter.idx_in_expert);
    EXPECT_EQ(found.shape, parameter.shape);
    names.insert(parameter.name);
  }
  EXPECT_EQ(names.size(), 1u + 12 * 4);
  ASSERT_OK_AND_ASSIGN(const ParameterSpec fc2,
                       FindParameter(spec, "experts.11.fc2.weight"));
  EXPECT_THAT(fc2.shape, ElementsAre(8, 16));
  EXPECT_EQ(fc2.fan_in, 16);
}

TEST(ParametersTest, RefusesUnknownNames) {
  for (const char* name :
       {"", "gate", "gate.bias", "experts", "experts.", "experts.12.fc1.weight",
        "experts.-1.fc1.weight", "experts.0.weight", "experts.00.fc1.weight",
        "experts.0.fc1.weight.more"}) {
    EXPECT_THAT(FindParameter(MlpSpec(), name),
                StatusIs(absl::StatusCode::kNotFound,
                         HasSubstr("layer 'moe' has no parameter")))
        << name;
  }
}

}  // namespace
}  // namespace switchyard
