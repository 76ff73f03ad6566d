#ifndef SWITCHYARD_GATEWAY_LAYER_GATE_H_
#define SWITCHYARD_GATEWAY_LAYER_GATE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "common/base/mutex.h"
#include "common/linalg/gemm.h"
#include "common/model/layer_spec.h"
#include "common/model/parameters.h"
#include "common/optimizer/optimizer.h"
#include "common/tensor/tensor.h"
#include "gateway/branch/branch_mix.h"
#include "gateway/dispatch/token_routes.h"
#include "gateway/routing/gate_draws.h"
#include "gateway/routing/router.h"
#include "gateway/training/step_routing.h"

namespace switchyard {

// What a forward tells the gate beside x.
struct GateInput {
  Mode mode = Mode::kEval;
  const GateDraws& draws;
  const std::vector<bool>& used_tokens;
  // 0: the batch is one sequence.
  int64_t tokens_per_sequence = 0;
  // Of the step's earlier microbatches.
  const StepRouting& step_routing;
};

// The parameters that the gateway owns (GateParameters in
// common/model/parameters.h) with their gradients and optimizer states, in
// float32; values are rounded to the parameter's stored dtype whenever they
// change. The maths is in gateway/routing and gateway/branch.
//
// Route, Mix and the backwards may run in parallel; Update,
// UpdateCorrectionBias and WriteValue must run alone (the layer's step lock
// sees to it).
class Gate {
 public:
  // Initial parameters from the layer's seed. `spec` must outlive the gate.
  explicit Gate(const LayerSpec& spec);

  // Most bytes that the gate of `spec` takes.
  static int64_t SizeBytes(const LayerSpec& spec);

  // x [tokens, hidden_size].
  RoutingDecision Route(ConstMatrix x, const GateInput& input) const;
  // The weights of the dense branch, where the layer has one.
  std::optional<BranchWeights> Mix(ConstMatrix x) const;

  // Add gradients of parameters, and d loss / d x through the gate to
  // grad_x [tokens, hidden_size].
  void RouteBackward(ConstMatrix x, const Tensor& jitter,
                     const RoutingDecision& decision,
                     absl::Span<const float> weight_gradients,
                     float grad_aux_loss, Tensor& grad_x)
      ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  void MixBackward(ConstMatrix x, const BranchWeights& weights,
                   const BranchWeightGradients& weight_gradients,
                   Tensor& grad_x) ABSL_LOCKS_EXCLUDED(gradient_mutex_);

  // The first parameter whose gradient is not finite.
  std::optional<std::string> NonFiniteGradient() const
      ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  double GradientSquaredNorm() const ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  // `step_number` from 1. Leaves the gradients zero.
  void Update(float learning_rate, int64_t step_number)
      ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  // DeepSeek-V3's balancing without an auxiliary loss (Wang et al., 2024, arXiv
  // 2408.15664, algorithm 1): b_i += rate * sign(mean(c) - c_i) for the routes
  // c_i that expert i got in the step.
  void UpdateCorrectionBias(absl::Span<const int64_t> expert_counts);
  void ZeroGradient() ABSL_LOCKS_EXCLUDED(gradient_mutex_);

  // Parameters by ParameterSpec::idx_in_expert. Elements
  // [offset, offset + num_elements), which must be in range.
  std::vector<float> ReadValue(int32_t idx, int64_t offset,
                               int64_t num_elements) const;
  // Zeros for a constant parameter.
  std::vector<float> ReadGradient(int32_t idx, int64_t offset,
                                  int64_t num_elements) const
      ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  void WriteValue(int32_t idx, int64_t offset, absl::Span<const float> values);

 private:
  // The values of the dense branch's mix.
  std::vector<const Tensor*> MixParameters() const;
  bool trains(size_t idx) const;

  const LayerSpec& spec_;
  const std::vector<ParameterSpec> parameters_;
  // Positions in parameters_; -1: the layer has none.
  int32_t bias_idx_ = -1;
  int32_t correction_bias_idx_ = -1;
  size_t first_mix_idx_ = 0;
  std::vector<Tensor> values_;
  // values_ of the weight, as the product wants it.
  PackedMatrix packed_weight_;
  // Empty tensors for parameters that do not train.
  std::vector<OptimizerState> optimizer_states_;
  mutable Mutex gradient_mutex_;
  std::vector<Tensor> gradients_ ABSL_GUARDED_BY(gradient_mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_GATE_H_
