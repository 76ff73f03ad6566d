#include <gtest/gtest.h>

#include <memory>

#include "services/remote_expert_group.h"
#include "services/worker_server.h"
#include "tests/conformance/expert_group_conformance.h"

namespace switchyard::testing {
namespace {

class RemoteUnderTest final : public GroupUnderTest {
 public:
  RemoteUnderTest() {
    WorkerServerOptions options;
    options.metrics_address.clear();
    options.worker.worker_id = "w0";
    options.worker.max_kept_activation_bytes = kConformanceKeptBytes;
    auto server = WorkerServer::Start(std::move(options));
    if (!server.ok()) {
      ADD_FAILURE() << server.status();
      return;
    }
    server_ = *std::move(server);
    group_ = std::make_unique<RemoteExpertGroup>("w0", server_->address(),
                                                 /*max_message_bytes=*/1 << 26);
  }
  ExpertGroup& group() override { return *group_; }

 private:
  std::unique_ptr<WorkerServer> server_;
  std::unique_ptr<RemoteExpertGroup> group_;
};

std::unique_ptr<GroupUnderTest> MakeRemote() {
  return std::make_unique<RemoteUnderTest>();
}

INSTANTIATE_TEST_SUITE_P(Remote, ExpertGroupConformanceTest,
                         ::testing::Values(&MakeRemote));

}  // namespace
}  // namespace switchyard::testing
