#include "common/safetensors/header.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/safetensors/header_json.h"

namespace switchyard {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the header's length is little-endian and copied as it is");

constexpr int64_t kLengthBytes = 8;

absl::Status Refuse(absl::string_view tensor, absl::string_view member,
                    absl::string_view got, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(
      Shortened(tensor), member, ": got ", got, ", expected ", expected));
}

// The JSON, checked to lie within the file.
absl::StatusOr<absl::string_view> HeaderJson(absl::string_view file) {
  if (file.size() < kLengthBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("got ", file.size(), " bytes, expected at least ",
                     kLengthBytes, " with the header's length"));
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > static_cast<uint64_t>(kMaxHeaderBytes)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "header: got ", length, " bytes, expected at most ", kMaxHeaderBytes));
  }
  if (length > file.size() - kLengthBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "header: got ", length, " bytes, expected at most ",
        file.size() - kLengthBytes, ", what the file has: it is truncated"));
  }
  return file.substr(kLengthBytes, length);
}

absl::Status CheckOffsets(const SafetensorsHeader::Entry& entry,
                          int64_t data_bytes) {
  const std::string got =
      absl::StrCat("[", entry.begin_bytes, ", ", entry.end_bytes, "]");
  if (entry.begin_bytes < 0 || entry.begin_bytes > entry.end_bytes) {
    return Refuse(entry.tensor.name, ".data_offsets", got, "begin <= end");
  }
  if (entry.end_bytes > data_bytes) {
    return Refuse(
        entry.tensor.name, ".data_offsets", got,
        absl::StrCat("an end within the file's ", data_bytes,
                     " bytes of tensors: it is truncated or damaged"));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t size_bytes,
                              SizeBytesOf(entry.tensor));
  if (entry.end_bytes - entry.begin_bytes != size_bytes) {
    return Refuse(entry.tensor.name, ".data_offsets",
                  absl::StrCat(entry.end_bytes - entry.begin_bytes, " bytes"),
                  absl::StrCat(size_bytes, " for ", NameOf(entry.tensor.type),
                               " ", ShapeToString(entry.tensor.shape)));
  }
  return absl::OkStatus();
}

// Sorts, and checks that each tensor begins where the one before it ends.
absl::Status CheckCoverage(std::vector<SafetensorsHeader::Entry>& entries,
                           int64_t data_bytes) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) {
                     return std::pair(a.begin_bytes, a.end_bytes) <
                            std::pair(b.begin_bytes, b.end_bytes);
                   });
  int64_t end_bytes = 0;
  for (const SafetensorsHeader::Entry& entry : entries) {
    if (entry.begin_bytes != end_bytes) {
      return Refuse(
          entry.tensor.name, ".data_offsets",
          absl::StrCat("begin ", entry.begin_bytes),
          absl::StrCat(end_bytes, ", where the tensor before ends",
                       entry.begin_bytes < end_bytes ? ": they overlap"
                                                     : ": there is a gap"));
    }
    end_bytes = entry.end_bytes;
  }
  if (end_bytes != data_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("got ", data_bytes, " bytes of tensors, expected ",
                     end_bytes, ", where the last tensor ends"));
  }
  return absl::OkStatus();
}

absl::Status CheckNames(const std::vector<TensorDeclaration>& tensors) {
  absl::flat_hash_set<absl::string_view> names;
  for (const TensorDeclaration& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      return Refuse(tensor.name, "", "the name twice", "each name once");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int64_t> SizeBytesOf(const TensorDeclaration& tensor) {
  int64_t size_bytes = SizeOf(tensor.type);
  bool overflows = false;
  for (const int64_t extent : tensor.shape) {
    if (extent < 0) {
      return Refuse(tensor.name, ".shape", ShapeToString(tensor.shape),
                    "no negative extent");
    }
    overflows |= __builtin_mul_overflow(size_bytes, extent, &size_bytes);
  }
  // An extent of 0 does not excuse the others.
  if (overflows) {
    return Refuse(tensor.name, ".shape", ShapeToString(tensor.shape),
                  "fewer than 2^63 bytes");
  }
  return size_bytes;
}

std::string Shortened(absl::string_view name) {
  constexpr size_t kMaxShown = 200;
  if (name.size() <= kMaxShown) return std::string(name);
  return absl::StrCat(name.substr(0, kMaxShown), "...");
}

absl::StatusOr<SafetensorsHeader> ParseHeader(absl::string_view file) {
  SWITCHYARD_ASSIGN_OR_RETURN(const absl::string_view json, HeaderJson(file));
  SafetensorsHeader header;
  SWITCHYARD_RETURN_IF_ERROR(ParseHeaderJson(json, header));
  header.size_bytes = kLengthBytes + static_cast<int64_t>(json.size());
  const int64_t data_bytes =
      static_cast<int64_t>(file.size()) - header.size_bytes;
  for (const SafetensorsHeader::Entry& entry : header.entries) {
    SWITCHYARD_RETURN_IF_ERROR(CheckOffsets(entry, data_bytes));
  }
  SWITCHYARD_RETURN_IF_ERROR(CheckCoverage(header.entries, data_bytes));
  return header;
}

absl::StatusOr<std::string> EncodeHeader(
    const std::vector<TensorDeclaration>& tensors,
    const SafetensorsMetadata& metadata) {
  SWITCHYARD_RETURN_IF_ERROR(CheckNames(tensors));
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) {
    nlohmann::ordered_json& pairs = json["__metadata__"];
    for (const auto& [key, value] : metadata) pairs[key] = value;
  }
  // ordered_json looks names up one by one: many tensors go in by appending.
  auto& members = json.get_ref<nlohmann::ordered_json::object_t&>();
  int64_t offset = 0;
  for (const TensorDeclaration& tensor : tensors) {
    SWITCHYARD_ASSIGN_OR_RETURN(const int64_t size_bytes, SizeBytesOf(tensor));
    nlohmann::ordered_json entry;
    entry["dtype"] = std::string(NameOf(tensor.type));
    entry["shape"] =
        std::vector<int64_t>(tensor.shape.begin(), tensor.shape.end());
    entry["data_offsets"] = {offset, offset + size_bytes};
    members.push_back({tensor.name, std::move(entry)});
    offset += size_bytes;
  }
  std::string text = json.dump(
      -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  const uint64_t length = text.size();
  std::string bytes(kLengthBytes, '\0');
  std::memcpy(bytes.data(), &length, kLengthBytes);
  return bytes + text;
}

}  // namespace switchyard
