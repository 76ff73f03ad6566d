#include "common/testing/npz.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"

namespace switchyard::testing {
namespace {

// Record sizes and offsets of fields: PKWARE's APPNOTE.TXT, section 4.3.
constexpr size_t kEndRecordBytes = 22;
constexpr size_t kCentralRecordBytes = 46;
constexpr size_t kLocalRecordBytes = 30;
constexpr absl::string_view kEndSignature("PK\x05\x06", 4);
constexpr absl::string_view kCentralSignature("PK\x01\x02", 4);
constexpr absl::string_view kLocalSignature("PK\x03\x04", 4);
constexpr absl::string_view kNpyMagic("\x93NUMPY", 6);

// A little-endian integer; 0 beyond the end of `bytes`.
template <typename T>
T ReadInteger(absl::string_view bytes, size_t offset) {
  T value = 0;
  if (offset <= bytes.size() && bytes.size() - offset >= sizeof(T)) {
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
  }
  return value;
}

// bytes[offset, offset + size), or fewer if there are not as many.
absl::string_view Slice(absl::string_view bytes, size_t offset, size_t size) {
  return bytes.substr(std::min(offset, bytes.size()), size);
}

// What the central directory says of one member.
struct Member {
  absl::string_view name;
  absl::string_view bytes;
};

absl::StatusOr<Member> ReadMember(absl::string_view archive,
                                  absl::string_view record) {
  const size_t name_bytes = ReadInteger<uint16_t>(record, 28);
  Member member;
  member.name = Slice(record, kCentralRecordBytes, name_bytes);
  if (ReadInteger<uint16_t>(record, 10) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(member.name, ": is compressed, expected a stored member"));
  }
  const size_t size = ReadInteger<uint32_t>(record, 24);
  const absl::string_view local = Slice(
      archive, ReadInteger<uint32_t>(record, 42), absl::string_view::npos);
  const size_t header_bytes = kLocalRecordBytes +
                              ReadInteger<uint16_t>(local, 26) +
                              ReadInteger<uint16_t>(local, 28);
  member.bytes = Slice(local, header_bytes, size);
  if (!absl::StartsWith(local, kLocalSignature) ||
      member.bytes.size() != size) {
    return absl::InvalidArgumentError(absl::StrCat(
        member.name, ": got ", member.bytes.size(), " bytes, expected ", size));
  }
  return member;
}

absl::StatusOr<std::vector<Member>> ReadDirectory(absl::string_view archive) {
  const size_t end = archive.rfind(kEndSignature);
  if (end == absl::string_view::npos ||
      archive.size() - end < kEndRecordBytes) {
    return absl::InvalidArgumentError(
        "no end-of-directory record, expected a ZIP archive");
  }
  const size_t num_members = ReadInteger<uint16_t>(archive, end + 10);
  size_t offset = ReadInteger<uint32_t>(archive, end + 16);
  std::vector<Member> members;
  for (size_t i = 0; i < num_members; ++i) {
    const absl::string_view record =
        Slice(archive, offset, absl::string_view::npos);
    if (!absl::StartsWith(record, kCentralSignature)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "directory entry ", i, " of ", num_members, " is missing"));
    }
    SWITCHYARD_ASSIGN_OR_RETURN(Member member, ReadMember(archive, record));
    members.push_back(member);
    offset += kCentralRecordBytes + ReadInteger<uint16_t>(record, 28) +
              ReadInteger<uint16_t>(record, 30) +
              ReadInteger<uint16_t>(record, 32);
  }
  return members;
}

// The text after "'key':" in a .npy header, a Python dict literal.
absl::string_view ValueOf(absl::string_view header, absl::string_view key) {
  const std::string quoted = absl::StrCat("'", key, "':");
  const size_t position = header.find(quoted);
  if (position == absl::string_view::npos) return {};
  return absl::StripLeadingAsciiWhitespace(
      header.substr(position + quoted.size()));
}

absl::StatusOr<Shape> ParseShape(absl::string_view header) {
  const absl::string_view value = ValueOf(header, "shape");
  const size_t close = value.find(')');
  if (!absl::StartsWith(value, "(") || close == absl::string_view::npos) {
    return absl::InvalidArgumentError("no shape in the header");
  }
  Shape shape;
  for (const absl::string_view text : absl::StrSplit(
           value.substr(1, close - 1), ',', absl::SkipWhitespace())) {
    int64_t extent = 0;
    if (!absl::SimpleAtoi(text, &extent)) {
      return absl::InvalidArgumentError(
          absl::StrCat("shape: got extent ", text, ", expected an integer"));
    }
    shape.push_back(extent);
  }
  return shape;
}

