#ifndef SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_REMOTE_MOE_H_
#define SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_REMOTE_MOE_H_

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include "absl/status/status.h"
#include "examples/image_classifier/remote_layer.h"

namespace switchyard::image_classifier {

// A remote MoE layer as a module of a torch network: autograd passes through
// its forward and backward calls as through any other function. The module has
// no parameters of its own; Step updates those in the gateway and the workers.
//
// Autograd has no room for a Status. A call that fails leaves it in status(),
// gives zeros, and makes the calls after it do the same at once; ask after
// forward and after backward. Thread-compatible.
class RemoteMoeImpl : public torch::nn::Module {
 public:
  struct Output {
    // In the shape of x.
    torch::Tensor y;
    // The layer's auxiliary loss, a scalar. What part it has in the loss is up
    // to the caller: its gradient goes to the gate.
    torch::Tensor aux_loss;
  };

  // `layer` must outlive the module and every graph that goes through it.
  explicit RemoteMoeImpl(RemoteLayer& layer) : layer_(layer) {}

  // x: float32 [tokens, hidden_size]. In training mode each forward wants its
  // backward before Step.
  Output forward(const torch::Tensor& x);

  // Updates gate and experts with the gradients since the last Step.
  absl::Status Step(float learning_rate);

  const absl::Status& status() const { return status_; }
  const MoeRecord& record() const { return layer_.record(); }

 private:
  friend class RemoteMoeFunction;

  ForwardResult CallForward(const torch::Tensor& x);
  torch::Tensor CallBackward(const ForwardResult& forward,
                             const torch::Tensor& grad_y, float grad_aux_loss);

  RemoteLayer& layer_;
  absl::Status status_;
};
TORCH_MODULE(RemoteMoe);

}  // namespace switchyard::image_classifier

#endif  // SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_REMOTE_MOE_H_
