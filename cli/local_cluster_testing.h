// A cluster whose processes are shell scripts, and whose registry is in the
// test.
#ifndef SWITCHYARD_CLI_LOCAL_CLUSTER_TESTING_H_
#define SWITCHYARD_CLI_LOCAL_CLUSTER_TESTING_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/local_cluster.h"
#include "cli/process/event_waiter.h"
#include "common/base/status_testing.h"
#include "switchyard/v1/registry.grpc.pb.h"

namespace switchyard::testing {

class FakeRegistry : public v1::Registry::Service {
 public:
  explicit FakeRegistry(int num_up) : num_up_(num_up) {}
  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*,
                           v1::ListWorkersResponse* response) override {
    for (int i = 0; i < num_up_; ++i) {
      v1::WorkerStatus& worker = *response->add_workers();
      worker.set_worker_id(absl::StrCat("w", i));
      worker.set_state(v1::WORKER_STATE_UP);
    }
    return grpc::Status::OK;
  }

 private:
  const int num_up_;
};

class LocalClusterTestBase : public ::testing::Test {
 protected:
  void SetUp() override {
    // Before the server: its threads inherit the signal mask.
    ASSERT_OK_AND_ASSIGN(events_, EventWaiter::Create());
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(&registry_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    options_.num_workers = 2;
    options_.shutdown_grace = absl::ZeroDuration();
    options_.gateway_binary = WriteScript("gateway", Serve());
    options_.worker_binary = WriteScript("worker", Serve());
  }
  void TearDown() override {
    for (const std::string& path : scripts_) std::remove(path.c_str());
  }

  // Prints its line and runs until it is told to stop. `exec` lets the one
  // process there is take the signal.
  std::string Serve() const {
    return absl::StrCat("echo \"fake listening grpc=127.0.0.1:", port_,
                        " metrics=127.0.0.1:9\"\nexec sleep 60\n");
  }
  std::string WriteScript(const std::string& name, const std::string& body) {
    const std::string path =
        absl::StrCat(::testing::TempDir(), "/switchyard_", getpid(), "_", name);
    std::ofstream(path) << "#!/bin/sh\n" << body;
    chmod(path.c_str(), 0700);
    scripts_.push_back(path);
    return path;
  }

  std::unique_ptr<EventWaiter> events_;
  FakeRegistry registry_{2};
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::string> scripts_;
  LocalClusterOptions options_;
};

}  // namespace switchyard::testing

#endif  // SWITCHYARD_CLI_LOCAL_CLUSTER_TESTING_H_
