#ifndef SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_OPTIONS_H_
#define SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_OPTIONS_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/model/layer_spec.h"
#include "examples/image_classifier/trainer.h"

namespace switchyard::image_classifier {

struct Options {
  TrainingOptions training;
  int32_t num_experts = 4;
  int32_t k = 1;
  NoisePolicy noise_policy = NoisePolicy::kRSample;
  float capacity_factor = 1.0f;
  int64_t min_capacity = 0;
  int32_t ep_size = 0;

  // Empty: Fashion-MNIST.
  std::string cifar10_folder;
  std::string fashion_mnist_folder = "/usr/share/datasets/fashion-mnist";
  // 0: all.
  int64_t train_limit = 0;

  // Empty: the environment's SWITCHYARD_GATEWAY.
  std::string gateway_address;
  int64_t timeout_ms = 30'000;
  bool dense_only = false;
  bool show_progress = true;
};

// The layer that the options describe.
LayerSpec MakeLayerSpec(const Options& options, const std::string& name);

// From flags and environment, or, where the program is not to go on, its exit
// code: 0 after help, 2 after a mistake. What there is to say about either has
// been printed by then.
std::variant<Options, int> ParseOptions(int argc, const char* const* argv);

}  // namespace switchyard::image_classifier

#endif  // SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_OPTIONS_H_
