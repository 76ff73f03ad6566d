// Shared memory between processes, any of which may be killed (SIGKILL) at
// work: the others go on, and nothing of it stays behind.
#include <dirent.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/process/socket_folder.h"
#include "client/gateway_client.h"
#include "common/base/status_testing.h"
#include "tests/integration/program.h"
#include "tests/testing/parameters_testing.h"

namespace switchyard::testing {
namespace {

constexpr char kRegionName[] = "/memfd:switchyard";
constexpr char kGatewayVariable[] = "TEST_GATEWAY_ADDRESS";
constexpr int64_t kHidden = 512;

LayerSpec Spec() {
  LayerSpec spec;
  spec.name = "moe";
  spec.hidden_size = kHidden;
  spec.num_experts = 2;
  spec.expert = IdentityExpertSpec{};
  spec.capacity.drop_tokens = false;
  return spec;
}

ForwardRequest Request() {
  ForwardRequest request;
  request.layer = "moe";
  request.x = RandomTensor({256, kHidden}, 1);
  return request;
}

// Regions that a process has mapped.
int NumRegions(pid_t pid) {
  std::ifstream maps(absl::StrCat("/proc/", pid, "/maps"));
  int count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += absl::StrContains(line, kRegionName);
  }
  return count;
}

// Empty: it is no link.
std::string LinkTarget(const std::string& path) {
  std::array<char, 4096> target = {};
  const ssize_t length = readlink(path.c_str(), target.data(), target.size());
  return length < 0 ? ""
                    : std::string(target.data(), static_cast<size_t>(length));
}

// Regions that it could still let others open.
int NumRegionFds(pid_t pid) {
  const std::string folder = absl::StrCat("/proc/", pid, "/fd");
  DIR* const entries = opendir(folder.c_str());
  if (entries == nullptr) return -1;
  int count = 0;
  while (const dirent* entry = readdir(entries)) {
    count += absl::StrContains(
        LinkTarget(absl::StrCat(folder, "/", entry->d_name)), kRegionName);
  }
  closedir(entries);
  return count;
}

class SharedMemoryTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    ASSERT_OK_AND_ASSIGN(sockets_, SocketFolder::Create());
    StartGateway();
    StartWorker();
    client_ = std::make_unique<GatewayClient>(sockets_->AddressOf("g"));
    ASSERT_NO_FATAL_FAILURE(MakeLayer());
  }

  void StartGateway() {
    std::string line;
    auto gateway =
        StartReady({GatewayBinary(), "--listen", sockets_->AddressOf("g"),
                    "--metrics-listen", "none", "--lease-duration-ms", "2000"},
                   line);
    ASSERT_OK(gateway);
    gateway_ = std::make_unique<ChildProcess>(*std::move(gateway));
  }

  void StartWorker() {
    std::string line;
    auto worker =
        StartReady({WorkerBinary(), "--listen", sockets_->AddressOf("w"),
                    "--gateway", sockets_->AddressOf("g"), "--metrics-listen",
                    "none", "--worker-id", "w", "--num-compute-threads", "1"},
                   line);
    ASSERT_OK(worker);
    worker_ = std::make_unique<ChildProcess>(*std::move(worker));
  }

  // Makes it as soon as there is a worker, and lets both hops share memory.
  void MakeLayer() {
    ASSERT_TRUE(Eventually([&] { return client_->CreateLayer(Spec()).ok(); }));
    ASSERT_TRUE(Eventually([&] {
      return client_->Forward(Request()).ok() && NumRegions(worker_->pid()) > 0;
    }));
    ASSERT_TRUE(Eventually([&] { return client_->AwaitSharedMemory().ok(); }));
  }

  void Kill(ChildProcess& process) {
    process.Signal(SIGKILL);
    EXPECT_EQ(WaitForCode(process), 128 + SIGKILL);
  }

  // Calls from several threads until the end of the scope.
  class Load {
   public:
    explicit Load(GatewayClient& client) {
      for (int i = 0; i < 4; ++i) {
        threads_.emplace_back([this, &client] {
          const ForwardRequest request = Request();
          while (!stop_) num_answers_ += client.Forward(request).ok() ? 1 : 0;
        });
      }
    }
    ~Load() {
      stop_ = true;
      for (std::thread& thread : threads_) thread.join();
    }
    int64_t num_answers() const { return num_answers_; }

   private:
    std::atomic<bool> stop_ = false;
    std::atomic<int64_t> num_answers_ = 0;
    std::vector<std::thread> threads_;
  };

  std::unique_ptr<SocketFolder> sockets_;
  std::unique_ptr<ChildProcess> gateway_;
  std::unique_ptr<ChildProcess> worker_;
  std::unique_ptr<GatewayClient> client_;
};

