#ifndef SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_REMOTE_LAYER_H_
#define SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_REMOTE_LAYER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/gateway_client.h"
#include "examples/image_classifier/report.h"

namespace switchyard::image_classifier {

// A layer behind a gateway for as long as this object lives, with a record of
// what it did in training. Errors are the gateway's; they name the call and the
// layer. Thread-compatible.
class RemoteLayer {
 public:
  // If the spec's name is taken, another run's layer has it: `spare_suffix` is
  // then appended. (Not always: the layer's noise depends on its name, and runs
  // are to be repeatable.) `client` must outlive the layer.
  static absl::StatusOr<std::unique_ptr<RemoteLayer>> Create(
      GatewayClient& client, LayerSpec spec, const std::string& spare_suffix);
  // Deletes the layer if Delete did not. A failure then goes unheard: there is
  // an earlier one to tell about.
  ~RemoteLayer();
  RemoteLayer(const RemoteLayer&) = delete;
  RemoteLayer& operator=(const RemoteLayer&) = delete;

  // x: [tokens, hidden_size].
  absl::StatusOr<ForwardResult> Forward(Mode mode, Tensor x);

  // Sends back the gradients of what `forward`, in train mode, returned.
  absl::StatusOr<BackwardResult> Backward(const ForwardResult& forward,
                                          Tensor grad_y, float grad_aux_loss);

  // Updates gate and experts with the gradients since the last Step.
  absl::Status Step(float learning_rate);

  // Training calls up to now.
  const MoeRecord& record() const { return record_; }

  // What the gateway knows about the layer.
  absl::StatusOr<LayerRecord> Describe() const;

  // Once, and nothing after it.
  absl::Status Delete();

 private:
  RemoteLayer(GatewayClient& client, const std::string& name)
      : client_(client), name_(name) {}

  // `status` with the call's and the layer's name before its message.
  absl::Status Annotate(const absl::Status& status,
                        absl::string_view call) const;
  void Remember(const ForwardResult& result);

  GatewayClient& client_;
  const std::string name_;
  bool exists_ = true;
  // The open step, as the newest forward reported it.
  uint64_t step_ = 0;
  MoeRecord record_;
};

}  // namespace switchyard::image_classifier

#endif  // SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_REMOTE_LAYER_H_
