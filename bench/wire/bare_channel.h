#ifndef SWITCHYARD_BENCH_WIRE_BARE_CHANNEL_H_
#define SWITCHYARD_BENCH_WIRE_BARE_CHANNEL_H_

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <memory>
#include <string>

namespace switchyard::bench {

inline constexpr int kMaxBareMessageBytes = 64 << 20;

// With gRPC's own settings but for the largest message.
inline std::shared_ptr<grpc::Channel> MakeBareChannel(
    const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxBareMessageBytes);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                   arguments);
}

}  // namespace switchyard::bench

#endif  // SWITCHYARD_BENCH_WIRE_BARE_CHANNEL_H_
