// One interface over the ways of reaching a gateway, so that one test can
// compare them.
#ifndef SWITCHYARD_TESTS_TESTING_LAYER_API_H_
#define SWITCHYARD_TESTS_TESTING_LAYER_API_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/api/layer_calls.h"
#include "gateway/routing/gate_draws.h"

namespace switchyard::testing {

class LayerApi {
 public:
  virtual ~LayerApi() = default;

  virtual absl::StatusOr<LayerStatus> CreateLayer(const LayerSpec& spec) = 0;
  virtual absl::StatusOr<LayerStatus> GetLayer(const std::string& name) = 0;
  virtual absl::Status DeleteLayer(const std::string& name) = 0;
  virtual absl::StatusOr<ForwardResult> Forward(
      const ForwardRequest& request) = 0;
  virtual absl::StatusOr<BackwardResult> Backward(
      const BackwardRequest& request) = 0;
  virtual absl::StatusOr<StepResult> Step(const StepRequest& request) = 0;
  virtual absl::StatusOr<TrainStepResult> TrainStep(
      const TrainStepRequest& request) = 0;
  virtual absl::StatusOr<ReadParametersResult> ReadParameters(
      const ReadParametersRequest& request) = 0;
  virtual absl::Status WriteParameters(
      const WriteParametersRequest& request) = 0;
  virtual absl::StatusOr<std::vector<LayerLoad>> GetLoad(
      const std::string& layer) = 0;
};

// A gateway and workers in this process, without a network; the workers may
// exchange tokens among themselves.
std::unique_ptr<LayerApi> MakeEmbeddedLayerApi(int num_workers,
                                               bool form_group = false);

// One layer below the gateway, whose forwards use given random numbers instead
// of its own. Only calls of that layer; CreateLayer makes it.
class DrawnLayerApi : public LayerApi {
 public:
  // For all forwards to come.
  virtual void SetDraws(GateDraws draws) = 0;
};
std::unique_ptr<DrawnLayerApi> MakeDrawnLayerApi(int num_workers);

}  // namespace switchyard::testing

#endif  // SWITCHYARD_TESTS_TESTING_LAYER_API_H_
