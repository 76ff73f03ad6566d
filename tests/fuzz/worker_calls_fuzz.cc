// Whatever bytes reach a worker: decoded as its calls and carried out on a
// small layer. Nothing may crash or hang.
#include <prometheus/registry.h>

#include <cstdlib>

#include "expert_worker/worker.h"
#include "services/wire/expert_codec.h"
#include "tests/fuzz/mutated_message.h"

namespace switchyard {
namespace {

Worker& SmallWorker() {
  static Worker* const worker = [] {
    WorkerOptions options;
    options.worker_id = "w0";
    options.max_parameter_bytes = 1 << 20;
    options.max_kept_activation_bytes = 1 << 20;
    static auto* const metrics = new prometheus::Registry;
    return new Worker(options, Clock::Real(), *metrics);
  }();
  return *worker;
}

LayerSpec SmallSpec() {
  LayerSpec spec;
  spec.name = "moe";
  spec.hidden_size = 4;
  spec.num_experts = 3;
  spec.expert = MlpExpertSpec{.ffn_size = 5};
  return spec;
}

void SetTensor(v1::Tensor& tensor) {
  tensor.set_dtype(v1::DTYPE_FLOAT32);
  tensor.add_shape(2);
  tensor.add_shape(4);
  for (int i = 0; i < 8; ++i) tensor.add_float_values(0.5f);
}

void Load(const uint8_t* data, size_t size) {
  LayerSpec spec = SmallSpec();
  spec.name = "other";
  v1::LoadExpertsRequest message;
  if (!testing::ParseMutated(
          data, size,
          wire::Encode(LoadExpertsRequest{.spec = spec, .expert_ids = {0, 2}}),
          message)) {
    return;
  }
  const auto request = wire::Decode(message);
  if (!request.ok() || request->spec.name == "moe") return;
  if (SmallWorker().LoadExperts(*request).ok()) {
    static_cast<void>(SmallWorker().UnloadExperts(request->spec.name));
  }
}

void Forward(const uint8_t* data, size_t size) {
  v1::ExpertForwardRequest valid;
  valid.set_layer("moe");
  valid.mutable_keep();
  for (const int token : {0, 0, 1}) {
    valid.add_route_tokens(token);
    valid.add_route_experts(token * 2);
    valid.add_route_weights(0.5f);
  }
  SetTensor(*valid.mutable_x());
  v1::ExpertForwardRequest message;
  if (!testing::ParseMutated(data, size, valid, message)) return;
  const auto request = wire::Decode(message);
  if (request.ok()) static_cast<void>(SmallWorker().Forward(*request));
}

void Backward(const uint8_t* data, size_t size) {
  v1::ExpertBackwardRequest valid;
  valid.set_layer("moe");
  valid.mutable_key();
  SetTensor(*valid.mutable_grad_y());
  v1::ExpertBackwardRequest message;
  if (!testing::ParseMutated(data, size, valid, message)) return;
  const auto request = wire::Decode(message);
  if (request.ok()) static_cast<void>(SmallWorker().Backward(*request));
}

void ReadWrite(const uint8_t* data, size_t size) {
  v1::ReadExpertsRequest valid_read;
  valid_read.set_layer("moe");
  v1::ParameterRange* range = valid_read.add_ranges();
  range->set_name("experts.0.fc1.bias");
  range->set_num_elements(5);
  v1::ReadExpertsRequest read;
  if (testing::ParseMutated(data, size, valid_read, read)) {
    const auto request = wire::Decode(read);
    if (request.ok()) static_cast<void>(SmallWorker().ReadExperts(*request));
  }
  v1::WriteExpertsRequest valid_write;
  valid_write.set_layer("moe");
  v1::ParameterSlice* slice = valid_write.add_slices();
  slice->set_name("experts.0.fc1.bias");
  slice->add_shape(5);
  slice->mutable_values()->set_dtype(v1::DTYPE_FLOAT32);
  slice->mutable_values()->add_shape(1);
  slice->mutable_values()->add_float_values(1);
  v1::WriteExpertsRequest write;
  if (!testing::ParseMutated(data, size, valid_write, write)) return;
  const auto request = wire::Decode(write);
  if (request.ok()) static_cast<void>(SmallWorker().WriteExperts(*request));
}

void Step(const uint8_t* data, size_t size) {
  v1::PrepareStepRequest valid;
  valid.set_layer("moe");
  v1::PrepareStepRequest message;
  if (!testing::ParseMutated(data, size, valid, message)) return;
  const StepKey key = {message.layer(), message.generation(), message.step()};
  static_cast<void>(SmallWorker().PrepareStep(key));
  static_cast<void>(SmallWorker().CommitStep(key, 0.1f));
  static_cast<void>(SmallWorker().AbortStep(key));
}

void EnsureLayer() {
  const LoadExpertsRequest request = {.spec = SmallSpec(),
                                      .expert_ids = {0, 1, 2}};
  const absl::Status loaded = SmallWorker().LoadExperts(request);
  if (!loaded.ok() && !absl::IsAlreadyExists(loaded)) std::abort();
}

}  // namespace
}  // namespace switchyard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  switchyard::EnsureLayer();
  static constexpr void (*kCalls[])(const uint8_t*, size_t) = {
      &switchyard::Load, &switchyard::Forward, &switchyard::Backward,
      &switchyard::ReadWrite, &switchyard::Step};
  kCalls[data[0] % 5](data + 1, size - 1);
  return 0;
}
