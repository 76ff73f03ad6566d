#include "gateway/layer/parameter_access.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/model/parameters.h"
#include "gateway/fan_out.h"

namespace switchyard {
namespace {

// Where a page starts: position in the list of parameters, element in it.
struct Cursor {
  int64_t parameter_idx = 0;
  int64_t offset = 0;
};

absl::StatusOr<Cursor> ParseCursor(
    const std::string& text, const std::vector<ParameterSpec>& parameters) {
  Cursor cursor;
  if (text.empty()) return cursor;
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  const int64_t num_parameters = static_cast<int64_t>(parameters.size());
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &cursor.parameter_idx) ||
      !absl::SimpleAtoi(parts[1], &cursor.offset) || cursor.parameter_idx < 0 ||
      cursor.parameter_idx >= num_parameters || cursor.offset < 0 ||
      cursor.offset >= parameters[static_cast<size_t>(cursor.parameter_idx)]
                           .num_elements()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cursor: got '", text.substr(0, 64),
                     "', expected the next_cursor of the page before"));
  }
  return cursor;
}

absl::StatusOr<int64_t> PageElements(int64_t max_page_bytes) {
  if (max_page_bytes == 0) max_page_bytes = kMaxPageBytes;
  const int64_t element_bytes = static_cast<int64_t>(sizeof(float));
  if (max_page_bytes < element_bytes || max_page_bytes > kMaxPageBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_page_bytes: got ", max_page_bytes, ", expected ",
                     element_bytes, " to ", kMaxPageBytes));
  }
  return max_page_bytes / element_bytes;
}

absl::StatusOr<std::vector<ParameterSpec>> SelectParameters(
    const LayerSpec& spec, const std::vector<std::string>& names) {
  if (names.empty()) return AllParameters(spec);
  std::vector<ParameterSpec> parameters;
  for (const std::string& name : names) {
    SWITCHYARD_ASSIGN_OR_RETURN(ParameterSpec parameter,
                                FindParameter(spec, name));
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

// The part of one parameter that falls into a page.
struct PageItem {
  const ParameterSpec* parameter = nullptr;
  ParameterRange range;
};

std::vector<PageItem> CutPage(const std::vector<ParameterSpec>& parameters,
                              Cursor& cursor, int64_t num_elements_left) {
  std::vector<PageItem> items;
  while (num_elements_left > 0 &&
         cursor.parameter_idx < static_cast<int64_t>(parameters.size())) {
    const ParameterSpec& parameter =
        parameters[static_cast<size_t>(cursor.parameter_idx)];
    const int64_t num_elements =
        std::min(num_elements_left, parameter.num_elements() - cursor.offset);
    items.push_back({&parameter,
                     {.name = parameter.name,
                      .offset = cursor.offset,
                      .num_elements = num_elements}});
    num_elements_left -= num_elements;
    cursor.offset += num_elements;
    if (cursor.offset == parameter.num_elements()) {
      cursor = {.parameter_idx = cursor.parameter_idx + 1, .offset = 0};
    }
  }
  return items;
}

absl::StatusOr<std::vector<int32_t>> ReplicasOf(const ExchangeContext& context,
                                                int32_t expert_id) {
  std::vector<int32_t> replicas =
      context.membership.placement.replicas(expert_id);
  if (replicas.empty()) {
    return absl::UnavailableError(
        absl::StrCat("expert ", expert_id, " has no live worker"));
  }
  return replicas;
}

// Reads ranges from each worker: result [worker][range].
absl::StatusOr<std::vector<std::vector<ParameterSlice>>> ReadFromWorkers(
    const ExchangeContext& context, const std::vector<int32_t>& worker_idx,
    const std::vector<ParameterRange>& ranges, ParameterKind kind) {
  const ReadExpertsRequest request = {
      .layer = context.spec.name, .ranges = ranges, .kind = kind};
  FanOut<absl::StatusOr<std::vector<ParameterSlice>>> fan_out(
      worker_idx.size());
  for (size_t i = 0; i < worker_idx.size(); ++i) {
    context.membership.groups[static_cast<size_t>(worker_idx[i])]->ReadExperts(
        request, context.call, fan_out.Done(i));
  }
  auto answers = fan_out.Wait();
  std::vector<std::vector<ParameterSlice>> results;
  for (size_t i = 0; i < answers.size(); ++i) {
    absl::Status status = answers[i].status();
    if (status.ok() && answers[i]->size() != ranges.size()) {
      status = absl::InternalError(
          absl::StrCat("worker answered with ", answers[i]->size(),
                       " slices, expected ", ranges.size()));
    }
    for (size_t r = 0; status.ok() && r < ranges.size(); ++r) {
      const size_t num_values = (*answers[i])[r].values.size();
      if (static_cast<int64_t>(num_values) != ranges[r].num_elements) {
        status = absl::InternalError(absl::StrCat(
            "answered with ", num_values, " values of ", ranges[r].name,
            ", expected ", ranges[r].num_elements));
      }
    }
    if (!status.ok()) return ReportIfLost(context, worker_idx[i], status);
    results.push_back(*std::move(answers[i]));
  }
  return results;
}

ParameterSlice ReadGate(const Gate& gate, const PageItem& item,
                        ParameterKind kind) {
  const int32_t idx = item.parameter->idx_in_expert;
  const auto& [name, offset, num_elements] = item.range;
  return {.name = name,
          .shape = item.parameter->shape,
          .offset = offset,
          .values = kind == ParameterKind::kValue
                        ? gate.ReadValue(idx, offset, num_elements)
                        : gate.ReadGradient(idx, offset, num_elements)};
}

}  // namespace

absl::StatusOr<std::vector<ParameterSlice>> ReadSummedGradients(
    const ExchangeContext& context, const std::vector<int32_t>& worker_idx,
    const std::vector<ParameterRange>& ranges) {
  SWITCHYARD_ASSIGN_OR_RETURN(
      std::vector<std::vector<ParameterSlice>> parts,
      ReadFromWorkers(context, worker_idx, ranges, ParameterKind::kGradient));
  std::vector<ParameterSlice> sum = std::move(parts.front());
  for (size_t w = 1; w < parts.size(); ++w) {
    for (size_t r = 0; r < sum.size(); ++r) {
      for (size_t i = 0; i < sum[r].values.size(); ++i) {
        sum[r].values[i] += parts[w][r].values[i];
      }
    }
  }
  return sum;
}

absl::Status WriteToWorkers(const ExchangeContext& context,
                            const std::vector<int32_t>& worker_idx,
                            const std::vector<ParameterSlice>& slices,
                            ParameterKind kind) {
  const WriteExpertsRequest request = {
      .layer = context.spec.name, .slices = slices, .kind = kind};
  FanOut<absl::Status> fan_out(worker_idx.size());
  for (size_t i = 0; i < worker_idx.size(); ++i) {
    context.membership.groups[static_cast<size_t>(worker_idx[i])]->WriteExperts(
        request, context.call, fan_out.Done(i));
  }
  const std::vector<absl::Status> answers = fan_out.Wait();
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].ok())
      return ReportIfLost(context, worker_idx[i], answers[i]);
  }
  return absl::OkStatus();
}

