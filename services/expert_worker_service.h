#ifndef SWITCHYARD_SERVICES_EXPERT_WORKER_SERVICE_H_
#define SWITCHYARD_SERVICES_EXPERT_WORKER_SERVICE_H_

#include "expert_worker/group/group_member.h"
#include "expert_worker/worker.h"
#include "services/rpc/unary_handler.h"
#include "services/shared_memory/attach_handler.h"
#include "services/shared_memory/attached_regions.h"
#include "switchyard/v1/worker.grpc.pb.h"

namespace switchyard {

// What carries tokens comes as bytes: see services/wire/call_buffer.h.
using ExpertWorkerBase = v1::ExpertWorker::WithRawCallbackMethod_Forward<
    v1::ExpertWorker::WithRawCallbackMethod_Backward<
        v1::ExpertWorker::WithRawCallbackMethod_GroupForward<
            v1::ExpertWorker::WithRawCallbackMethod_GroupBackward<
                v1::ExpertWorker::CallbackService>>>>;

// The ExpertWorker service: decodes, calls the worker, encodes. Thread-safe.
class ExpertWorkerServiceImpl final : public ExpertWorkerBase {
 public:
  // Threads of their own for different kinds of calls.
  struct Handlers {
    // What carries tensors.
    UnaryHandler& bulk;
    // Calls of groups, which wait for one another.
    UnaryHandler& group;
    // The rest, so that a step can be aborted while forwards fill the queue.
    UnaryHandler& control;
  };

  // `member`: null for a worker that takes part in no group. Tensors may lie in
  // `regions`, which `attach` fills. All must outlive the server that this is
  // registered with.
  ExpertWorkerServiceImpl(Worker& worker, GroupMember* member,
                          const Handlers& handlers, AttachedRegions& regions,
                          AttachHandler& attach)
      : worker_(worker),
        member_(member),
        bulk_(handlers.bulk),
        group_(handlers.group),
        control_(handlers.control),
        regions_(regions),
        attach_(attach) {}

  grpc::ServerUnaryReactor* LoadExperts(
      grpc::CallbackServerContext* context,
      const v1::LoadExpertsRequest* request,
      v1::LoadExpertsResponse* response) override;
  grpc::ServerUnaryReactor* UnloadExperts(
      grpc::CallbackServerContext* context,
      const v1::UnloadExpertsRequest* request,
      v1::UnloadExpertsResponse* response) override;
  grpc::ServerUnaryReactor* ReadExperts(
      grpc::CallbackServerContext* context,
      const v1::ReadExpertsRequest* request,
      v1::ReadExpertsResponse* response) override;
  grpc::ServerUnaryReactor* WriteExperts(
      grpc::CallbackServerContext* context,
      const v1::WriteExpertsRequest* request,
      v1::WriteExpertsResponse* response) override;
  grpc::ServerUnaryReactor* ImportExperts(
      grpc::CallbackServerContext* context,
      const v1::ImportExpertsRequest* request,
      v1::ImportExpertsResponse* response) override;
  grpc::ServerUnaryReactor* Forward(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Backward(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* DropMicrobatch(
      grpc::CallbackServerContext* context,
      const v1::DropMicrobatchRequest* request,
      v1::DropMicrobatchResponse* response) override;
  grpc::ServerUnaryReactor* PrepareStep(
      grpc::CallbackServerContext* context,
      const v1::PrepareStepRequest* request,
      v1::PrepareStepResponse* response) override;
  grpc::ServerUnaryReactor* CommitStep(
      grpc::CallbackServerContext* context,
      const v1::CommitStepRequest* request,
      v1::CommitStepResponse* response) override;
  grpc::ServerUnaryReactor* AbortStep(grpc::CallbackServerContext* context,
                                      const v1::AbortStepRequest* request,
                                      v1::AbortStepResponse* response) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusResponse* response) override;

  grpc::ServerUnaryReactor* JoinGroup(grpc::CallbackServerContext* context,
                                      const v1::JoinGroupRequest* request,
                                      v1::JoinGroupResponse* response) override;
  grpc::ServerUnaryReactor* ConnectGroup(
      grpc::CallbackServerContext* context,
      const v1::ConnectGroupRequest* request,
      v1::ConnectGroupResponse* response) override;
  grpc::ServerUnaryReactor* LeaveGroup(
      grpc::CallbackServerContext* context,
      const v1::LeaveGroupRequest* request,
      v1::LeaveGroupResponse* response) override;
  grpc::ServerUnaryReactor* GroupForward(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GroupBackward(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* CancelGroupCall(
      grpc::CallbackServerContext* context,
      const v1::CancelGroupCallRequest* request,
      v1::CancelGroupCallResponse* response) override;

  grpc::ServerWriteReactor<v1::AttachMemoryResponse>* AttachMemory(
      grpc::CallbackServerContext* context,
      const v1::AttachMemoryRequest* request) override;

 private:
  // UNIMPLEMENTED for a worker without a group.
  absl::StatusOr<GroupMember*> Member() const;

  Worker& worker_;
  GroupMember* const member_;
  UnaryHandler& bulk_;
  UnaryHandler& group_;
  UnaryHandler& control_;
  AttachedRegions& regions_;
  AttachHandler& attach_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_EXPERT_WORKER_SERVICE_H_
