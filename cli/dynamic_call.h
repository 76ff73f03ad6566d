// Calls by name: any method of the gateway's services.
#ifndef SWITCHYARD_CLI_DYNAMIC_CALL_H_
#define SWITCHYARD_CLI_DYNAMIC_CALL_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace grpc {
class ChannelInterface;
}

namespace switchyard {

// By bare name, e.g. "Forward". INVALID_ARGUMENT lists the methods there are.
absl::StatusOr<const google::protobuf::MethodDescriptor*> FindMethod(
    const std::string& name);
// Of Gateway and Registry but for streams, in the order of the .proto files.
std::vector<const google::protobuf::MethodDescriptor*> AllMethods();

struct CallerOptions {
  absl::Duration timeout = absl::Seconds(60);
  int64_t max_message_bytes = int64_t{64} << 20;
};

// Thread-safe.
class DynamicCaller {
 public:
  DynamicCaller(const std::string& address, CallerOptions options);

  // `response` must be of the method's type. Errors are the server's, or
  // UNAVAILABLE and DEADLINE_EXCEEDED.
  absl::Status Call(const google::protobuf::MethodDescriptor& method,
                    const google::protobuf::Message& request,
                    google::protobuf::Message& response);

 private:
  const CallerOptions options_;
  std::shared_ptr<grpc::ChannelInterface> channel_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_DYNAMIC_CALL_H_