absl::StatusOr<ReadParametersResult> ReadParameterPage(
    const ExchangeContext& context, const Gate& gate,
    const ReadParametersRequest& request) {
  SWITCHYARD_ASSIGN_OR_RETURN(const std::vector<ParameterSpec> parameters,
                              SelectParameters(context.spec, request.names));
  SWITCHYARD_ASSIGN_OR_RETURN(Cursor cursor,
                              ParseCursor(request.cursor, parameters));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_elements,
                              PageElements(request.max_page_bytes));
  const std::vector<PageItem> items = CutPage(parameters, cursor, num_elements);

  ReadParametersResult page;
  page.slices.resize(items.size());
  // Expert parameters with the same workers are read in one call.
  std::map<std::vector<int32_t>, std::vector<size_t>> items_by_workers;
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].parameter->expert_id == kGateOwner) {
      page.slices[i] = ReadGate(gate, items[i], request.kind);
      continue;
    }
    SWITCHYARD_ASSIGN_OR_RETURN(
        std::vector<int32_t> workers,
        ReplicasOf(context, items[i].parameter->expert_id));
    if (request.kind == ParameterKind::kValue) workers.resize(1);
    items_by_workers[std::move(workers)].push_back(i);
  }
  for (const auto& [workers, item_indices] : items_by_workers) {
    std::vector<ParameterRange> ranges;
    for (const size_t i : item_indices) ranges.push_back(items[i].range);
    std::vector<ParameterSlice> slices;
    if (request.kind == ParameterKind::kGradient) {
      SWITCHYARD_ASSIGN_OR_RETURN(
          slices, ReadSummedGradients(context, workers, ranges));
    } else {
      SWITCHYARD_ASSIGN_OR_RETURN(
          std::vector<std::vector<ParameterSlice>> parts,
          ReadFromWorkers(context, workers, ranges, request.kind));
      slices = std::move(parts.front());
    }
    for (size_t j = 0; j < item_indices.size(); ++j) {
      page.slices[item_indices[j]] = std::move(slices[j]);
    }
  }
  if (cursor.parameter_idx < static_cast<int64_t>(parameters.size())) {
    page.next_cursor = absl::StrCat(cursor.parameter_idx, ":", cursor.offset);
  }
  return page;
}

absl::Status WriteParameterSlices(const ExchangeContext& context, Gate& gate,
                                  const WriteParametersRequest& request) {
  std::map<std::vector<int32_t>, std::vector<ParameterSlice>> by_workers;
  std::vector<std::pair<int32_t, const ParameterSlice*>> gate_slices;
  for (const ParameterSlice& slice : request.slices) {
    SWITCHYARD_ASSIGN_OR_RETURN(const ParameterSpec parameter,
                                FindParameter(context.spec, slice.name));
    if (parameter.expert_id == kGateOwner) {
      gate_slices.emplace_back(parameter.idx_in_expert, &slice);
      continue;
    }
    SWITCHYARD_ASSIGN_OR_RETURN(std::vector<int32_t> workers,
                                ReplicasOf(context, parameter.expert_id));
    by_workers[std::move(workers)].push_back(slice);
  }
  for (const auto& [workers, slices] : by_workers) {
    SWITCHYARD_RETURN_IF_ERROR(
        WriteToWorkers(context, workers, slices, ParameterKind::kValue));
  }
  for (const auto& [idx, slice] : gate_slices) {
    gate.WriteValue(idx, slice->offset, slice->values);
  }
  return absl::OkStatus();
}

}  // namespace switchyard
