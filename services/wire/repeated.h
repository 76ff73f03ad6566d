// Repeated fields to and from vectors.
#ifndef SWITCHYARD_SERVICES_WIRE_REPEATED_H_
#define SWITCHYARD_SERVICES_WIRE_REPEATED_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/api/expert_calls.h"
#include "google/protobuf/repeated_field.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "services/wire/tensor_codec.h"

namespace switchyard::wire {

template <typename T>
std::vector<T> ToVector(const google::protobuf::RepeatedField<T>& field) {
  return std::vector<T>(field.begin(), field.end());
}

template <typename T>
void Assign(const std::vector<T>& values,
            google::protobuf::RepeatedField<T>* field) {
  field->Assign(values.begin(), values.end());
}

inline absl::StatusOr<std::vector<ParameterSlice>> DecodeSlices(
    const google::protobuf::RepeatedPtrField<v1::ParameterSlice>& messages) {
  std::vector<ParameterSlice> slices;
  for (int i = 0; i < messages.size(); ++i) {
    auto slice = DecodeSlice(messages[i], absl::StrCat("slices[", i, "]"));
    if (!slice.ok()) return std::move(slice).status();
    slices.push_back(*std::move(slice));
  }
  return slices;
}

inline void EncodeSlices(
    const std::vector<ParameterSlice>& slices,
    google::protobuf::RepeatedPtrField<v1::ParameterSlice>* messages) {
  for (const ParameterSlice& slice : slices) {
    *messages->Add() = EncodeSlice(slice);
  }
}

}  // namespace switchyard::wire

#endif  // SWITCHYARD_SERVICES_WIRE_REPEATED_H_
