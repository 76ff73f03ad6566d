// The losses that TrainStep can put on a layer's output.
#ifndef SWITCHYARD_GATEWAY_ROUTING_LOSS_HEAD_H_
#define SWITCHYARD_GATEWAY_ROUTING_LOSS_HEAD_H_

#include <cstdint>

#include "absl/types/span.h"
#include "common/tensor/tensor.h"

namespace switchyard {

struct LossGradient {
  float loss = 0;
  // d loss / d y, in the shape of y.
  Tensor grad_y;
};

// Mean over the tokens of -log softmax(y)[label], for y [tokens, classes] and
// one label in [0, classes) per token. Sums are taken in float64, in order. 0
// without tokens.
LossGradient SoftmaxCrossEntropy(ConstMatrix y,
                                 absl::Span<const int32_t> labels);

// Mean over all elements of (y - target)^2; both of one shape. The sum is taken
// in float64, in order. 0 without elements.
LossGradient MeanSquaredError(ConstMatrix y, ConstMatrix target);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_LOSS_HEAD_H_
