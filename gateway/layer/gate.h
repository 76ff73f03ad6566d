#ifndef SWITCHYARD_GATEWAY_LAYER_GATE_H_
#define SWITCHYARD_GATEWAY_LAYER_GATE_H_

#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "common/base/mutex.h"
#include "common/model/layer_spec.h"
#include "common/optimizer/optimizer.h"
#include "common/tensor/tensor.h"
#include "gateway/routing/gate_draws.h"
#include "gateway/routing/router.h"

namespace switchyard {

// The gate's parameter with its gradient and optimizer state, in float32. The
// maths is in gateway/routing.
//
// Route and Backward may run in parallel; Update and WriteWeight must run
// alone (the layer's step lock sees to it).
class Gate {
 public:
  // Initial weight from the layer's seed. `spec` must outlive the gate.
  explicit Gate(const LayerSpec& spec);

  // x [tokens, hidden_size].
  RoutingDecision Route(Mode mode, ConstMatrix x, const GateDraws& draws,
                        const std::vector<bool>& used_tokens) const;

  // Adds d loss / d weight to the gradient and d loss / d x through the gate to
  // grad_x [tokens, hidden_size].
  void Backward(ConstMatrix x, const Tensor& jitter,
                const RoutingDecision& decision,
                absl::Span<const float> route_dots, float grad_aux_loss,
                Tensor& grad_x) ABSL_LOCKS_EXCLUDED(gradient_mutex_);

  double GradientSquaredNorm() const ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  // `step_number` from 1. Leaves the gradient zero.
  void Update(float learning_rate, int64_t step_number)
      ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  void ZeroGradient() ABSL_LOCKS_EXCLUDED(gradient_mutex_);

  // Elements [offset, offset + num_elements), which must be in range.
  std::vector<float> ReadWeight(int64_t offset, int64_t num_elements) const;
  std::vector<float> ReadGradient(int64_t offset, int64_t num_elements) const
      ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  void WriteWeight(int64_t offset, absl::Span<const float> values);

 private:
  const LayerSpec& spec_;
  Tensor weight_;  // [num_experts, hidden_size]
  OptimizerState optimizer_state_;
  mutable Mutex gradient_mutex_;
  Tensor gradient_ ABSL_GUARDED_BY(gradient_mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_GATE_H_
