#include "cli/message_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/status_testing.h"
#include "switchyard/v1/gateway.pb.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

v1::Tensor TwoFloats() {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DTYPE_FLOAT32);
  tensor.add_shape(2);
  // 1.5 and -2, little-endian.
  tensor.set_data(std::string("\0\0\xc0\x3f\0\0\0\xc0", 8));
  return tensor;
}

TEST(MessageTextTest, ReadsJson) {
  v1::ForwardRequest request;
  ASSERT_OK(FromJson(
      R"({"layer": "moe", "mode": "MODE_EVAL",
          "x": {"dtype": "DTYPE_FLOAT32", "shape": [1, 2],
                "floatValues": [1, 2.5]}})",
      request));
  EXPECT_EQ(request.layer(), "moe");
  EXPECT_EQ(request.mode(), v1::MODE_EVAL);
  EXPECT_THAT(request.x().float_values(), ElementsAre(1.0f, 2.5f));
}

TEST(MessageTextTest, RefusesJsonOfSomethingElse) {
  v1::ForwardRequest request;
  EXPECT_THAT(FromJson(R"({"lair": "moe"})", request),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("ForwardRequest"), HasSubstr("lair"))));
  EXPECT_THAT(FromJson("{", request),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("ForwardRequest")));
}

TEST(MessageTextTest, WritesJsonWithZerosAndListsOnOneLine) {
  v1::ExpertPlacement expert;
  expert.add_worker_ids("w0");
  expert.add_worker_ids("w1");
  v1::PlacementMap placement;
  *placement.add_experts() = expert;
  ASSERT_OK_AND_ASSIGN(const std::string json, ToJson(placement));
  EXPECT_EQ(json,
            "{\n"
            "  \"version\": \"0\",\n"
            "  \"experts\": [\n"
            "    {\n"
            "      \"expertId\": 0,\n"
            "      \"workerIds\": [\"w0\", \"w1\"]\n"
            "    }\n"
            "  ]\n"
            "}\n");
  ASSERT_OK_AND_ASSIGN(const std::string empty,
                       ToJson(v1::DeleteLayerResponse()));
  EXPECT_EQ(empty, "{}\n");
}

TEST(MessageTextTest, WritesTheFormThatATensorHas) {
  v1::ForwardResponse response;
  *response.mutable_y() = TwoFloats();
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ToJson(response));
  EXPECT_THAT(bytes, AllOf(HasSubstr("\"data\": \"AADAPwAAAMA=\""),
                           Not(HasSubstr("floatValues"))));
  ExpandTensors(response, 2);
  ASSERT_OK_AND_ASSIGN(const std::string floats, ToJson(response));
  EXPECT_THAT(floats, AllOf(HasSubstr("\"floatValues\": [1.5, -2]"),
                            Not(HasSubstr("\"data\""))));
}

TEST(MessageTextTest, ReadsTextproto) {
  v1::LayerSpec spec;
  ASSERT_OK(FromTextproto(
      "name: 'moe' hidden_size: 84 # width\nexpert { linear {} }", spec));
  EXPECT_EQ(spec.name(), "moe");
  EXPECT_TRUE(spec.expert().has_linear());
}

TEST(MessageTextTest, SaysWhereATextprotoIsWrong) {
  v1::LayerSpec spec;
  EXPECT_THAT(
      FromTextproto("name: 'moe'\nhidden_sighs: 84", spec),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("line 2, column 13"), HasSubstr("sighs"))));
}

TEST(MessageTextTest, ExpandsTensorsWhereverTheyAre) {
  v1::ForwardResponse response;
  *response.mutable_y() = TwoFloats();
  ExpandTensors(response, 2);
  EXPECT_THAT(response.y().float_values(), ElementsAre(1.5f, -2.0f));
  EXPECT_TRUE(response.y().data().empty());

  v1::ReadParametersResponse page;
  page.add_slices();
  *page.add_slices()->mutable_values() = TwoFloats();
  ExpandTensors(page, 100);
  EXPECT_THAT(page.slices(1).values().float_values(), ElementsAre(1.5f, -2.0f));
}

TEST(MessageTextTest, LeavesTensorsThatItCannotShow) {
  v1::ForwardResponse large;
  *large.mutable_y() = TwoFloats();
  ExpandTensors(large, 1);
  EXPECT_EQ(large.y().data().size(), 8);

  v1::ForwardResponse bfloat16;
  *bfloat16.mutable_y() = TwoFloats();
  bfloat16.mutable_y()->set_dtype(v1::DTYPE_BFLOAT16);
  ExpandTensors(bfloat16, 100);
  EXPECT_EQ(bfloat16.y().data().size(), 8);

  v1::ForwardResponse broken;
  *broken.mutable_y() = TwoFloats();
  broken.mutable_y()->mutable_data()->pop_back();
  ExpandTensors(broken, 100);
  EXPECT_EQ(broken.y().data().size(), 7);
}

TEST(MessageTextTest, MakesMessagesByType) {
  EXPECT_NE(dynamic_cast<v1::StepRequest*>(
                NewMessage(*v1::StepRequest::descriptor()).get()),
            nullptr);
}

}  // namespace
}  // namespace switchyard
