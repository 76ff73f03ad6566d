#include "common/safetensors/header_json.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

namespace switchyard {
namespace {

using Json = nlohmann::json;

constexpr char kMetadataName[] = "__metadata__";

// Follows the parser through {name: {member: value}}. Every event that has no
// place there ends the parse with a status.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderReader(SafetensorsHeader& header) : header_(header) {}

  const absl::Status& status() const { return status_; }

  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("a boolean"); }
  bool number_float(number_float_t, const string_t& text) override {
    return Unexpected(text);
  }
  bool binary(binary_t&) override { return Unexpected("binary"); }

  bool number_integer(number_integer_t value) override {
    return OnInteger(value);
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Unexpected(absl::StrCat(value));
    }
    return OnInteger(static_cast<int64_t>(value));
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) {
      header_.metadata.emplace_back(member_, std::move(value));
      return true;
    }
    if (place_ != Place::kTensor || member_ != "dtype") {
      return Unexpected(absl::StrCat("\"", Shortened(value), "\""));
    }
    const std::optional<StoredType> type = StoredTypeOf(value);
    if (!type.has_value()) {
      return Fail(absl::StrCat("\"", Shortened(value), "\""),
                  absl::StrCat("one of ", StoredTypeNames()));
    }
    entry().tensor.type = *type;
    return true;
  }

  bool start_object(size_t) override {
    if (place_ == Place::kBefore) {
      place_ = Place::kTop;
      return true;
    }
    if (place_ != Place::kTop) return Unexpected("an object");
    members_.clear();
    if (name_ == kMetadataName) {
      place_ = Place::kMetadata;
      return true;
    }
    place_ = Place::kTensor;
    header_.entries.emplace_back();
    entry().tensor.name = name_;
    return true;
  }

  bool key(string_t& key) override {
    const bool is_top = place_ == Place::kTop;
    (is_top ? name_ : member_) = key;
    if (is_top) member_.clear();
    if (!(is_top ? names_ : members_).insert(key).second) {
      return Fail("the name twice", "each name once");
    }
    if (place_ == Place::kTensor && key != "dtype" && key != "shape" &&
        key != "data_offsets") {
      return Fail("an unknown member", "dtype, shape or data_offsets");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTop) return true;
    const bool is_complete = place_ == Place::kMetadata ||
                             (members_.size() == 3 && num_offsets_ == 2);
    place_ = Place::kTop;
    member_.clear();
    num_offsets_ = 0;
    return is_complete || Fail("an incomplete entry",
                               "dtype, shape and data_offsets of two integers");
  }

  bool start_array(size_t) override {
    if (place_ != Place::kTensor || member_ == "dtype") {
      return Unexpected("an array");
    }
    place_ = Place::kArray;
    return true;
  }

  bool end_array() override {
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    status_ = absl::InvalidArgumentError(
        absl::StrCat("header: no JSON from byte ", position,
                     " on, expected an object of tensors"));
    return false;
  }

 private:
  enum class Place { kBefore, kTop, kMetadata, kTensor, kArray };

  SafetensorsHeader::Entry& entry() { return header_.entries.back(); }

  bool OnInteger(int64_t value) {
    if (place_ != Place::kArray) return Unexpected(absl::StrCat(value));
    if (member_ == "shape") {
      entry().tensor.shape.push_back(value);
      return entry().tensor.shape.size() <= kMaxDimensions ||
             Fail("too many dimensions",
                  absl::StrCat("at most ", kMaxDimensions));
    }
    ++num_offsets_;
    if (num_offsets_ > 2) return Fail("more than two integers", "two");
    (num_offsets_ == 1 ? entry().begin_bytes : entry().end_bytes) = value;
    return true;
  }

  bool Unexpected(absl::string_view got) {
    return Fail(got, place_ == Place::kMetadata ? "a string"
                     : place_ == Place::kArray  ? "an integer below 2^63"
                     : place_ == Place::kTensor
                         ? "a string for dtype, integers for the others"
                         : "an object");
  }

  bool Fail(absl::string_view got, absl::string_view expected) {
    status_ = absl::InvalidArgumentError(absl::StrCat(
        name_.empty() ? "header" : Shortened(name_),
        member_.empty() ? "" : absl::StrCat(".", Shortened(member_)), ": got ",
        got, ", expected ", expected));
    return false;
  }

  // More than anyone uses; keeps messages short.
  static constexpr size_t kMaxDimensions = 32;

  SafetensorsHeader& header_;
  absl::Status status_;
  Place place_ = Place::kBefore;
  // The tensor and its member that values belong to.
  std::string name_;
  std::string member_;
  int num_offsets_ = 0;
  absl::flat_hash_set<std::string> names_;
  absl::flat_hash_set<std::string> members_;
};

}  // namespace

absl::Status ParseHeaderJson(absl::string_view json,
                             SafetensorsHeader& header) {
  HeaderReader reader(header);
  Json::sax_parse(json.begin(), json.end(), &reader);
  return reader.status();
}

}  // namespace switchyard
