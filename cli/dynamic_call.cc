#include "cli/dynamic_call.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "services/rpc/channel.h"
#include "services/rpc/status_conversion.h"
#include "switchyard/v1/gateway.pb.h"
#include "switchyard/v1/registry.pb.h"

namespace switchyard {
namespace {

using ::google::protobuf::Message;
using ::google::protobuf::MethodDescriptor;
using ::google::protobuf::ServiceDescriptor;

// The end of one call, told by a thread of gRPC's.
class Completion {
 public:
  void Set(absl::Status status) {
    const MutexLock lock(mutex_);
    status_ = std::move(status);
    is_set_.NotifyAll();
  }
  absl::Status Wait() {
    const MutexLock lock(mutex_);
    while (!status_.has_value()) is_set_.Wait(mutex_);
    return *status_;
  }

 private:
  Mutex mutex_;
  CondVar is_set_;
  std::optional<absl::Status> status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::vector<const MethodDescriptor*> AllMethods() {
  std::vector<const MethodDescriptor*> methods;
  for (const ServiceDescriptor* service :
       {v1::ForwardRequest::descriptor()->file()->FindServiceByName("Gateway"),
        v1::RenewLeaseRequest::descriptor()->file()->FindServiceByName(
            "Registry")}) {
    for (int i = 0; i < service->method_count(); ++i) {
      const MethodDescriptor* const method = service->method(i);
      // One message in, one out.
      if (!method->client_streaming() && !method->server_streaming()) {
        methods.push_back(method);
      }
    }
  }
  return methods;
}

absl::StatusOr<const MethodDescriptor*> FindMethod(const std::string& name) {
  std::vector<std::string> names;
  for (const MethodDescriptor* method : AllMethods()) {
    if (method->name() == name) return method;
    names.push_back(method->name());
  }
  return absl::InvalidArgumentError(absl::StrCat("METHOD: got '", name,
                                                 "', expected one of ",
                                                 absl::StrJoin(names, ", ")));
}

DynamicCaller::DynamicCaller(const std::string& address, CallerOptions options)
    : options_(options),
      channel_(MakeChannel(address, options.max_message_bytes)) {}

absl::Status DynamicCaller::Call(const MethodDescriptor& method,
                                 const Message& request, Message& response) {
  grpc::ClientContext context;
  context.set_deadline(
      absl::ToChronoTime(Clock::Real().Now() + options_.timeout));
  const std::string path =
      absl::StrCat("/", method.service()->full_name(), "/", method.name());
  grpc::TemplatedGenericStub<Message, Message> stub(channel_);
  Completion completion;
  stub.UnaryCall(&context, path, grpc::StubOptions(), &request, &response,
                 [&completion](grpc::Status status) {
                   completion.Set(FromGrpcStatus(status));
                 });
  // The deadline above bounds this wait too: gRPC always answers by then.
  return completion.Wait();
}

}  // namespace switchyard
