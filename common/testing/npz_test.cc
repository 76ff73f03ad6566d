#include "common/testing/npz.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <typename T>
std::string Bytes(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

std::string Npy(const std::string& descr, const std::string& shape,
                const std::string& values) {
  const std::string header =
      absl::StrCat("{'descr': '", descr,
                   "', 'fortran_order': False, 'shape': ", shape, ", }\n");
  return absl::StrCat(std::string("\x93NUMPY\x01\x00", 8),
                      Bytes(static_cast<uint16_t>(header.size())), header,
                      values);
}

// A ZIP archive of one stored member. `method` 8 claims deflate.
std::string Archive(const std::string& name, const std::string& content,
                    uint16_t method = 0) {
  const std::string size = Bytes(static_cast<uint32_t>(content.size()));
  const std::string name_size = Bytes(static_cast<uint16_t>(name.size()));
  const std::string two(2, '\0'), four(4, '\0');
  const std::string local =
      absl::StrCat("PK\x03\x04", two, two, Bytes(method), four, four, size,
                   size, name_size, two, name, content);
  const std::string central =
      absl::StrCat(absl::StrCat("PK\x01\x02", two, two, two, Bytes(method),
                                four, four, size, size),
                   name_size, two, two, two, two, four, four, name);
  return absl::StrCat(absl::StrCat(local, central, "PK\x05\x06", two, two,
                                   Bytes(uint16_t{1}), Bytes(uint16_t{1})),
                      Bytes(static_cast<uint32_t>(central.size())),
                      Bytes(static_cast<uint32_t>(local.size())), two);
}

TEST(NpzTest, ReadsFloatsWithTheirShape) {
  const std::string values = absl::StrCat(Bytes(1.5f), Bytes(-2.0f));
  ASSERT_OK_AND_ASSIGN(
      const NpzArrays arrays,
      ParseNpz(Archive("x.npy", Npy("<f4", "(2, 1)", values)), "test"));
  ASSERT_OK_AND_ASSIGN(const Tensor x, arrays.at("x").ToTensor());
  EXPECT_THAT(x.shape(), ElementsAre(2, 1));
  EXPECT_THAT(x.values(), ElementsAre(1.5f, -2.0f));
  EXPECT_THAT(
      arrays.at("x").ToIntegers(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("got float32")));
}

TEST(NpzTest, ReadsEveryIntegerTypeAndScalars) {
  const struct {
    std::string descr, values;
  } cases[] = {{"<i8", Bytes(int64_t{7})},
               {"<i4", Bytes(int32_t{7})},
               {"|u1", Bytes(uint8_t{7})},
               {"|b1", Bytes(uint8_t{7})}};
  for (const auto& c : cases) {
    ASSERT_OK_AND_ASSIGN(
        const NpzArrays arrays,
        ParseNpz(Archive("n.npy", Npy(c.descr, "()", c.values)), "test"));
    const NpyArray& array = arrays.at("n");
    EXPECT_THAT(array.shape, IsEmpty());
    EXPECT_EQ(array.num_elements(), 1);
    ASSERT_OK_AND_ASSIGN(const std::vector<int64_t> integers,
                         array.ToIntegers());
    EXPECT_THAT(integers, ElementsAre(7)) << c.descr;
    EXPECT_THAT(array.ToTensor(), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("got integers")));
  }
}

TEST(NpzTest, RefusesWhatItCannotRead) {
  const std::string four = Bytes(1.0f);
  const struct {
    std::string bytes, message;
  } cases[] = {
      {"", "expected a ZIP archive"},
      {Archive("x.npy", "", 8), "is compressed"},
      {Archive("x.npy", "no numpy here"), "is not in .npy format"},
      {Archive("x.npy", Npy("<f8", "(1,)", four)), "dtype: got '<f8'"},
      {Archive("x.npy", Npy("<f4", "(2,)", four)), "expected 8"},
      {Archive("x.npy", Npy("<f4", "(-1,)", four)), "expected extents >= 0"},
      {Archive("x.npy", Npy("<f4", "(a,)", four)), "expected an integer"},
      {Archive("x.npy", Npy("<f4", "1", four)), "no shape"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(
        ParseNpz(c.bytes, "test"),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

TEST(NpzTest, EveryTruncationIsAnError) {
  const std::string whole = Archive("x.npy", Npy("<f4", "(1,)", Bytes(1.0f)));
  ASSERT_OK(ParseNpz(whole, "test"));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ParseNpz(absl::string_view(whole).substr(0, size), "t").ok())
        << size << " of " << whole.size() << " bytes";
  }
}

TEST(NpzTest, AMissingFileIsNamed) {
  EXPECT_THAT(
      ReadNpz("/nonexistent/x.npz"),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/x.npz")));
}

}  // namespace
}  // namespace switchyard::testing
