// Whatever bytes a client sends: decoded as every call of the gateway and
// carried out on a small layer. Nothing may crash, hang or break that layer.
#include <cstdlib>

#include "absl/time/clock.h"
#include "embedded/embedded_cluster.h"
#include "services/wire/layer_call_codec.h"
#include "services/wire/layer_codec.h"
#include "tests/fuzz/mutated_message.h"

namespace switchyard {
namespace {

absl::Time Deadline() { return absl::Now() + absl::Seconds(5); }

v1::Tensor SmallTensor() {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DTYPE_FLOAT32);
  tensor.add_shape(2);
  tensor.add_shape(4);
  for (int i = 0; i < 8; ++i) {
    tensor.add_float_values(0.25f * static_cast<float>(i));
  }
  return tensor;
}

v1::LayerSpec SmallSpec() {
  v1::LayerSpec spec;
  spec.set_name("moe");
  spec.set_hidden_size(4);
  spec.set_num_experts(3);
  spec.mutable_expert()->mutable_mlp()->set_ffn_size(5);
  spec.mutable_gate()->set_k(2);
  return spec;
}

EmbeddedCluster& Cluster() {
  static EmbeddedCluster* const cluster = [] {
    EmbeddedClusterOptions options;
    options.num_workers = 2;
    // So that no fuzzed layer takes the machine's memory.
    options.worker.max_parameter_bytes = 1 << 20;
    options.gateway.layer_limits.max_gate_bytes = 1 << 20;
    options.gateway.max_layers = 4;
    return new EmbeddedCluster(options);
  }();
  return *cluster;
}

// Makes the layer anew where an input deleted it.
void EnsureLayer() {
  Gateway& gateway = Cluster().gateway();
  if (gateway.GetLayer("moe").ok()) return;
  const auto spec = wire::Decode(SmallSpec());
  if (!spec.ok() || !gateway.CreateLayer(*spec, Deadline()).ok()) std::abort();
}

void CreateLayer(const uint8_t* data, size_t size) {
  v1::LayerSpec message;
  v1::LayerSpec valid = SmallSpec();
  valid.set_name("other");
  if (!testing::ParseMutated(data, size, valid, message)) return;
  const auto spec = wire::Decode(message);
  if (!spec.ok() || spec->name == "moe") return;
  const auto layer = Cluster().gateway().CreateLayer(*spec, Deadline());
  if (!layer.ok()) return;
  if (!Cluster().gateway().DeleteLayer(spec->name, Deadline()).ok()) {
    std::abort();
  }
}

void Forward(const uint8_t* data, size_t size) {
  v1::ForwardRequest valid;
  valid.set_layer("moe");
  valid.set_mode(v1::MODE_TRAIN);
  *valid.mutable_x() = SmallTensor();
  v1::ForwardRequest message;
  if (!testing::ParseMutated(data, size, valid, message)) return;
  const auto request = wire::Decode(message);
  if (!request.ok()) return;
  const auto result = Cluster().gateway().Forward(*request, Deadline());
  if (result.ok()) wire::Encode(*result, message.x().dtype());
}

void Backward(const uint8_t* data, size_t size) {
  v1::BackwardRequest valid;
  valid.set_layer("moe");
  *valid.mutable_grad_y() = SmallTensor();
  v1::BackwardRequest message;
  if (!testing::ParseMutated(data, size, valid, message)) return;
  const auto request = wire::Decode(message);
  if (request.ok()) {
    static_cast<void>(Cluster().gateway().Backward(*request, Deadline()));
  }
}

void Step(const uint8_t* data, size_t size) {
  v1::StepRequest valid;
  valid.set_layer("moe");
  valid.set_learning_rate(0.1f);
  v1::StepRequest message;
  if (!testing::ParseMutated(data, size, valid, message)) return;
  static_cast<void>(
      Cluster().gateway().Step(wire::Decode(message), Deadline()));
}

void TrainStep(const uint8_t* data, size_t size) {
  v1::TrainStepRequest valid;
  valid.set_layer("moe");
  valid.set_learning_rate(0.1f);
  *valid.mutable_x() = SmallTensor();
  valid.mutable_cross_entropy()->add_labels(0);
  valid.mutable_cross_entropy()->add_labels(3);
  v1::TrainStepRequest message;
  if (!testing::ParseMutated(data, size, valid, message)) return;
  const auto request = wire::Decode(message);
  if (request.ok()) {
    static_cast<void>(Cluster().gateway().TrainStep(*request, Deadline()));
  }
}

void Parameters(const uint8_t* data, size_t size) {
  v1::ReadParametersRequest valid_read;
  valid_read.set_layer("moe");
  valid_read.set_cursor("1:2");
  v1::ReadParametersRequest read;
  if (testing::ParseMutated(data, size, valid_read, read)) {
    const auto request = wire::Decode(read);
    if (request.ok()) {
      static_cast<void>(
          Cluster().gateway().ReadParameters(*request, Deadline()));
    }
  }
  v1::WriteParametersRequest valid_write;
  valid_write.set_layer("moe");
  v1::ParameterSlice* slice = valid_write.add_slices();
  slice->set_name("experts.1.fc1.bias");
  slice->add_shape(5);
  slice->mutable_values()->set_dtype(v1::DTYPE_FLOAT32);
  slice->mutable_values()->add_shape(1);
  slice->mutable_values()->add_float_values(1);
  v1::WriteParametersRequest write;
  if (!testing::ParseMutated(data, size, valid_write, write)) return;
  const auto request = wire::Decode(write);
  if (request.ok()) {
    static_cast<void>(
        Cluster().gateway().WriteParameters(*request, Deadline()));
  }
}

}  // namespace
}  // namespace switchyard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  switchyard::EnsureLayer();
  static constexpr void (*kCalls[])(const uint8_t*, size_t) = {
      &switchyard::CreateLayer, &switchyard::Forward,
      &switchyard::Backward,    &switchyard::Step,
      &switchyard::TrainStep,   &switchyard::Parameters};
  kCalls[data[0] % 6](data + 1, size - 1);
  return 0;
}
