#include <unistd.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/command.h"
#include "cli/dynamic_call.h"
#include "cli/layer_export.h"
#include "cli/layer_import.h"
#include "cli/message_text.h"
#include "cli/read_file.h"
#include "cli/status_report.h"
#include "cli/table.h"
#include "client/gateway_client.h"
#include "common/base/status_macros.h"
#include "switchyard/v1/gateway.pb.h"

namespace switchyard {
namespace {

struct LayerFlags {
  ConnectionFlags connection;
  std::string file;
  std::string name;
  // Of the operation, for messages: "layer create".
  std::string operation;
};

// A LayerSpec; its form follows from the file's name.
absl::StatusOr<v1::LayerSpec> ReadSpec(const std::string& path) {
  const bool is_json = absl::EndsWith(path, ".json");
  if (!is_json && !absl::EndsWith(path, ".textproto")) {
    return absl::InvalidArgumentError(
        absl::StrCat("--file: got '", path,
                     "', expected a name that ends in .json or .textproto"));
  }
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--file: ", text.status().message()));
  }
  v1::LayerSpec spec;
  const absl::Status parsed =
      is_json ? FromJson(*text, spec) : FromTextproto(*text, spec);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", parsed.message()));
  }
  return spec;
}

absl::Status Call(const LayerFlags& flags, const std::string& method_name,
                  const google::protobuf::Message& request,
                  google::protobuf::Message& response) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto* method, FindMethod(method_name));
  DynamicCaller caller(flags.connection.gateway,
                       {absl::Milliseconds(flags.connection.timeout_ms),
                        flags.connection.max_message_bytes});
  return caller.Call(*method, request, response);
}

absl::StatusOr<std::string> Create(const LayerFlags& flags,
                                   const v1::LayerSpec& spec) {
  v1::CreateLayerRequest request;
  *request.mutable_spec() = spec;
  v1::CreateLayerResponse response;
  SWITCHYARD_RETURN_IF_ERROR(Call(flags, "CreateLayer", request, response));
  return ToJson(response.layer());
}

absl::StatusOr<std::string> Get(const LayerFlags& flags) {
  v1::GetLayerRequest request;
  request.set_layer(flags.name);
  v1::GetLayerResponse response;
  SWITCHYARD_RETURN_IF_ERROR(Call(flags, "GetLayer", request, response));
  return ToJson(response.layer());
}

absl::StatusOr<std::string> List(const LayerFlags& flags) {
  GatewayClient client(flags.connection.gateway,
                       flags.connection.ToClientOptions());
  SWITCHYARD_ASSIGN_OR_RETURN(const std::vector<LayerStatus> layers,
                              client.ListLayers());
  return FormatLayerList(layers, WantsColour(STDOUT_FILENO));
}

absl::StatusOr<std::string> Delete(const LayerFlags& flags) {
  GatewayClient client(flags.connection.gateway,
                       flags.connection.ToClientOptions());
  SWITCHYARD_RETURN_IF_ERROR(client.DeleteLayer(flags.name));
  return absl::StrCat("deleted layer ", flags.name, "\n");
}

std::string FormatImport(const LayerImportReport& report) {
  Table table({{"LAYER"},
               {"EXPERTS", Align::kRight},
               {"READ BY WORKERS", Align::kRight},
               {"BYTES", Align::kRight}});
  for (const ImportedLayer& layer : report.layers) {
    table.AddRow({layer.name, absl::StrCat(layer.num_experts),
                  absl::StrCat(layer.num_read_by_workers),
                  GroupDigits(layer.num_bytes)});
  }
  std::string text = absl::StrCat(
      "imported ", report.layers.size(),
      report.layers.size() == 1 ? " layer" : " layers", " of family ",
      report.family, "\n", table.ToString("", WantsColour(STDOUT_FILENO)));
  for (const std::string& refusal : report.refusals) {
    absl::StrAppend(&text, "streamed, because ", refusal, "\n");
  }
  return text;
}

absl::StatusOr<std::string> Import(const LayerFlags& flags,
                                   const LayerImportOptions& options) {
  GatewayClient client(flags.connection.gateway,
                       flags.connection.ToClientOptions());
  SWITCHYARD_ASSIGN_OR_RETURN(const LayerImportReport report,
                              ImportLayers(options, client));
  return FormatImport(report);
}

absl::StatusOr<std::string> Export(const LayerFlags& flags,
                                   const LayerExportOptions& options) {
  GatewayClient client(flags.connection.gateway,
                       flags.connection.ToClientOptions());
  SWITCHYARD_ASSIGN_OR_RETURN(const LayerExportReport report,
                              ExportLayers(options, client));
  return absl::StrCat("exported ", report.num_layers,
                      report.num_layers == 1 ? " layer" : " layers", ", ",
                      report.num_tensors, " tensors, ",
                      GroupDigits(report.num_bytes), " bytes to ",
                      absl::StrJoin(report.files, ", "), "\n");
}

