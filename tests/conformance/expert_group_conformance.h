// What every ExpertGroup must do. An implementation instantiates the suite with
// a factory:
//
//   INSTANTIATE_TEST_SUITE_P(Mine, ExpertGroupConformanceTest,
//                            ::testing::Values(&MakeMine));
#ifndef SWITCHYARD_TESTS_CONFORMANCE_EXPERT_GROUP_CONFORMANCE_H_
#define SWITCHYARD_TESTS_CONFORMANCE_EXPERT_GROUP_CONFORMANCE_H_

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/expert_group.h"

namespace switchyard::testing {

// A group over one fresh worker, with whatever it needs to live. The worker
// keeps at most kConformanceKeptBytes for backward passes.
class GroupUnderTest {
 public:
  virtual ~GroupUnderTest() = default;
  virtual ExpertGroup& group() = 0;
};
inline constexpr int64_t kConformanceKeptBytes = 1 << 20;
using MakeGroup = std::unique_ptr<GroupUnderTest> (*)();

class ExpertGroupConformanceTest : public ::testing::TestWithParam<MakeGroup> {
 protected:
  ExpertGroupConformanceTest() : under_test_(GetParam()()) {}

  ExpertGroup& group() { return under_test_->group(); }

  // Blocking forms of the calls.
  absl::Status Load(std::vector<int32_t> expert_ids);
  absl::StatusOr<ExpertForwardResult> Forward(ExpertForwardRequest request);
  absl::StatusOr<ExpertBackwardResult> Backward(MicrobatchKey key,
                                                uint64_t generation = 1);
  absl::StatusOr<PrepareStepResult> Prepare(uint64_t step,
                                            uint64_t generation = 1);
  absl::Status Commit(uint64_t step, uint64_t generation = 1);
  absl::Status Abort(uint64_t step, uint64_t generation = 1);
  absl::StatusOr<std::vector<float>> ReadWhole(
      const std::string& name, ParameterKind kind = ParameterKind::kValue);

  // Three tokens, routes to experts 0 and 2.
  static ExpertForwardRequest ThreeTokens();

 private:
  std::unique_ptr<GroupUnderTest> under_test_;
};

}  // namespace switchyard::testing

#endif  // SWITCHYARD_TESTS_CONFORMANCE_EXPERT_GROUP_CONFORMANCE_H_
