#ifndef SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_NETWORK_H_
#define SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_NETWORK_H_

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "examples/image_classifier/dataset.h"
#include "examples/image_classifier/remote_moe.h"

namespace switchyard::image_classifier {

// The network of DeepSpeed's CIFAR-10 example: two convolutions with pooling,
// two linear layers, then a MoE layer of linear experts or, in its dense twin,
// one linear layer, and the head. Thread-compatible.
class ClassifierImpl : public torch::nn::Module {
 public:
  struct Output {
    // [images, kNumClasses].
    torch::Tensor logits;
    // Not defined in the dense twin.
    torch::Tensor aux_loss;
  };

  // The dense twin where `moe` is empty. Parameters come from torch's global
  // generator, those of trunk and head first, so that twins made after the same
  // seed share them.
  ClassifierImpl(const ImageShape& images, RemoteMoe moe);

  // images: float32 [images, channels, height, width].
  Output forward(const torch::Tensor& images);

  bool has_moe() const { return !moe_.is_empty(); }
  RemoteMoe moe() const { return moe_; }

 private:
  torch::nn::Conv2d conv1_;
  torch::nn::Conv2d conv2_;
  torch::nn::Linear fc1_;
  torch::nn::Linear fc2_;
  torch::nn::Linear head_;
  // One of the two is empty.
  torch::nn::Linear dense_ = nullptr;
  RemoteMoe moe_ = nullptr;
};
TORCH_MODULE(Classifier);

}  // namespace switchyard::image_classifier

#endif  // SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_NETWORK_H_
