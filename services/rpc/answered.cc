#include "services/rpc/answered.h"

namespace switchyard {
namespace {

constexpr char kKey[] = "switchyard-answered";

}  // namespace

void MarkAnswered(const absl::Status& status,
                  grpc::CallbackServerContext& context) {
  if (!status.ok()) context.AddTrailingMetadata(kKey, "1");
}

bool WasAnswered(const grpc::Status& status,
                 const grpc::ClientContext& context) {
  return status.ok() || context.GetServerTrailingMetadata().count(kKey) > 0;
}

}  // namespace switchyard
