#include "common/safetensors/header.h"

#include <gmock/gmock.h>

#include <limits>

#include "common/base/status_testing.h"
#include "common/safetensors/safetensors_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::FileOf;
using ::switchyard::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(HeaderTest, ListsTensorsByPosition) {
  ASSERT_OK_AND_ASSIGN(
      const SafetensorsHeader header,
      ParseHeader(FileOf(
          R"({"b":{"dtype":"BF16","shape":[2,2],"data_offsets":[4,12]},)"
          R"("a":{"data_offsets":[0,4],"shape":[],"dtype":"F32"},)"
          R"("__metadata__":{"format":"pt"},)"
          R"("none":{"dtype":"I64","shape":[0,3],"data_offsets":[12,12]}}  )",
          std::string(12, 'x'))));
  ASSERT_EQ(header.entries.size(), 3u);
  EXPECT_EQ(header.entries[0].tensor.name, "a");
  EXPECT_EQ(header.entries[0].tensor.type, StoredType::kF32);
  EXPECT_THAT(header.entries[0].tensor.shape, ElementsAre());
  EXPECT_EQ(header.entries[1].tensor.name, "b");
  EXPECT_EQ(header.entries[1].tensor.type, StoredType::kBF16);
  EXPECT_THAT(header.entries[1].tensor.shape, ElementsAre(2, 2));
  EXPECT_EQ(header.entries[1].begin_bytes, 4);
  EXPECT_EQ(header.entries[1].end_bytes, 12);
  EXPECT_EQ(header.entries[2].tensor.name, "none");
  EXPECT_THAT(header.metadata, ElementsAre(Pair("format", "pt")));
}

TEST(HeaderTest, AFileMayHaveNoTensors) {
  ASSERT_OK_AND_ASSIGN(const SafetensorsHeader header,
                       ParseHeader(FileOf("{}", "")));
  EXPECT_TRUE(header.entries.empty());
  EXPECT_EQ(header.size_bytes, 10);
}

TEST(HeaderTest, KnowsEveryTypeAndItsSize) {
  for (const auto& [name, size] :
       std::vector<std::pair<std::string, int>>{{"F64", 8},
                                                {"F32", 4},
                                                {"F16", 2},
                                                {"BF16", 2},
                                                {"F8_E4M3", 1},
                                                {"F8_E5M2", 1},
                                                {"F8_E8M0", 1},
                                                {"I64", 8},
                                                {"I32", 4},
                                                {"I16", 2},
                                                {"I8", 1},
                                                {"U64", 8},
                                                {"U32", 4},
                                                {"U16", 2},
                                                {"U8", 1},
                                                {"BOOL", 1}}) {
    ASSERT_OK_AND_ASSIGN(
        const SafetensorsHeader header,
        ParseHeader(FileOf(absl::StrCat(R"({"t":{"dtype":")", name,
                                        R"(","shape":[3],"data_offsets":[0,)",
                                        3 * size, "]}}"),
                           std::string(static_cast<size_t>(3 * size), 'x'))));
    EXPECT_EQ(NameOf(header.entries[0].tensor.type), name);
  }
}

TEST(HeaderTest, RefusesAHeaderThatIsNotThere) {
  EXPECT_THAT(ParseHeader(""),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "got 0 bytes, expected at least 8 with the header's "
                       "length"));
  std::string file = FileOf("{}", "");
  file[0] = 3;
  EXPECT_THAT(ParseHeader(file),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "header: got 3 bytes, expected at most 2, what the file "
                       "has: it is truncated"));
}

TEST(HeaderTest, RefusesAnOversizedHeader) {
  const uint64_t length = uint64_t{kMaxHeaderBytes} + 1;
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  EXPECT_THAT(ParseHeader(file),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "header: got 100000001 bytes, expected at most "
                       "100000000"));
  file.replace(0, 8, 8, '\xff');
  EXPECT_THAT(ParseHeader(file), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("at most 100000000")));
}

struct BadHeader {
  const char* name;
  // Of a file with 8 bytes of tensors.
  const char* json;
  const char* message;
};

class BadHeaderTest : public ::testing::TestWithParam<BadHeader> {};

