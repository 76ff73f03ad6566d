#include <prometheus/registry.h>

#include "embedded/in_process_expert_group.h"
#include "tests/conformance/expert_group_conformance.h"

namespace switchyard::testing {
namespace {

class InProcessUnderTest final : public GroupUnderTest {
 public:
  InProcessUnderTest()
      : worker_({.worker_id = "w0",
                 .max_kept_activation_bytes = kConformanceKeptBytes},
                Clock::Real(), metrics_),
        group_(worker_) {}
  ExpertGroup& group() override { return group_; }

 private:
  prometheus::Registry metrics_;
  Worker worker_;
  InProcessExpertGroup group_;
};

std::unique_ptr<GroupUnderTest> MakeInProcess() {
  return std::make_unique<InProcessUnderTest>();
}

INSTANTIATE_TEST_SUITE_P(InProcess, ExpertGroupConformanceTest,
                         ::testing::Values(&MakeInProcess));

}  // namespace
}  // namespace switchyard::testing