using Operation =
    std::function<absl::StatusOr<std::string>(const LayerFlags& flags)>;

// Prints what the operation returns.
int Run(const LayerFlags& flags, const Operation& operation) {
  if (const absl::Status status = CheckConnection(flags.connection);
      !status.ok()) {
    return Complain(flags.operation, status, kUsage);
  }
  const absl::StatusOr<std::string> text = operation(flags);
  if (!text.ok()) {
    return Complain(
        "layer", ExplainUnavailable(text.status(), flags.connection), kFailed);
  }
  std::fputs(text->c_str(), stdout);
  return 0;
}

int RunCreate(const LayerFlags& flags) {
  const absl::StatusOr<v1::LayerSpec> spec = ReadSpec(flags.file);
  if (!spec.ok()) return Complain(flags.operation, spec.status(), kUsage);
  return Run(flags, [&spec](const LayerFlags& parsed) {
    return Create(parsed, *spec);
  });
}

// One of the subcommands of `layer`, with the flags that all have.
CLI::App& AddOperation(CLI::App& layer, const std::string& name,
                       const std::string& description,
                       const std::shared_ptr<LayerFlags>& flags, Action& action,
                       std::function<int()> run) {
  CLI::App& operation = *layer.add_subcommand(name, description);
  AddConnectionFlags(operation, flags->connection);
  operation.callback([&action, flags, name, run = std::move(run)] {
    flags->operation = absl::StrCat("layer ", name);
    action = run;
  });
  return operation;
}

void AddImport(CLI::App& layer, const std::shared_ptr<LayerFlags>& flags,
               Action& action) {
  const auto options = std::make_shared<LayerImportOptions>();
  CLI::App& import =
      AddOperation(layer, "import", "Create layers from a Hugging Face folder",
                   flags, action, [flags, options] {
                     return Run(*flags, [options](const LayerFlags& parsed) {
                       return Import(parsed, *options);
                     });
                   });
  import
      .add_option("directory", options->directory,
                  "Folder with config.json and safetensors files")
      ->type_name("DIRECTORY")
      ->required();
  import
      .add_option("--layers", options->layers,
                  "Which MoE blocks, by their path in the model")
      ->type_name("PATTERN")
      ->capture_default_str();
  import
      .add_option("--name", options->name_prefix,
                  "Stands before the path in the layer's name")
      ->type_name("PREFIX");
  import.add_flag("--trainable", options->trainable,
                  "Keep gradients and optimizer state too");
  import.add_flag(
      "--int8", options->int8_weights,
      "Hold the experts' matrices as int8, a scale for each output");
  import
      .add_option("--ep-size", options->ep_size,
                  "Workers that the experts are spread over; 0: all")
      ->type_name("N")
      ->capture_default_str();
  import.add_flag("--exact-combine", options->exact_combine,
                  "Results do not depend on the number of workers, for any k");
}

void AddExport(CLI::App& layer, const std::shared_ptr<LayerFlags>& flags,
               Action& action) {
  const auto options = std::make_shared<LayerExportOptions>();
  CLI::App& export_app =
      AddOperation(layer, "export", "Write imported layers back as safetensors",
                   flags, action, [flags, options] {
                     return Run(*flags, [options](const LayerFlags& parsed) {
                       return Export(parsed, *options);
                     });
                   });
  export_app
      .add_option("directory", options->directory,
                  "Where to; it is made, and must not hold a model yet")
      ->type_name("DIRECTORY")
      ->required();
  export_app.add_option("--layers", options->layers, "Which layers, by name")
      ->type_name("PATTERN")
      ->capture_default_str();
  export_app
      .add_option("--max-file-bytes", options->max_file_bytes,
                  "Tensors beyond go to further files")
      ->type_name("N")
      ->capture_default_str()
      ->check(IntegerIn({1, int64_t{1} << 50}));
}

}  // namespace

void AddLayerCommand(CLI::App& app, Action& action) {
  CLI::App& layer = *app.add_subcommand("layer", "Create and delete layers");
  layer.require_subcommand(1);
  const auto flags = std::make_shared<LayerFlags>();
  AddOperation(layer, "create", "Create a layer from its description", flags,
               action, [flags] { return RunCreate(*flags); })
      .add_option("--file", flags->file,
                  "A LayerSpec message as .json or .textproto")
      ->type_name("FILE")
      ->required();
  AddImport(layer, flags, action);
  AddExport(layer, flags, action);
  AddOperation(layer, "list", "List all layers", flags, action,
               [flags] { return Run(*flags, List); });
  AddOperation(layer, "get", "Print a layer's description and state as JSON",
               flags, action, [flags] { return Run(*flags, Get); })
      .add_option("name", flags->name, "The layer")
      ->type_name("NAME")
      ->required();
  AddOperation(layer, "delete", "Delete a layer and its experts", flags, action,
               [flags] { return Run(*flags, Delete); })
      .add_option("name", flags->name, "The layer")
      ->type_name("NAME")
      ->required();
}

}  // namespace switchyard
