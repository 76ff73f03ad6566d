// Reads NumPy's .npz archives, for tests. Stored members only (numpy.savez, not
// savez_compressed), of .npy version 1.0 to 3.0, C order, little endian.
#ifndef SWITCHYARD_COMMON_TESTING_NPZ_H_
#define SWITCHYARD_COMMON_TESTING_NPZ_H_

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/tensor/tensor.h"

namespace switchyard::testing {

struct NpyArray {
  // Empty: a scalar.
  Shape shape;
  // dtypes <f4, <i8, <i4, |u1 (and |b1, as bytes).
  std::variant<std::vector<float>, std::vector<int64_t>, std::vector<int32_t>,
               std::vector<uint8_t>>
      values;

  int64_t num_elements() const;
  // The values, which must be float32: INVALID_ARGUMENT otherwise.
  absl::StatusOr<Tensor> ToTensor() const;
  // The values, which must be integers: INVALID_ARGUMENT otherwise.
  absl::StatusOr<std::vector<int64_t>> ToIntegers() const;
};

// By name, without ".npy".
using NpzArrays = std::map<std::string, NpyArray>;

// NOT_FOUND if there is no such file, INVALID_ARGUMENT if it is not as above;
// both name the path and what is wrong.
absl::StatusOr<NpzArrays> ReadNpz(const std::string& path);

// The same from the file's bytes; `name` is for messages.
absl::StatusOr<NpzArrays> ParseNpz(absl::string_view bytes,
                                   absl::string_view name);

}  // namespace switchyard::testing

#endif  // SWITCHYARD_COMMON_TESTING_NPZ_H_
