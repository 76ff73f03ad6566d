#ifndef SWITCHYARD_EXPERT_WORKER_TESTING_REFERENCE_WORKER_H_
#define SWITCHYARD_EXPERT_WORKER_TESTING_REFERENCE_WORKER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/api/expert_calls.h"
#include "common/model/layer_spec.h"
#include "expert_worker/testing/reference_expert.h"

namespace switchyard::testing {

// What a worker that hosts all experts of a layer answers, in float64, one
// route after the other. Gradients are central differences.
class ReferenceWorker {
 public:
  // Initial parameters, rounded to their dtypes.
  explicit ReferenceWorker(const LayerSpec& spec);

  // [tokens, hidden_size], flattened.
  Doubles Forward(const ExpertForwardRequest& request) const;
  // [routes, hidden_size], flattened: the experts' outputs, unweighted.
  Doubles RouteOutputs(const ExpertForwardRequest& request) const;

  // d <grad_y, Forward(request)> / d x, flattened.
  Doubles GradX(const ExpertForwardRequest& request, const Doubles& grad_y);
  // The same with respect to route_weights: [routes].
  Doubles GradWeights(const ExpertForwardRequest& request,
                      const Doubles& grad_y);
  // The same for one parameter of an expert.
  Doubles GradParameter(const ExpertForwardRequest& request,
                        const Doubles& grad_y, int32_t expert_id,
                        int32_t parameter_idx);

  // [hosted experts][parameter], flattened.
  std::vector<std::vector<Doubles>>& parameters() { return parameters_; }

 private:
  Doubles Output(const ExpertForwardRequest& request, size_t route) const;
  double Weight(const ExpertForwardRequest& request, size_t route) const;
  double Loss(const ExpertForwardRequest& request, const Doubles& grad_y) const;
  Doubles Differentiate(Doubles& variables, const ExpertForwardRequest& request,
                        const Doubles& grad_y);

  const LayerSpec spec_;
  std::vector<std::vector<Doubles>> parameters_;
  // Take the place of the request's where they are differentiated.
  Doubles x_;
  Doubles weights_;
};

}  // namespace switchyard::testing

#endif  // SWITCHYARD_EXPERT_WORKER_TESTING_REFERENCE_WORKER_H_
