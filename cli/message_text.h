// Messages as people read and write them: JSON and protobuf's text format.
#ifndef SWITCHYARD_CLI_MESSAGE_TEXT_H_
#define SWITCHYARD_CLI_MESSAGE_TEXT_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace switchyard {

// A new, empty message of a generated type.
std::unique_ptr<google::protobuf::Message> NewMessage(
    const google::protobuf::Descriptor& type);

// protobuf's JSON mapping; unknown fields are refused. INVALID_ARGUMENT.
absl::Status FromJson(const std::string& json,
                      google::protobuf::Message& message);
// protobuf's JSON mapping, zeros included, lists of numbers on one line. Ends
// in a newline.
absl::StatusOr<std::string> ToJson(const google::protobuf::Message& message);
// protobuf's text format. INVALID_ARGUMENT names line and column.
absl::Status FromTextproto(const std::string& text,
                           google::protobuf::Message& message);

// Turns the bytes of every float32 tensor in `message` into float_values, for
// people to read; those of more than `max_elements` or of a size that does not
// fit stay bytes.
void ExpandTensors(google::protobuf::Message& message, int64_t max_elements);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_MESSAGE_TEXT_H_
