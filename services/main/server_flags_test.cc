#include "services/main/server_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "services/main/gateway_flags.h"
#include "services/main/worker_flags.h"

namespace switchyard {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::variant<GatewayFlags, FlagExit> Gateway(
    std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "switchyard-gateway");
  return ParseGatewayFlags(static_cast<int>(arguments.size()),
                           arguments.data());
}

std::variant<WorkerFlags, FlagExit> Worker(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "switchyard-worker");
  return ParseWorkerFlags(static_cast<int>(arguments.size()), arguments.data());
}

template <typename Flags>
std::string Mistake(const std::variant<Flags, FlagExit>& parsed) {
  const auto* flag_exit = std::get_if<FlagExit>(&parsed);
  if (flag_exit == nullptr || flag_exit->code != 2) return "no mistake";
  return flag_exit->message;
}

TEST(GatewayFlagsTest, EveryOptionHasItsFlag) {
  const auto parsed = Gateway({"--listen",
                               "[::1]:7000",
                               "--metrics-listen",
                               "none",
                               "--lease-duration-ms",
                               "500",
                               "--max-layers",
                               "3",
                               "--max-message-bytes",
                               "4096",
                               "--num-request-threads",
                               "2",
                               "--max-queued-requests",
                               "1",
                               "--max-pending-request-bytes",
                               "99999",
                               "--max-gate-bytes",
                               "54321",
                               "--max-call-duration-ms",
                               "1000",
                               "--shutdown-grace-ms",
                               "0",
                               "--max-open-microbatch-bytes",
                               "12345",
                               "--microbatch-ttl-ms",
                               "777",
                               "--worker-call-timeout-ms",
                               "888",
                               "--log-level",
                               "debug",
                               "--exit-with-parent"});
  const auto* flags = std::get_if<GatewayFlags>(&parsed);
  ASSERT_NE(flags, nullptr) << Mistake(parsed);
  EXPECT_EQ(flags->server.listen_address, "[::1]:7000");
  EXPECT_EQ(flags->server.metrics_address, "");
  EXPECT_EQ(flags->server.gateway.lease_duration, absl::Milliseconds(500));
  EXPECT_EQ(flags->server.gateway.max_layers, 3);
  const MoeLayerLimits& layer = flags->server.gateway.layer_limits;
  EXPECT_EQ(layer.max_open_microbatch_bytes, 12345);
  EXPECT_EQ(layer.microbatch_ttl, absl::Milliseconds(777));
  EXPECT_EQ(layer.worker_call_timeout, absl::Milliseconds(888));
  EXPECT_EQ(flags->server.limits.max_message_bytes, 4096);
  EXPECT_EQ(flags->server.limits.num_request_threads, 2);
  EXPECT_EQ(flags->server.limits.max_queued_requests, 1);
  EXPECT_EQ(flags->server.limits.max_pending_request_bytes, 99999);
  EXPECT_EQ(flags->server.gateway.layer_limits.max_gate_bytes, 54321);
  EXPECT_EQ(flags->server.limits.max_call_duration, absl::Seconds(1));
  EXPECT_EQ(flags->process.shutdown_grace, absl::ZeroDuration());
  EXPECT_EQ(flags->process.log_level, "debug");
  EXPECT_TRUE(flags->process.exit_with_parent);
}

TEST(WorkerFlagsTest, EveryOptionHasItsFlag) {
  const auto parsed = Worker({"--gateway",
                              "unix:/tmp/g",
                              "--worker-id",
                              "w7",
                              "--advertise",
                              "host:7001",
                              "--listen",
                              "0.0.0.0:7001",
                              "--metrics-listen",
                              "127.0.0.1:9",
                              "--num-compute-threads",
                              "3",
                              "--max-kept-activation-bytes",
                              "0",
                              "--max-working-bytes",
                              "4321",
                              "--kept-activation-ttl-ms",
                              "2000",
                              "--max-parameter-bytes",
                              "17179869185"});
  const auto* flags = std::get_if<WorkerFlags>(&parsed);
  ASSERT_NE(flags, nullptr) << Mistake(parsed);
  EXPECT_EQ(flags->server.gateway_address, "unix:/tmp/g");
  EXPECT_EQ(flags->server.advertise_address, "host:7001");
  EXPECT_EQ(flags->server.listen_address, "0.0.0.0:7001");
  EXPECT_EQ(flags->server.metrics_address, "127.0.0.1:9");
  EXPECT_EQ(flags->server.worker.worker_id, "w7");
  EXPECT_EQ(flags->server.worker.num_compute_threads, 3);
  EXPECT_EQ(flags->server.worker.max_kept_activation_bytes, 0);
  EXPECT_EQ(flags->server.worker.max_working_bytes, 4321);
  EXPECT_EQ(flags->server.worker.kept_activation_ttl, absl::Seconds(2));
  EXPECT_EQ(flags->server.worker.max_parameter_bytes, 17179869185);
}

TEST(WorkerFlagsTest, HasAnIdAndThreadsOfItsOwnAccord) {
  const auto parsed = Worker({"--gateway", "g:1"});
  const auto* flags = std::get_if<WorkerFlags>(&parsed);
  ASSERT_NE(flags, nullptr) << Mistake(parsed);
  EXPECT_TRUE(CheckWorkerId(flags->server.worker.worker_id, "").ok());
  EXPECT_GE(flags->server.worker.num_compute_threads, 1);
}

TEST(WorkerFlagsTest, NeedsAGateway) {
  EXPECT_THAT(Mistake(Worker({})), HasSubstr("--gateway: not given"));
  EXPECT_THAT(
      Mistake(Worker({"--gateway", "127.0.0.1:0"})),
      AllOf(HasSubstr("--gateway: got '127.0.0.1:0'"), HasSubstr("expected")));
}

TEST(WorkerFlagsTest, AWildcardMustBeAdvertisedAsSomethingElse) {
  EXPECT_THAT(Mistake(Worker({"--gateway", "g:1", "--listen", "0.0.0.0:0"})),
              AllOf(HasSubstr("--advertise: not given"),
                    HasSubstr("--listen is 0.0.0.0:0")));
}

TEST(ServerFlagsTest, BadValuesAreNamed) {
  EXPECT_THAT(Mistake(Gateway({"--listen", "somewhere"})),
              HasSubstr("--listen: got 'somewhere', expected host:port"));
  EXPECT_THAT(Mistake(Gateway({"--metrics-listen", "unix:/tmp/m"})),
              HasSubstr("--metrics-listen: got 'unix:/tmp/m', expected "
                        "host:port or none"));
  EXPECT_THAT(Mistake(Gateway({"--lease-duration-ms", "1"})),
              HasSubstr("--lease-duration-ms: got '1', expected an integer "
                        "from 100 to 3600000"));
  EXPECT_THAT(Mistake(Gateway({"--log-level", "loud"})),
              HasSubstr("--log-level: got 'loud', expected one of debug, info, "
                        "warning, error"));
  EXPECT_THAT(Mistake(Gateway({"--max-queued-requests", "0"})),
              HasSubstr("--max-queued-requests: got '0', expected an integer "
                        "from 1 to 1000000"));
  EXPECT_THAT(Mistake(Gateway({"--max-pending-request-bytes", "0"})),
              HasSubstr("--max-pending-request-bytes: got '0'"));
  EXPECT_THAT(Mistake(Gateway({"--max-message-bytes", "4294967296"})),
              HasSubstr("expected an integer from 1024 to 2147483647"));
}

}  // namespace
}  // namespace switchyard
