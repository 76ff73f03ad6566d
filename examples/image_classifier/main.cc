// switchyard-image-classifier: trains a small convolutional network whose
// hidden layer is a Mixture-of-Experts layer behind a gateway.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/gateway_client.h"
#include "common/base/status_macros.h"
#include "examples/image_classifier/dataset.h"
#include "examples/image_classifier/format.h"
#include "examples/image_classifier/options.h"
#include "examples/image_classifier/progress.h"
#include "examples/image_classifier/remote_layer.h"
#include "examples/image_classifier/report.h"
#include "examples/image_classifier/trainer.h"

namespace switchyard::image_classifier {
namespace {

constexpr int kInterruptedExitCode = 130;

std::atomic<bool> stop_requested = false;
static_assert(std::atomic<bool>::is_always_lock_free,
              "a signal handler sets it");

void RequestStop(int) { stop_requested = true; }

// The second signal ends the process at once.
void StopOnSignals() {
  struct sigaction action = {};
  action.sa_handler = RequestStop;
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void PrintHeader(const Options& options, const Dataset& dataset) {
  std::cout << "Dataset: " << dataset.name << ", "
            << FormatCount(dataset.train.num_images()) << " images to train, "
            << FormatCount(dataset.test.num_images()) << " to test\n";
  if (options.dense_only) {
    std::cout << "Network: the dense twin alone" << std::endl;
    return;
  }
  std::cout << "Network: top-" << options.k << " of " << options.num_experts
            << (options.num_experts == 1 ? " expert" : " experts")
            << " behind gateway " << options.gateway_address
            << "\n         beside it its dense twin, without experts\n";
  if (const char* pages = std::getenv("SWITCHYARD_METRICS")) {
    const std::vector<std::string> urls =
        absl::StrSplit(pages, ' ', absl::SkipEmpty());
    std::cout << "Metrics: " << absl::StrJoin(urls, "\n         ") << "\n";
  }
  std::cout << std::endl;
}

absl::StatusOr<Dataset> LoadDataset(const Options& options) {
  absl::StatusOr<Dataset> dataset =
      options.cifar10_folder.empty()
          ? LoadFashionMnist(options.fashion_mnist_folder)
          : LoadCifar10(options.cifar10_folder);
  if (dataset.ok()) dataset->train.Truncate(options.train_limit);
  return dataset;
}

absl::Status TrainAndReport(const Options& options, const Dataset& dataset,
                            RemoteLayer* layer) {
  ProgressPrinter progress(stdout, options.show_progress
                                       ? ProgressPrinter::StyleFor(stdout)
                                       : ProgressPrinter::Style::kOff);
  SWITCHYARD_ASSIGN_OR_RETURN(
      const TrainingRecord record,
      TrainAndTest(options.training, dataset, layer, stop_requested, progress));
  std::optional<LayerRecord> layer_record;
  if (layer != nullptr) {
    SWITCHYARD_ASSIGN_OR_RETURN(layer_record, layer->Describe());
    SWITCHYARD_RETURN_IF_ERROR(layer->Delete());
  }
  const LayerRecord* shown = layer_record ? &*layer_record : nullptr;
  std::cout << RenderReport(record, shown) << "\n"
            << RenderResultLine(record, shown) << std::endl;
  return absl::OkStatus();
}

absl::Status Run(const Options& options) {
  SWITCHYARD_ASSIGN_OR_RETURN(const Dataset dataset, LoadDataset(options));
  PrintHeader(options, dataset);
  if (options.dense_only) return TrainAndReport(options, dataset, nullptr);
  GatewayClientOptions client_options;
  client_options.timeout = absl::Milliseconds(options.timeout_ms);
  GatewayClient client(options.gateway_address, client_options);
  SWITCHYARD_ASSIGN_OR_RETURN(
      const std::unique_ptr<RemoteLayer> layer,
      RemoteLayer::Create(client, MakeLayerSpec(options, "image-classifier"),
                          absl::StrCat("-", ::getpid())));
  return TrainAndReport(options, dataset, layer.get());
}

// torch and the standard library report by exceptions; they end here.
absl::Status RunWithoutExceptions(const Options& options) {
  try {
    return Run(options);
  } catch (const std::exception& exception) {
    return absl::InternalError(exception.what());
  }
}

int Main(int argc, const char* const* argv) {
  const std::variant<Options, int> options = ParseOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&options)) return *exit_code;
  StopOnSignals();
  const absl::Status status = RunWithoutExceptions(std::get<Options>(options));
  if (!status.ok()) {
    std::cerr << "switchyard-image-classifier: " << status << std::endl;
  }
  if (stop_requested) return kInterruptedExitCode;
  return status.ok() ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace switchyard::image_classifier

int main(int argc, char** argv) {
  return switchyard::image_classifier::Main(argc, argv);
}