TEST_F(SharedMemoryTest, EachRegionIsMappedByItsTwoProcessesAndHasNoNameLeft) {
  EXPECT_EQ(NumRegions(getpid()), 1);
  EXPECT_TRUE(Eventually([&] { return NumRegions(gateway_->pid()) == 2; }));
  EXPECT_TRUE(Eventually([&] { return NumRegions(worker_->pid()) == 1; }));
  for (const pid_t pid : {getpid(), gateway_->pid(), worker_->pid()}) {
    EXPECT_TRUE(Eventually([&] { return NumRegionFds(pid) == 0; }));
  }
  client_.reset();
  EXPECT_EQ(NumRegions(getpid()), 0);
  EXPECT_TRUE(Eventually([&] { return NumRegions(gateway_->pid()) == 1; }));
}

TEST_F(SharedMemoryTest, TensorsOfTheClientStayWhereTheyAre) {
  const ForwardRequest plain = Request();
  ASSERT_OK_AND_ASSIGN(const ForwardResult want, client_->Forward(plain));
  ForwardRequest request = Request();
  request.x = client_->AllocateTensor(plain.x.shape());
  std::copy_n(plain.x.data(), plain.x.num_elements(), request.x.data());
  const int64_t before = client_->shared_memory_use().num_shared_calls;
  absl::StatusOr<ForwardResult> got = client_->Forward(request);
  ASSERT_OK(got);
  EXPECT_EQ(got->y.values(), want.y.values());
  EXPECT_EQ(client_->shared_memory_use().num_shared_calls, before + 1);
  // The answer outlives what it came through.
  client_.reset();
  Kill(*gateway_);
  EXPECT_EQ(got->y.values(), want.y.values());
  EXPECT_EQ(NumRegions(getpid()), 1);
  request.x = Tensor();
  got = absl::UnknownError("gone");
}

TEST_F(SharedMemoryTest, AClientThatIsKilledAtWorkLeavesNothing) {
  std::string line;
  ASSERT_OK_AND_ASSIGN(
      ChildProcess other,
      StartReady(
          {LinkTarget("/proc/self/exe"), "--gtest_also_run_disabled_tests",
           "--gtest_filter=*DISABLED_CallsUntilItIsKilled"},
          line,
          {absl::StrCat(kGatewayVariable, "=", sockets_->AddressOf("g"))}));
  ASSERT_TRUE(Eventually([&] { return NumRegions(gateway_->pid()) == 3; }));
  Kill(other);
  EXPECT_TRUE(Eventually([&] { return NumRegions(gateway_->pid()) == 2; }));
  EXPECT_OK(client_->Forward(Request()));
  EXPECT_TRUE(Eventually([&] { return NumRegionFds(gateway_->pid()) == 0; }));
}

// The client of the test above, in a process of its own.
TEST(SharedMemoryLoad, DISABLED_CallsUntilItIsKilled) {
  const char* const address = std::getenv(kGatewayVariable);
  ASSERT_NE(address, nullptr);
  GatewayClient client(address);
  while (client.Forward(Request()).ok()) continue;
}

TEST_F(SharedMemoryTest, AGatewayThatIsKilledAtWorkLeavesNothing) {
  const Load load(*client_);
  ASSERT_TRUE(Eventually([&] { return load.num_answers() > 20; }));
  Kill(*gateway_);
  EXPECT_TRUE(Eventually([&] { return NumRegions(worker_->pid()) == 0; }));
  EXPECT_TRUE(Eventually([&] { return NumRegionFds(worker_->pid()) == 0; }));

  ASSERT_NO_FATAL_FAILURE(StartGateway());
  ASSERT_NO_FATAL_FAILURE(MakeLayer());
  const int64_t before = client_->shared_memory_use().num_shared_calls;
  EXPECT_TRUE(Eventually([&] {
    return client_->shared_memory_use().num_shared_calls > before + 20;
  }));
  EXPECT_TRUE(Eventually([&] { return NumRegions(gateway_->pid()) == 2; }));
  EXPECT_TRUE(Eventually([&] { return NumRegions(worker_->pid()) == 1; }));
  EXPECT_TRUE(Eventually([&] { return NumRegionFds(getpid()) == 0; }));
}

TEST_F(SharedMemoryTest, AWorkerThatIsKilledAtWorkLeavesNothing) {
  {
    const Load load(*client_);
    ASSERT_TRUE(Eventually([&] { return load.num_answers() > 20; }));
    Kill(*worker_);
    EXPECT_TRUE(Eventually([&] { return !client_->Forward(Request()).ok(); }));
  }
  ASSERT_OK(client_->DeleteLayer("moe"));
  EXPECT_TRUE(Eventually([&] { return NumRegions(gateway_->pid()) == 1; }));

  ASSERT_NO_FATAL_FAILURE(StartWorker());
  ASSERT_NO_FATAL_FAILURE(MakeLayer());
  EXPECT_TRUE(Eventually([&] { return NumRegions(gateway_->pid()) == 2; }));
  EXPECT_TRUE(Eventually([&] { return NumRegionFds(gateway_->pid()) == 0; }));
}

}  // namespace
}  // namespace switchyard::testing
