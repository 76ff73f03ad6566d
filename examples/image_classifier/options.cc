#include "examples/image_classifier/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <limits>
#include <map>
#include <type_traits>

#include "absl/strings/str_cat.h"

namespace switchyard::image_classifier {
namespace {

constexpr int32_t kMaxExperts = 65'536;
constexpr int kMistakeExitCode = 2;

// Refuses what is outside of [least, most], NaN too.
template <typename Number>
CLI::Validator InRange(Number least, Number most) {
  return CLI::Validator(
      [least, most](const std::string& text) -> std::string {
        Number value;
        if (CLI::detail::lexical_cast(text, value) && value >= least &&
            value <= most) {
          return "";
        }
        return absl::StrCat("got ", text, ", expected ", least, " to ", most);
      },
      "");
}

template <typename Number>
void AddNumber(CLI::App& app, const char* flag, Number least, Number most,
               const char* description, Number& target) {
  app.add_option(flag, target, description)
      ->check(InRange(least, most))
      ->type_name(std::is_integral_v<Number> ? "N" : "X")
      ->capture_default_str();
}

void AddTrainingFlags(CLI::App& app, TrainingOptions& training) {
  AddNumber<int64_t>(app, "--epochs", 1, 10'000, "Passes over the images",
                     training.num_epochs);
  AddNumber<int64_t>(app, "--batch-size", 1, 65'536, "Images in a step",
                     training.batch_size);
  AddNumber(app, "--learning-rate", 0.0, 10.0,
            "Adam's for half of the steps; then it falls to 0",
            training.learning_rate);
  AddNumber(app, "--aux-loss-coefficient", 0.0, 1e6,
            "Weight of the load balancing loss", training.aux_loss_coefficient);
  AddNumber<uint64_t>(app, "--seed", 0, std::numeric_limits<uint64_t>::max(),
                      "Same seed and flags, same result", training.seed);
  AddNumber(app, "--threads", 1, 256,
            "Threads of the trunk; more than one helps only where cores are "
            "idle",
            training.num_threads);
}

void AddLayerFlags(CLI::App& app, Options& options) {
  AddNumber<int32_t>(app, "--num-experts", 1, kMaxExperts,
                     "Experts of the layer", options.num_experts);
  AddNumber<int32_t>(app, "--top-k", 1, kMaxExperts,
                     "Experts that see each token", options.k);
  const std::map<std::string, NoisePolicy> policies = {
      {"rsample", NoisePolicy::kRSample},
      {"jitter", NoisePolicy::kJitter},
      {"none", NoisePolicy::kNone}};
  app.add_option_function<std::string>(
         "--noise",
         [&options, policies](const std::string& name) {
           options.noise_policy = policies.at(name);
         },
         "Noise on the gate in training: rsample, jitter or none")
      ->check([policies](const std::string& name) -> std::string {
        if (policies.count(name) > 0) return "";
        return absl::StrCat("got ", name, ", expected rsample, jitter or none");
      })
      ->type_name("POLICY")
      ->default_str("rsample");
  AddNumber(app, "--capacity-factor", 1e-3f, 1e6f,
            "Room in an expert, in even shares of a batch",
            options.capacity_factor);
  AddNumber<int64_t>(app, "--min-capacity", 0, int64_t{1} << 30,
                     "Room in an expert at least, in tokens",
                     options.min_capacity);
  AddNumber<int32_t>(app, "--ep-size", 0, 65'536,
                     "Workers to spread the experts over; further ones hold "
                     "replicas. 0: all workers, no replicas",
                     options.ep_size);
  app.add_flag("--dense", options.dense_only,
               "Train only the dense twin: needs no gateway");
}

void AddRunFlags(CLI::App& app, Options& options) {
  app.add_option("--gateway", options.gateway_address,
                 "host:port or unix:/path of the gateway")
      ->type_name("ADDRESS")
      ->envname("SWITCHYARD_GATEWAY");
  AddNumber<int64_t>(app, "--timeout-ms", 1, 3'600'000,
                     "How long a call to the gateway may take",
                     options.timeout_ms);
  app.add_option("--data-dir", options.cifar10_folder,
                 "Folder with CIFAR-10's binary files; not given: "
                 "Fashion-MNIST")
      ->type_name("FOLDER");
  app.add_option("--fashion-mnist-dir", options.fashion_mnist_folder,
                 "Folder with Fashion-MNIST's gzipped IDX files")
      ->type_name("FOLDER")
      ->capture_default_str();
  AddNumber<int64_t>(app, "--train-limit", 0, int64_t{1} << 40,
                     "Train with the first N images only. 0: with all",
                     options.train_limit);
  app.add_flag_callback(
      "--no-progress", [&options] { options.show_progress = false; },
      "Print nothing between start and end of training");
}

}  // namespace

LayerSpec MakeLayerSpec(const Options& options, const std::string& name) {
  LayerSpec spec;
  spec.name = name;
  spec.hidden_size = kHiddenSize;
  spec.num_experts = options.num_experts;
  spec.expert = LinearExpertSpec();
  spec.gate.k = options.k;
  spec.gate.noise_policy = options.noise_policy;
  spec.capacity.capacity_factor = options.capacity_factor;
  spec.capacity.min_capacity = options.min_capacity;
  AdamSpec adam;
  adam.beta1 = kAdamBeta1;
  adam.beta2 = kAdamBeta2;
  adam.epsilon = kAdamEpsilon;
  spec.optimizer = adam;
  spec.seed = options.training.seed;
  spec.ep_size = options.ep_size;
  return spec;
}

std::variant<Options, int> ParseOptions(int argc, const char* const* argv) {
  Options options;
  CLI::App app(
      "Trains an image classifier whose hidden layer is a Mixture-of-Experts "
      "layer in\nSwitchyard's workers, next to a dense twin.");
  app.get_formatter()->column_width(36);
  AddTrainingFlags(app, options.training);
  AddLayerFlags(app, options);
  AddRunFlags(app, options);
  try {
    app.parse(argc, argv);
    if (!options.dense_only && options.gateway_address.empty()) {
      throw CLI::ValidationError(
          "--gateway",
          "not given, and SWITCHYARD_GATEWAY is not set. Start everything at "
          "once with\n`switchyard up -- PROGRAM`, or train without a gateway "
          "with --dense");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EXIT_SUCCESS : kMistakeExitCode;
  }
  return options;
}

}  // namespace switchyard::image_classifier
