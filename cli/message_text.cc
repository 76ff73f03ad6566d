#include "cli/message_text.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "switchyard/v1/tensor.pb.h"

static_assert(std::endian::native == std::endian::little,
              "tensors are little-endian on the wire");

namespace switchyard {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;
using ::nlohmann::ordered_json;

// Keeps the first error: those after it are often its consequences.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (!text_.empty()) return;
    text_ =
        absl::StrCat("line ", line + 1, ", column ", column + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void ExpandTensor(v1::Tensor& tensor, int64_t max_elements) {
  const size_t num_bytes = tensor.data().size();
  if (tensor.dtype() != v1::DTYPE_FLOAT32 || num_bytes == 0 ||
      num_bytes % sizeof(float) != 0 ||
      num_bytes / sizeof(float) > static_cast<size_t>(max_elements)) {
    return;
  }
  const int num_elements = static_cast<int>(num_bytes / sizeof(float));
  tensor.mutable_float_values()->Resize(num_elements, 0.0f);
  std::memcpy(tensor.mutable_float_values()->mutable_data(),
              tensor.data().data(), num_bytes);
  tensor.clear_data();
}

// Of a tensor's two forms, leaves the one that it has: printing zeros as well
// has added the other, empty.
void DropEmptyForm(ordered_json& value) {
  if (!value.is_structured()) return;
  if (value.contains("data") && value.contains("floatValues")) {
    value.erase(value["data"].empty() || value["data"] == "" ? "data"
                                                             : "floatValues");
  }
  for (ordered_json& element : value) DropEmptyForm(element);
}

bool IsOneLine(const ordered_json& value) {
  if (value.is_object()) return value.empty();
  if (!value.is_array()) return true;
  for (const ordered_json& element : value) {
    if (element.is_structured()) return false;
  }
  return true;
}

// As ordered_json::dump with an indent of 2, but lists of scalars stay on one
// line: a tensor is not a page for each row.
void AppendPretty(const ordered_json& value, int depth, std::string& text) {
  if (IsOneLine(value) && value.is_array()) {
    absl::StrAppend(&text, "[",
                    absl::StrJoin(value, ", ",
                                  [](std::string* out, const ordered_json& e) {
                                    out->append(e.dump());
                                  }),
                    "]");
    return;
  }
  if (IsOneLine(value)) {
    text += value.dump();
    return;
  }
  const std::string indent(static_cast<size_t>(2 * depth + 2), ' ');
  text += value.is_object() ? "{" : "[";
  bool first = true;
  for (const auto& [key, element] : value.items()) {
    absl::StrAppend(&text, first ? "\n" : ",\n", indent);
    if (value.is_object()) {
      absl::StrAppend(&text, ordered_json(key).dump(), ": ");
    }
    AppendPretty(element, depth + 1, text);
    first = false;
  }
  absl::StrAppend(&text, "\n", std::string(indent.size() - 2, ' '),
                  value.is_object() ? "}" : "]");
}

}  // namespace

std::unique_ptr<Message> NewMessage(const google::protobuf::Descriptor& type) {
  return std::unique_ptr<Message>(
      google::protobuf::MessageFactory::generated_factory()
          ->GetPrototype(&type)
          ->New());
}

absl::Status FromJson(const std::string& json, Message& message) {
  const auto status =
      google::protobuf::util::JsonStringToMessage(json, &message);
  if (status.ok()) return absl::OkStatus();
  // After its first line the parser points at a place with a line of its own.
  const std::vector<std::string> lines =
      absl::StrSplit(status.message().ToString(), '\n');
  return absl::InvalidArgumentError(
      absl::StrCat("not the JSON of a ", message.GetDescriptor()->name(), ": ",
                   absl::StripSuffix(lines.front(), ".")));
}

absl::StatusOr<std::string> ToJson(const Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status =
      google::protobuf::util::MessageToJsonString(message, &json, options);
  ordered_json value =
      ordered_json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!status.ok() || value.is_discarded()) {
    return absl::InternalError(
        absl::StrCat(message.GetDescriptor()->name(),
                     ": no JSON: ", status.message().ToString()));
  }
  DropEmptyForm(value);
  std::string text;
  AppendPretty(value, 0, text);
  return text + "\n";
}

absl::Status FromTextproto(const std::string& text, Message& message) {
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (parser.ParseFromString(text, &message)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("not the text format of a ", message.GetDescriptor()->name(),
                   ": ", error.text()));
}

void ExpandTensors(Message& message, int64_t max_elements) {
  if (auto* tensor = dynamic_cast<v1::Tensor*>(&message)) {
    ExpandTensor(*tensor, max_elements);
    return;
  }
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      ExpandTensors(*reflection.MutableMessage(&message, field), max_elements);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      ExpandTensors(*reflection.MutableRepeatedMessage(&message, field, i),
                    max_elements);
    }
  }
}

}  // namespace switchyard
