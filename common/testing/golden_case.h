// The golden cases: inputs and the answers another implementation gave. Format
// and origin: tests/golden/README.md.
#ifndef SWITCHYARD_COMMON_TESTING_GOLDEN_CASE_H_
#define SWITCHYARD_COMMON_TESTING_GOLDEN_CASE_H_

#include <cstdint>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/tensor/tensor.h"
#include "common/testing/npz.h"

namespace switchyard::testing {

struct GoldenCase {
  // "g01_top1_basic".
  std::string name;
  // "gating", "gating_invariants", "layer" or "train".
  std::string kind;
  // The case's entry in index.json; entry["params"] and
  // entry["alpha"] are in all of them.
  nlohmann::json entry;
  std::string path;

  const nlohmann::json& params() const { return entry["params"]; }
};

// So that a failing parameterized test prints the case's name.
void PrintTo(const GoldenCase& golden_case, std::ostream* os);

// The directory of index.json: $SWITCHYARD_GOLDEN_DIR, or else tests/golden of
// the source tree.
std::string GoldenDirectory();

// The cases of one kind, in the index's order. NOT_FOUND without an index,
// INVALID_ARGUMENT if it is not as described.
absl::StatusOr<std::vector<GoldenCase>> ListGoldenCases(absl::string_view kind);

// The same for instantiating tests: empty on an error, which a test of its own
// must therefore look for.
std::vector<GoldenCase> GoldenCasesOrNone(absl::string_view kind);

// The arrays of one case, by name. A missing array, or one of another dtype, is
// an error of the case that aborts the test: tests ask with Has first where an
// array is optional.
class GoldenArrays {
 public:
  static absl::StatusOr<GoldenArrays> Read(const GoldenCase& golden_case);

  bool Has(const std::string& name) const { return arrays_.count(name) > 0; }
  const NpyArray& Get(const std::string& name) const;
  Tensor Floats(const std::string& name) const;
  std::vector<int64_t> Integers(const std::string& name) const;
  // Of arrays with one element.
  float Float(const std::string& name) const;
  int64_t Integer(const std::string& name) const;
  // Empty if there is no such array.
  Tensor FloatsOrEmpty(const std::string& name) const;

 private:
  explicit GoldenArrays(NpzArrays arrays) : arrays_(std::move(arrays)) {}

  NpzArrays arrays_;
};

}  // namespace switchyard::testing

#endif  // SWITCHYARD_COMMON_TESTING_GOLDEN_CASE_H_
