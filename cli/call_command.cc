#include <cstdio>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/dynamic_call.h"
#include "cli/message_text.h"
#include "cli/read_file.h"
#include "common/base/status_macros.h"

namespace switchyard {
namespace {

// A page of numbers; what is larger is for programs, as base64.
constexpr int64_t kMaxShownElements = 4096;

struct CallFlags {
  ConnectionFlags connection;
  std::string method;
  std::string request;
};

// JSON itself, "-" for standard input or "@path".
absl::StatusOr<std::string> RequestText(const std::string& argument) {
  if (argument.empty()) return std::string("{}");
  if (argument == "-") return ReadFile("/dev/stdin");
  if (argument[0] == '@') return ReadFile(argument.substr(1));
  return argument;
}

struct PreparedCall {
  const google::protobuf::MethodDescriptor* method = nullptr;
  std::unique_ptr<google::protobuf::Message> request;
  std::unique_ptr<google::protobuf::Message> response;
};

absl::StatusOr<PreparedCall> Prepare(const CallFlags& flags) {
  PreparedCall call;
  SWITCHYARD_RETURN_IF_ERROR(CheckConnection(flags.connection));
  SWITCHYARD_ASSIGN_OR_RETURN(call.method, FindMethod(flags.method));
  call.request = NewMessage(*call.method->input_type());
  call.response = NewMessage(*call.method->output_type());
  SWITCHYARD_ASSIGN_OR_RETURN(const std::string json,
                              RequestText(flags.request));
  SWITCHYARD_RETURN_IF_ERROR(FromJson(json, *call.request));
  return call;
}

int RunCall(const CallFlags& flags) {
  absl::StatusOr<PreparedCall> call = Prepare(flags);
  if (!call.ok()) return Complain("call", call.status(), kUsage);
  DynamicCaller caller(flags.connection.gateway,
                       {absl::Milliseconds(flags.connection.timeout_ms),
                        flags.connection.max_message_bytes});
  absl::Status status = ExplainUnavailable(
      caller.Call(*call->method, *call->request, *call->response),
      flags.connection);
  absl::StatusOr<std::string> json = std::string();
  if (status.ok()) {
    ExpandTensors(*call->response, kMaxShownElements);
    json = ToJson(*call->response);
    status = json.status();
  }
  if (!status.ok()) {
    const std::string line = absl::StrCat(
        absl::StatusCodeToString(status.code()), ": ", status.message(), "\n");
    std::fputs(line.c_str(), stderr);
    return kFailed;
  }
  std::fputs(json->c_str(), stdout);
  return 0;
}

std::string MethodList() {
  std::string text = "Methods, and what they take:\n";
  for (const auto* method : AllMethods()) {
    absl::StrAppend(&text, "  ", method->name(), "  ",
                    method->input_type()->full_name(), "\n");
  }
  return text;
}

}  // namespace

void AddCallCommand(CLI::App& app, Action& action) {
  CLI::App* const subcommand = app.add_subcommand(
      "call", "Call any method of the gateway, with JSON in and out");
  const auto flags = std::make_shared<CallFlags>();
  AddConnectionFlags(*subcommand, flags->connection);
  subcommand->add_option("method", flags->method, "Name, e.g. ListLayers")
      ->type_name("METHOD")
      ->required();
  subcommand
      ->add_option("request", flags->request,
                   "The request as JSON, - to read it from standard input, or "
                   "@FILE; empty: all defaults")
      ->type_name("JSON");
  subcommand->footer(MethodList());
  subcommand->callback(
      [flags, &action] { action = [flags] { return RunCall(*flags); }; });
}

}  // namespace switchyard
