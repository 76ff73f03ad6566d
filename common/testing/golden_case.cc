#include "common/testing/golden_case.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <ostream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace switchyard::testing {
namespace {

template <typename T>
T ValueOrDie(absl::StatusOr<T> value, const std::string& name) {
  if (!value.ok()) {
    std::fprintf(stderr, "golden array %s: %s\n", name.c_str(),
                 value.status().ToString().c_str());
    std::abort();
  }
  return *std::move(value);
}

absl::StatusOr<nlohmann::json> ReadIndex(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  nlohmann::json index = nlohmann::json::parse(file, /*cb=*/nullptr,
                                               /*allow_exceptions=*/false);
  if (!index.is_object() || !index.contains("cases") ||
      !index["cases"].is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": expected a JSON object with a list of cases"));
  }
  return index;
}

bool IsCase(const nlohmann::json& entry) {
  const auto is_string = [&entry](const char* key) {
    return entry.contains(key) && entry[key].is_string();
  };
  return entry.is_object() && is_string("name") && is_string("kind") &&
         is_string("file") && entry.contains("params");
}

}  // namespace

void PrintTo(const GoldenCase& golden_case, std::ostream* os) {
  *os << golden_case.name;
}

std::string GoldenDirectory() {
  const char* directory = std::getenv("SWITCHYARD_GOLDEN_DIR");
  return directory != nullptr ? directory : SWITCHYARD_DEFAULT_GOLDEN_DIR;
}

absl::StatusOr<std::vector<GoldenCase>> ListGoldenCases(
    absl::string_view kind) {
  const std::string directory = GoldenDirectory();
  const std::string index_path = absl::StrCat(directory, "/index.json");
  SWITCHYARD_ASSIGN_OR_RETURN(const nlohmann::json index,
                              ReadIndex(index_path));
  std::vector<GoldenCase> cases;
  for (const nlohmann::json& entry : index["cases"]) {
    if (!IsCase(entry)) {
      return absl::InvalidArgumentError(
          absl::StrCat(index_path, ": got ", entry.dump().substr(0, 80),
                       ", expected a case with name, kind, file and params"));
    }
    if (entry["kind"].get<std::string>() != kind) continue;
    cases.push_back(
        {entry["name"].get<std::string>(), std::string(kind), entry,
         absl::StrCat(directory, "/", entry["file"].get<std::string>())});
  }
  return cases;
}

std::vector<GoldenCase> GoldenCasesOrNone(absl::string_view kind) {
  absl::StatusOr<std::vector<GoldenCase>> cases = ListGoldenCases(kind);
  return cases.ok() ? *std::move(cases) : std::vector<GoldenCase>();
}

absl::StatusOr<GoldenArrays> GoldenArrays::Read(const GoldenCase& golden_case) {
  SWITCHYARD_ASSIGN_OR_RETURN(NpzArrays arrays, ReadNpz(golden_case.path));
  return GoldenArrays(std::move(arrays));
}

const NpyArray& GoldenArrays::Get(const std::string& name) const {
  const auto found = arrays_.find(name);
  if (found == arrays_.end()) {
    std::fprintf(stderr, "golden array %s: there is none\n", name.c_str());
    std::abort();
  }
  return found->second;
}

Tensor GoldenArrays::Floats(const std::string& name) const {
  return ValueOrDie(Get(name).ToTensor(), name);
}

std::vector<int64_t> GoldenArrays::Integers(const std::string& name) const {
  return ValueOrDie(Get(name).ToIntegers(), name);
}

float GoldenArrays::Float(const std::string& name) const {
  return Floats(name).values().at(0);
}

int64_t GoldenArrays::Integer(const std::string& name) const {
  return Integers(name).at(0);
}

Tensor GoldenArrays::FloatsOrEmpty(const std::string& name) const {
  return Has(name) ? Floats(name) : Tensor();
}

}  // namespace switchyard::testing
