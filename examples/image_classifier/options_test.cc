#include "examples/image_classifier/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace switchyard::image_classifier {
namespace {

class OptionsTest : public ::testing::Test {
 protected:
  OptionsTest() { unsetenv("SWITCHYARD_GATEWAY"); }
  ~OptionsTest() override { unsetenv("SWITCHYARD_GATEWAY"); }

  static std::variant<Options, int> Parse(std::vector<const char*> flags) {
    flags.insert(flags.begin(), "switchyard-image-classifier");
    return ParseOptions(static_cast<int>(flags.size()), flags.data());
  }
};

TEST_F(OptionsTest, DefaultsAreThoseOfDeepSpeedsExample) {
  const auto options = Parse({"--gateway", "localhost:1"});
  ASSERT_TRUE(std::holds_alternative<Options>(options));
  const LayerSpec spec = MakeLayerSpec(std::get<Options>(options), "layer");
  EXPECT_TRUE(Validate(spec).ok()) << Validate(spec);
  EXPECT_EQ(spec.name, "layer");
  EXPECT_EQ(spec.hidden_size, 84);
  EXPECT_EQ(spec.num_experts, 4);
  EXPECT_EQ(spec.gate.k, 1);
  EXPECT_EQ(spec.gate.noise_policy, NoisePolicy::kRSample);
  EXPECT_EQ(spec.capacity.capacity_factor, 1.0f);
  EXPECT_EQ(spec.capacity.min_capacity, 0);
  EXPECT_EQ(std::get<AdamSpec>(spec.optimizer).beta1, 0.8f);
  EXPECT_EQ(std::get<AdamSpec>(spec.optimizer).beta2, 0.999f);
}

TEST_F(OptionsTest, FlagsReachTheLayer) {
  const auto options = Parse({"--gateway=a:1", "--num-experts=8", "--top-k=2",
                              "--noise=jitter", "--capacity-factor=1.5",
                              "--min-capacity=3", "--ep-size=2", "--seed=7"});
  ASSERT_TRUE(std::holds_alternative<Options>(options));
  const LayerSpec spec = MakeLayerSpec(std::get<Options>(options), "layer");
  EXPECT_EQ(spec.num_experts, 8);
  EXPECT_EQ(spec.gate.k, 2);
  EXPECT_EQ(spec.gate.noise_policy, NoisePolicy::kJitter);
  EXPECT_EQ(spec.capacity.capacity_factor, 1.5f);
  EXPECT_EQ(spec.capacity.min_capacity, 3);
  EXPECT_EQ(spec.ep_size, 2);
  EXPECT_EQ(spec.seed, 7);
}

TEST_F(OptionsTest, TakesTheGatewayFromTheEnvironment) {
  setenv("SWITCHYARD_GATEWAY", "somewhere:50051", 1);
  const auto options = Parse({});
  ASSERT_TRUE(std::holds_alternative<Options>(options));
  EXPECT_EQ(std::get<Options>(options).gateway_address, "somewhere:50051");
}

TEST_F(OptionsTest, WantsAGatewayUnlessDense) {
  const auto refused = Parse({});
  ASSERT_TRUE(std::holds_alternative<int>(refused));
  EXPECT_EQ(std::get<int>(refused), 2);
  EXPECT_TRUE(std::holds_alternative<Options>(Parse({"--dense"})));
}

TEST_F(OptionsTest, NoProgressTurnsTheProgressOff) {
  EXPECT_TRUE(std::get<Options>(Parse({"--dense"})).show_progress);
  EXPECT_FALSE(
      std::get<Options>(Parse({"--dense", "--no-progress"})).show_progress);
}

TEST_F(OptionsTest, RefusesWhatIsOutOfRange) {
  for (const char* flag :
       {"--batch-size=0", "--epochs=0", "--noise=loud", "--capacity-factor=0",
        "--learning-rate=nan", "--epochs=many", "--unknown"}) {
    const auto refused = Parse({"--dense", flag});
    ASSERT_TRUE(std::holds_alternative<int>(refused)) << flag;
    EXPECT_EQ(std::get<int>(refused), 2) << flag;
  }
}

}  // namespace
}  // namespace switchyard::image_classifier
