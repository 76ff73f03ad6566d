#ifndef SWITCHYARD_TESTS_FUZZ_MUTATED_MESSAGE_H_
#define SWITCHYARD_TESTS_FUZZ_MUTATED_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace switchyard::testing {

// The bytes of a message as a client might send it. If the first byte of the
// fuzzer's input is odd, the rest is the message; if it is even, the rest is
// edits (position, value) to a valid one, which reach deeper.
template <typename Message>
std::string Mutated(const uint8_t* data, size_t size, const Message& valid) {
  if (size == 0) return "";
  if (data[0] % 2 == 1) return std::string(data + 1, data + size);
  std::string bytes = valid.SerializeAsString();
  for (size_t i = 1; i + 1 < size; i += 2) {
    if (!bytes.empty()) {
      bytes[data[i] % bytes.size()] = static_cast<char>(data[i + 1]);
    }
  }
  return bytes;
}

// False: not a message at all.
template <typename Message>
bool ParseMutated(const uint8_t* data, size_t size, const Message& valid,
                  Message& message) {
  return size > 0 && message.ParseFromString(Mutated(data, size, valid));
}

}  // namespace switchyard::testing

#endif  // SWITCHYARD_TESTS_FUZZ_MUTATED_MESSAGE_H_
