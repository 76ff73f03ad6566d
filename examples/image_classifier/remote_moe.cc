#include "examples/image_classifier/remote_moe.h"

#include <torch/csrc/autograd/custom_function.h>

#include <cstring>
#include <utility>

namespace switchyard::image_classifier {
namespace {

Shape ShapeOf(const torch::Tensor& tensor) {
  return Shape(tensor.sizes().begin(), tensor.sizes().end());
}

Tensor FromTorch(const torch::Tensor& tensor) {
  const torch::Tensor dense = tensor.contiguous();
  return Tensor::FromSpan(
      ShapeOf(dense), absl::MakeConstSpan(dense.data_ptr<float>(),
                                          static_cast<size_t>(dense.numel())));
}

torch::Tensor ToTorch(const Tensor& tensor) {
  torch::Tensor result = torch::empty(
      at::IntArrayRef(tensor.shape().data(), tensor.shape().size()));
  std::memcpy(result.data_ptr<float>(), tensor.data(),
              static_cast<size_t>(tensor.size_bytes()));
  return result;
}

// What autograd keeps of a forward for its backward.
struct ForwardCall : torch::CustomClassHolder {
  ForwardCall(RemoteMoeImpl& m, ForwardResult r)
      : module(m), result(std::move(r)) {}

  RemoteMoeImpl& module;
  ForwardResult result;
};

}  // namespace

// Makes the two calls one differentiable function.
class RemoteMoeFunction : public torch::autograd::Function<RemoteMoeFunction> {
 public:
  static torch::autograd::variable_list forward(
      torch::autograd::AutogradContext* context, const torch::Tensor& x,
      RemoteMoeImpl* module) {
    auto call =
        c10::make_intrusive<ForwardCall>(*module, module->CallForward(x));
    torch::autograd::variable_list outputs = {
        ToTorch(call->result.y), torch::scalar_tensor(call->result.aux_loss)};
    context->saved_data["call"] = at::IValue::make_capsule(std::move(call));
    return outputs;
  }

  // `gradients`: those of y and of the auxiliary loss. The second result
  // belongs to the module, which has no gradient.
  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      const torch::autograd::variable_list& gradients) {
    const auto capsule = context->saved_data["call"].toCapsule();
    const auto& call = static_cast<const ForwardCall&>(*capsule);
    return {call.module.CallBackward(call.result, gradients[0],
                                     gradients[1].item<float>()),
            torch::Tensor()};
  }
};

RemoteMoeImpl::Output RemoteMoeImpl::forward(const torch::Tensor& x) {
  const torch::autograd::variable_list outputs =
      RemoteMoeFunction::apply(x, this);
  return {outputs[0], outputs[1]};
}

ForwardResult RemoteMoeImpl::CallForward(const torch::Tensor& x) {
  if (status_.ok()) {
    absl::StatusOr<ForwardResult> result = layer_.Forward(
        is_training() ? Mode::kTrain : Mode::kEval, FromTorch(x));
    if (result.ok()) return *std::move(result);
    status_ = std::move(result).status();
  }
  ForwardResult zeros;
  zeros.y = Tensor::Zeros(ShapeOf(x));
  return zeros;
}

torch::Tensor RemoteMoeImpl::CallBackward(const ForwardResult& forward,
                                          const torch::Tensor& grad_y,
                                          float grad_aux_loss) {
  if (status_.ok()) {
    absl::StatusOr<BackwardResult> result =
        layer_.Backward(forward, FromTorch(grad_y), grad_aux_loss);
    if (result.ok()) return ToTorch(result->grad_x);
    status_ = std::move(result).status();
  }
  return torch::zeros_like(grad_y);
}

absl::Status RemoteMoeImpl::Step(float learning_rate) {
  if (status_.ok()) status_ = layer_.Step(learning_rate);
  return status_;
}

}  // namespace switchyard::image_classifier
