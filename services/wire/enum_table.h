#ifndef SWITCHYARD_SERVICES_WIRE_ENUM_TABLE_H_
#define SWITCHYARD_SERVICES_WIRE_ENUM_TABLE_H_

#include <array>
#include <cstddef>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace switchyard::wire {

template <typename Ours, typename Theirs>
struct EnumPair {
  Ours ours;
  Theirs theirs;
};

// Which values of our enum and of the message's belong together.
template <typename Ours, typename Theirs, size_t kSize>
using EnumTable = std::array<EnumPair<Ours, Theirs>, kSize>;

template <typename Ours, typename Theirs, size_t kSize>
Theirs EncodeEnum(const EnumTable<Ours, Theirs, kSize>& table, Ours value) {
  for (const EnumPair<Ours, Theirs>& pair : table) {
    if (pair.ours == value) return pair.theirs;
  }
  return Theirs{};
}

// INVALID_ARGUMENT, naming field, number and type, for a value that the table
// does not have. `unset` is what the message's 0 stands for, if it may be sent
// and is not in the table.
template <typename Ours, typename Theirs, size_t kSize>
absl::StatusOr<Ours> DecodeEnum(const EnumTable<Ours, Theirs, kSize>& table,
                                Theirs value, std::optional<Ours> unset,
                                absl::string_view field,
                                absl::string_view type) {
  for (const EnumPair<Ours, Theirs>& pair : table) {
    if (pair.theirs == value) return pair.ours;
  }
  const int number = static_cast<int>(value);
  if (number == 0 && unset.has_value()) return *unset;
  return absl::InvalidArgumentError(absl::StrCat(
      "spec.", field, ": got ", number, ", expected a value of ", type));
}

}  // namespace switchyard::wire

#endif  // SWITCHYARD_SERVICES_WIRE_ENUM_TABLE_H_
