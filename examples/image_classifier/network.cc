#include "examples/image_classifier/network.h"

#include <utility>

#include "examples/image_classifier/trainer.h"

namespace switchyard::image_classifier {
namespace {

constexpr int64_t kKernelSize = 5;
constexpr int64_t kPoolSize = 2;
constexpr int64_t kConv1Channels = 6;
constexpr int64_t kConv2Channels = 16;
constexpr int64_t kFc1Size = 120;

// What two rounds of convolution and pooling leave of an extent.
int64_t PooledExtent(int64_t extent) {
  for (int i = 0; i < 2; ++i) extent = (extent - kKernelSize + 1) / kPoolSize;
  return extent;
}

int64_t FlattenedSize(const ImageShape& images) {
  return kConv2Channels * PooledExtent(images.height) *
         PooledExtent(images.width);
}

torch::Tensor ConvolveAndPool(torch::nn::Conv2d& convolution,
                              const torch::Tensor& x) {
  return torch::max_pool2d(torch::relu(convolution->forward(x)), kPoolSize);
}

// A linear layer, computed as the convolution of images of one pixel. Debian's
// torch runs convolutions in oneDNN, but multiplies matrices with whatever BLAS
// is installed: with the reference BLAS this halves the time of a batch.
torch::Tensor ApplyLinear(const torch::nn::Linear& linear,
                          const torch::Tensor& x) {
  const int64_t num_outputs = linear->weight.size(0);
  const int64_t num_inputs = linear->weight.size(1);
  const int64_t num_rows = x.size(0);
  return torch::conv2d(x.view({num_rows, num_inputs, 1, 1}),
                       linear->weight.view({num_outputs, num_inputs, 1, 1}),
                       linear->bias)
      .view({num_rows, num_outputs});
}

}  // namespace

ClassifierImpl::ClassifierImpl(const ImageShape& images, RemoteMoe moe)
    : conv1_(torch::nn::Conv2dOptions(images.num_channels, kConv1Channels,
                                      kKernelSize)),
      conv2_(torch::nn::Conv2dOptions(kConv1Channels, kConv2Channels,
                                      kKernelSize)),
      fc1_(FlattenedSize(images), kFc1Size),
      fc2_(kFc1Size, kHiddenSize),
      head_(kHiddenSize, kNumClasses),
      moe_(std::move(moe)) {
  register_module("conv1", conv1_);
  register_module("conv2", conv2_);
  register_module("fc1", fc1_);
  register_module("fc2", fc2_);
  register_module("head", head_);
  if (has_moe()) {
    register_module("moe", moe_);
  } else {
    dense_ =
        register_module("dense", torch::nn::Linear(kHiddenSize, kHiddenSize));
  }
}

ClassifierImpl::Output ClassifierImpl::forward(const torch::Tensor& images) {
  torch::Tensor x = ConvolveAndPool(conv1_, images);
  x = ConvolveAndPool(conv2_, x).flatten(/*start_dim=*/1);
  x = torch::relu(ApplyLinear(fc1_, x));
  x = torch::relu(ApplyLinear(fc2_, x));
  if (!has_moe()) return {ApplyLinear(head_, ApplyLinear(dense_, x)), {}};
  const RemoteMoeImpl::Output moe = moe_->forward(x);
  return {ApplyLinear(head_, moe.y), moe.aux_loss};
}

}  // namespace switchyard::image_classifier
