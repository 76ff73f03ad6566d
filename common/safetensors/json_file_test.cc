#include "common/safetensors/json_file.h"

#include <gmock/gmock.h>

#include "common/base/status_testing.h"
#include "common/safetensors/safetensors_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::HasSubstr;

TEST(JsonFileTest, ReadsAnObject) {
  const testing::TemporaryFolder folder;
  testing::WriteBytes(folder / "a.json", R"({"k": [1, {"l": null}]})");
  ASSERT_OK_AND_ASSIGN(const nlohmann::json json,
                       ReadJsonObject(folder / "a.json"));
  EXPECT_EQ(json["k"][0], 1);
}

TEST(JsonFileTest, RefusesWhatIsNoObject) {
  for (const char* text : {"", "[]", "1", "{", "{\"a\":}", "{} x", "\xff"}) {
    EXPECT_THAT(ParseJsonObject(text, "a.json"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         "a.json: is not a JSON object"))
        << text;
  }
}

TEST(JsonFileTest, RefusesDeepNesting) {
  std::string deep = "1";
  for (int i = 0; i < kMaxJsonDepth - 1; ++i) deep = "[" + deep + "]";
  EXPECT_OK(ParseJsonObject("{\"a\":" + deep + "}", "a.json"));
  EXPECT_THAT(ParseJsonObject("{\"a\":[[" + deep + "]]}", "a.json"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("nested deeper than 64")));
}

TEST(JsonFileTest, NamesAFileThatIsMissing) {
  EXPECT_THAT(
      ReadJsonObject("/nonexistent/a.json"),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/a.json")));
}

}  // namespace
}  // namespace switchyard
