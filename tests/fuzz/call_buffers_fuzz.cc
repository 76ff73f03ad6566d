// The calls that carry tokens, read twice: by hand
// (services/wire/call_buffer.h) and by the generated code. Both must come to
// the same value or the same error, whatever the bytes and wherever the network
// has cut them.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "services/wire/call_buffer_testing.h"
#include "tests/fuzz/mutated_message.h"

namespace switchyard::wire {
namespace {

// A message with all that the hand-written reader takes in one piece.
template <typename Value>
typename Travel<Value>::Message Valid() {
  typename Travel<Value>::Message message = EncodeRest(Value());
  v1::Tensor tensor;
  tensor.set_dtype(v1::DTYPE_BFLOAT16);
  tensor.add_shape(1);
  tensor.add_shape(300);
  tensor.set_data(std::string(600, '\1'));
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  reflection
      .MutableMessage(&message, message.GetDescriptor()->FindFieldByNumber(
                                    Travel<Value>::kField))
      ->CopyFrom(tensor);
  return message;
}

template <typename Value>
void Compare(const uint8_t* data, size_t size) {
  const size_t first_bytes = data[0] % 7 + 1;
  const size_t slice_bytes = data[1] + size_t{1};
  const std::string bytes =
      switchyard::testing::Mutated(data + 2, size - 2, Valid<Value>());
  const std::string generated = testing::GeneratedOutcome<Value>(bytes);
  const std::string by_hand = testing::BufferOutcome<Value>(
      testing::InSlices(bytes, first_bytes, slice_bytes));
  if (generated == by_hand) return;
  std::fprintf(stderr, "generated code: %s\nby hand: %s\n", generated.c_str(),
               by_hand.c_str());
  std::abort();
}

}  // namespace
}  // namespace switchyard::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace sw = switchyard;
  if (size < 4) return 0;
  static constexpr void (*kCalls[])(const uint8_t*, size_t) = {
      &sw::wire::Compare<sw::ForwardRequest>,
      &sw::wire::Compare<sw::ForwardResult>,
      &sw::wire::Compare<sw::BackwardRequest>,
      &sw::wire::Compare<sw::BackwardResult>,
      &sw::wire::Compare<sw::TrainStepRequest>,
      &sw::wire::Compare<sw::TrainStepResult>,
      &sw::wire::Compare<sw::ExpertForwardRequest>,
      &sw::wire::Compare<sw::ExpertForwardResult>,
      &sw::wire::Compare<sw::ExpertBackwardRequest>,
      &sw::wire::Compare<sw::ExpertBackwardResult>};
  kCalls[data[0] % 10](data + 1, size - 1);
  return 0;
}