TEST_P(BadHeaderTest, IsRefused) {
  EXPECT_THAT(ParseHeader(FileOf(GetParam().json, "01234567")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadHeaderTest,
    ::testing::Values(
        BadHeader{"NoJson", "nonsense", "header: no JSON from byte 2 on"},
        BadHeader{"Cut", R"({"t":{"dtype":)", "header: no JSON from byte"},
        BadHeader{"MoreAfterIt", "{}{}", "header: no JSON from byte 3 on"},
        BadHeader{"NoUtf8", "{\"\xff\xff\":{}}", "header: no JSON"},
        BadHeader{"NoObject", "[]", "header: got an array, expected an object"},
        BadHeader{"TensorNoObject", R"({"t":1})",
                  "t: got 1, expected an object"},
        BadHeader{"Nested", R"({"t":{"dtype":{"a":1}}})",
                  "t.dtype: got an object, expected a string"},
        BadHeader{"NestedArray",
                  R"({"t":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})",
                  "t.shape: got an array, expected an integer"},
        BadHeader{"UnknownType",
                  R"({"t":{"dtype":"F4","shape":[2],"data_offsets":[0,8]}})",
                  R"(t.dtype: got "F4", expected one of F64, F32,)"},
        BadHeader{"TypeNoString",
                  R"({"t":{"dtype":7,"shape":[2],"data_offsets":[0,8]}})",
                  "t.dtype: got 7, expected a string"},
        BadHeader{"NegativeExtent",
                  R"({"t":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})",
                  "t.shape: got [-2], expected no negative extent"},
        BadHeader{"FractionalExtent",
                  R"({"t":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})",
                  "t.shape: got 2.0, expected an integer"},
        BadHeader{"HugeExtent",
                  R"({"t":{"dtype":"F32","shape":[9223372036854775808],)"
                  R"("data_offsets":[0,8]}})",
                  "t.shape: got 9223372036854775808, expected an integer"},
        BadHeader{"OverflowingShape",
                  R"({"t":{"dtype":"F32","shape":[4611686018427387905],)"
                  R"("data_offsets":[0,4]}})",
                  "expected fewer than 2^63 bytes"},
        BadHeader{"OverflowingProduct",
                  R"({"t":{"dtype":"U8","shape":[4294967296,4294967296,8],)"
                  R"("data_offsets":[0,8]}})",
                  "expected fewer than 2^63 bytes"},
        BadHeader{"OneOffset",
                  R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[8]}})",
                  "t: got an incomplete entry"},
        BadHeader{"ThreeOffsets",
                  R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}})",
                  "t.data_offsets: got more than two integers"},
        BadHeader{"NoShape", R"({"t":{"dtype":"F32","data_offsets":[0,8]}})",
                  "t: got an incomplete entry"},
        BadHeader{"UnknownMember",
                  R"({"t":{"dtype":"F32","shape":[2],"size":[0,8]}})",
                  "t.size: got an unknown member"},
        BadHeader{"MemberTwice",
                  R"({"t":{"dtype":"F32","dtype":"F32","data_offsets":[0,8]}})",
                  "t.dtype: got the name twice"},
        BadHeader{"TensorTwice",
                  R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                  R"("t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                  "t: got the name twice"},
        BadHeader{"BackwardOffsets",
                  R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})",
                  "t.data_offsets: got [8, 0], expected begin <= end"},
        BadHeader{"NegativeOffsets",
                  R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})",
                  "t.data_offsets: got [-8, 0], expected begin <= end"},
        BadHeader{"PastTheEnd",
                  R"({"t":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})",
                  "t.data_offsets: got [0, 12], expected an end within the "
                  "file's 8 bytes of tensors: it is truncated"},
        BadHeader{"WrongSize",
                  R"({"t":{"dtype":"F16","shape":[2],"data_offsets":[0,8]}})",
                  "t.data_offsets: got 8 bytes, expected 4 for F16 [2]"},
        BadHeader{"Overlap",
                  R"({"a":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},)"
                  R"("b":{"dtype":"F16","shape":[2],"data_offsets":[4,8]}})",
                  "b.data_offsets: got begin 4, expected 6, where the tensor "
                  "before ends: they overlap"},
        BadHeader{"SamePlace",
                  R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                  R"("b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
                  "they overlap"},
        BadHeader{"GapBefore",
                  R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                  "a.data_offsets: got begin 4, expected 0, where the tensor "
                  "before ends: there is a gap"},
        BadHeader{"BytesAfter",
                  R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                  "got 8 bytes of tensors, expected 4, where the last tensor "
                  "ends"},
        BadHeader{"MetadataNoString", R"({"__metadata__":{"a":1}})",
                  "__metadata__.a: got 1, expected a string"},
        BadHeader{"MetadataNested", R"({"__metadata__":{"a":{}}})",
                  "__metadata__.a: got an object, expected a string"},
        BadHeader{"MetadataNull", R"({"__metadata__":null})",
                  "__metadata__: got null, expected an object"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(HeaderTest, DeepNestingIsRefusedWithoutDescending) {
  const std::string deep(1 << 20, '[');
  EXPECT_THAT(
      ParseHeader(FileOf(deep, "")),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("got an array")));
}

TEST(HeaderTest, LongNamesAreCutInMessages) {
  const std::string name(10000, 'n');
  const absl::StatusOr<SafetensorsHeader> header =
      ParseHeader(FileOf(absl::StrCat("{\"", name, "\":1}"), ""));
  ASSERT_FALSE(header.ok());
  EXPECT_LT(header.status().message().size(), 300u);
}

TEST(HeaderTest, WhatIsEncodedParses) {
  const std::vector<TensorDeclaration> tensors = {
      {"first", StoredType::kF32, {2, 3}},
      {"second \"\u00e9\"", StoredType::kBF16, {}},
      {"third", StoredType::kU8, {0}}};
  const SafetensorsMetadata metadata = {{"z", "1"}, {"a", "2"}};
  ASSERT_OK_AND_ASSIGN(std::string bytes, EncodeHeader(tensors, metadata));
  EXPECT_EQ(bytes.size() % 8, 0u);
  ASSERT_OK_AND_ASSIGN(const SafetensorsHeader header,
                       ParseHeader(bytes + std::string(26, 'x')));
  EXPECT_EQ(header.metadata, metadata);
  ASSERT_EQ(header.entries.size(), 3u);
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(header.entries[i].tensor.name, tensors[i].name);
    EXPECT_EQ(header.entries[i].tensor.type, tensors[i].type);
    EXPECT_EQ(header.entries[i].tensor.shape, tensors[i].shape);
  }
}

TEST(HeaderTest, EncodingRefusesWhatParsingWould) {
  EXPECT_THAT(
      EncodeHeader({{"t", StoredType::kF32, {1}}, {"t", StoredType::kF32, {1}}},
                   {}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "t: got the name twice, expected each name once"));
  EXPECT_THAT(
      EncodeHeader(
          {{"t", StoredType::kF64, {std::numeric_limits<int64_t>::max()}}}, {}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("t.shape"), HasSubstr("fewer than 2^63"))));
}

}  // namespace
}  // namespace switchyard
