#ifndef SWITCHYARD_TESTS_TESTING_REMOTE_LAYER_API_H_
#define SWITCHYARD_TESTS_TESTING_REMOTE_LAYER_API_H_

#include <memory>

#include "client/gateway_client.h"
#include "services/gateway_server.h"
#include "services/worker_server.h"
#include "tests/testing/layer_api.h"

namespace switchyard::testing {

// A gateway server and worker servers on loopback, with ports chosen by the
// system, in this process. Where the gateway is to listen on a unix socket,
// workers do so too, on "<that>-w0" and so on.
class LoopbackCluster {
 public:
  // Waits until all workers are up, and connected where they are to be of one
  // group; fails the test otherwise.
  explicit LoopbackCluster(int num_workers,
                           GatewayServerOptions gateway_options = {},
                           WorkerOptions worker_options = {},
                           GatewayClientOptions client_options = {},
                           bool form_group = false);

  GatewayServer& gateway() { return *gateway_; }
  GatewayClient& client() { return *client_; }
  WorkerServer& worker(int idx) { return *workers_[static_cast<size_t>(idx)]; }

 private:
  std::unique_ptr<GatewayServer> gateway_;
  std::vector<std::unique_ptr<WorkerServer>> workers_;
  std::unique_ptr<GatewayClient> client_;
};

// The public API over a LoopbackCluster.
std::unique_ptr<LayerApi> MakeRemoteLayerApi(int num_workers);
std::unique_ptr<LayerApi> MakeRemoteLayerApi(
    std::unique_ptr<LoopbackCluster> cluster);

}  // namespace switchyard::testing

#endif  // SWITCHYARD_TESTS_TESTING_REMOTE_LAYER_API_H_
