#ifndef SWITCHYARD_SERVICES_RPC_CHANNEL_H_
#define SWITCHYARD_SERVICES_RPC_CHANNEL_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <string>

namespace switchyard {

// Metadata by which a client tells its calls from those of others on the same
// connection: any text. It gets a share of the queue by it, no rights.
inline constexpr char kClientNameMetadata[] = "switchyard-client";
// One that no other client has, in all likelihood.
std::string NewClientName();

// A connection of its own (two channels to one address share nothing), made at
// the first call. A peer that has gone silent is noticed within 30 s, one that
// comes back is dialled again within a second. Never goes through an HTTP
// proxy.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address,
                                           int64_t max_message_bytes);

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_CHANNEL_H_
