#include "expert_worker/layer/parameter_access.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/parameters.h"

namespace switchyard {

absl::StatusOr<HostedParameter> FindRange(const LayerSpec& spec,
                                          const ExpertStore& store,
                                          const std::string& worker_id,
                                          const ParameterRange& range) {
  SWITCHYARD_ASSIGN_OR_RETURN(const ParameterSpec parameter,
                              FindParameter(spec, range.name));
  if (parameter.expert_id == kGateOwner) {
    return absl::InvalidArgumentError(absl::StrCat(
        "name: got '", range.name, "', expected an expert's parameter"));
  }
  const int32_t hosted_idx = store.HostedIdx(parameter.expert_id);
  if (hosted_idx < 0) {
    return ExpertNotHosted(parameter.expert_id, spec.name, worker_id);
  }
  const int64_t num_elements = parameter.num_elements();
  if (range.offset < 0 || range.num_elements < 0 ||
      range.offset > num_elements ||
      range.num_elements > num_elements - range.offset) {
    return absl::InvalidArgumentError(absl::StrCat(
        range.name, ": got ", range.num_elements, " elements from ",
        range.offset, " on, expected them within ", num_elements));
  }
  return HostedParameter{.hosted_idx = hosted_idx,
                         .idx_in_expert = parameter.idx_in_expert,
                         .shape = parameter.shape};
}

absl::StatusOr<HostedParameter> FindSlice(const LayerSpec& spec,
                                          const ExpertStore& store,
                                          const std::string& worker_id,
                                          const ParameterSlice& slice) {
  const auto num_elements = static_cast<int64_t>(slice.values.size());
  SWITCHYARD_ASSIGN_OR_RETURN(
      HostedParameter parameter,
      FindRange(spec, store, worker_id,
                {slice.name, slice.offset, num_elements}));
  if (slice.shape != parameter.shape) {
    return absl::InvalidArgumentError(
        absl::StrCat(slice.name, ".shape: got ", ShapeToString(slice.shape),
                     ", expected ", ShapeToString(parameter.shape)));
  }
  const int64_t row_elements =
      parameter.shape.size() < 2 ? 1 : parameter.shape.back();
  if (spec.int8_weights &&
      (slice.offset % row_elements != 0 || num_elements % row_elements != 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat(slice.name, ": got ", num_elements, " elements from ",
                     slice.offset, " on, expected whole rows of ", row_elements,
                     ", as the layer has int8_weights"));
  }
  return parameter;
}

absl::Status ExpertNotHosted(int32_t expert_id, const std::string& layer,
                             const std::string& worker_id) {
  return absl::FailedPreconditionError(
      absl::StrCat("expert ", expert_id, " of layer '", layer,
                   "' not hosted by worker ", worker_id));
}

}  // namespace switchyard
