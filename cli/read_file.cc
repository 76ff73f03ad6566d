#include "cli/read_file.h"

#include <array>
#include <cstdint>
#include <fstream>
#include <limits>

#include "absl/strings/str_cat.h"

namespace switchyard {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  constexpr size_t kMaxBytes = std::numeric_limits<int32_t>::max();
  std::ifstream file(path, std::ios::binary);
  std::string text;
  std::array<char, 65536> buffer;
  while (file.good() && text.size() <= kMaxBytes) {
    file.read(buffer.data(), buffer.size());
    text.append(buffer.data(), static_cast<size_t>(file.gcount()));
  }
  if (!file.eof()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "got file '", path, "', expected a readable one of at most ", kMaxBytes,
        " bytes"));
  }
  return text;
}

}  // namespace switchyard