template <typename T>
absl::Status CopyValues(absl::string_view bytes, int64_t num_elements,
                        NpyArray& array) {
  const size_t expected = static_cast<size_t>(num_elements) * sizeof(T);
  if (bytes.size() != expected) {
    return absl::InvalidArgumentError(absl::StrCat(
        "got ", bytes.size(), " bytes of values, expected ", expected));
  }
  std::vector<T> values(static_cast<size_t>(num_elements));
  if (expected > 0) std::memcpy(values.data(), bytes.data(), expected);
  array.values = std::move(values);
  return absl::OkStatus();
}

absl::Status ParseValues(absl::string_view header, absl::string_view bytes,
                         NpyArray& array) {
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_elements,
                              NumElements(array.shape, "array"));
  const absl::string_view dtype = ValueOf(header, "descr").substr(0, 5);
  if (dtype == "'<f4'") return CopyValues<float>(bytes, num_elements, array);
  if (dtype == "'<i8'") return CopyValues<int64_t>(bytes, num_elements, array);
  if (dtype == "'<i4'") return CopyValues<int32_t>(bytes, num_elements, array);
  if (dtype == "'|u1'" || dtype == "'|b1'") {
    return CopyValues<uint8_t>(bytes, num_elements, array);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "dtype: got ", dtype, ", expected <f4, <i8, <i4, |u1 or |b1"));
}

absl::StatusOr<NpyArray> ParseNpy(absl::string_view bytes) {
  if (!absl::StartsWith(bytes, kNpyMagic) || bytes.size() < 12) {
    return absl::InvalidArgumentError("is not in .npy format");
  }
  // Version 1 writes the header's length in 2 bytes, later ones in 4.
  const bool is_version_1 = bytes[6] == 1;
  const size_t header_begin = is_version_1 ? 10 : 12;
  const size_t header_bytes = is_version_1 ? ReadInteger<uint16_t>(bytes, 8)
                                           : ReadInteger<uint32_t>(bytes, 8);
  const absl::string_view header = Slice(bytes, header_begin, header_bytes);
  if (!absl::StartsWith(ValueOf(header, "fortran_order"), "False")) {
    return absl::InvalidArgumentError("is not in C order");
  }
  NpyArray array;
  SWITCHYARD_ASSIGN_OR_RETURN(array.shape, ParseShape(header));
  SWITCHYARD_RETURN_IF_ERROR(ParseValues(
      header,
      Slice(bytes, header_begin + header_bytes, absl::string_view::npos),
      array));
  return array;
}

absl::Status AddContext(const absl::Status& status, absl::string_view context) {
  return absl::Status(status.code(),
                      absl::StrCat(context, ": ", status.message()));
}

}  // namespace

int64_t NpyArray::num_elements() const {
  return std::visit(
      [](const auto& v) { return static_cast<int64_t>(v.size()); }, values);
}

absl::StatusOr<Tensor> NpyArray::ToTensor() const {
  const auto* floats = std::get_if<std::vector<float>>(&values);
  if (floats == nullptr) {
    return absl::InvalidArgumentError("dtype: got integers, expected float32");
  }
  return Tensor::FromSpan(shape, *floats);
}

absl::StatusOr<std::vector<int64_t>> NpyArray::ToIntegers() const {
  if (std::holds_alternative<std::vector<float>>(values)) {
    return absl::InvalidArgumentError("dtype: got float32, expected integers");
  }
  return std::visit(
      [](const auto& v) {
        std::vector<int64_t> integers;
        integers.reserve(v.size());
        for (const auto value : v) {
          integers.push_back(static_cast<int64_t>(value));
        }
        return integers;
      },
      values);
}

absl::StatusOr<NpzArrays> ParseNpz(absl::string_view bytes,
                                   absl::string_view name) {
  absl::StatusOr<std::vector<Member>> members = ReadDirectory(bytes);
  if (!members.ok()) return AddContext(members.status(), name);
  NpzArrays arrays;
  for (const Member& member : *members) {
    absl::StatusOr<NpyArray> array = ParseNpy(member.bytes);
    if (!array.ok()) {
      return AddContext(array.status(), absl::StrCat(name, ": ", member.name));
    }
    arrays.emplace(absl::StripSuffix(member.name, ".npy"), *std::move(array));
  }
  return arrays;
}

absl::StatusOr<NpzArrays> ReadNpz(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  return ParseNpz(bytes, path);
}

}  // namespace switchyard::testing
