#ifndef SWITCHYARD_SERVICES_MAIN_FLAG_PARSER_H_
#define SWITCHYARD_SERVICES_MAIN_FLAG_PARSER_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/main/flag_checks.h"

namespace switchyard {

// What a program prints and answers when it ends before it began: help and
// version with code 0, a mistake in its flags with code 2.
struct FlagExit {
  int code = 0;
  std::string message;
};

// The flags of a server process. Each may be given in three places, and the
// first of them that has it wins:
//   1. the command line:                     --lease-duration-ms 500
//   2. the environment (empty: not given):   SWITCHYARD_LEASE_DURATION_MS=500
//   3. the file named by --config:           lease-duration-ms = 500
// The file is TOML or INI as CLI11 reads them, without sections; a key that is
// no flag is a mistake. Thread-compatible.
class FlagParser {
 public:
  // Takes the value of a flag, or returns INVALID_ARGUMENT naming `field`: the
  // flag, variable or key that it came from.
  using Setter = std::function<absl::Status(const std::string& text,
                                            absl::string_view field)>;

  FlagParser(const std::string& program, const std::string& description);

  // Flags added from here on are listed under this heading.
  void BeginGroup(const std::string& name) { group_ = name; }
  // Names are without dashes; `value_name` and `default_text` are for the help.
  void Add(const std::string& name, const std::string& value_name,
           const std::string& description, const std::string& default_text,
           Setter set);
  // Here and below `target` must outlive the parser; what it holds now is the
  // default.
  void AddText(const std::string& name, const std::string& value_name,
               const std::string& description, std::string& target,
               const Setter& check);
  void AddInteger(const std::string& name, IntegerRange range,
                  const std::string& description, int64_t& target);
  void AddInteger(const std::string& name, IntegerRange range,
                  const std::string& description, int& target);
  // `name` ends in -ms.
  void AddMilliseconds(const std::string& name, IntegerRange range_ms,
                       const std::string& description, absl::Duration& target);
  // `name` ends in -us.
  void AddMicroseconds(const std::string& name, IntegerRange range_us,
                       const std::string& description, absl::Duration& target);
  // On the command line it stands alone; elsewhere it is true or false.
  void AddSwitch(const std::string& name, const std::string& description,
                 bool& target);

  // nullopt: every flag has its value, go on.
  std::optional<FlagExit> Parse(int argc, const char* const* argv);
  // For what a program finds out about its flags later on.
  FlagExit Mistake(absl::string_view message) const;

 private:
  void AddDuration(const std::string& name, const std::string& value_name,
                   absl::Duration unit, IntegerRange range,
                   const std::string& description, absl::Duration& target);
  struct Flag {
    std::string name;
    CLI::Option* option;
    Setter set;
  };
  struct FileValue {
    std::string name;
    std::string text;
  };

  bool HasFlag(const std::string& name) const;
  absl::StatusOr<std::vector<FileValue>> ReadConfigFile(
      const std::string& path) const;
  absl::Status SetAll();

  const std::string program_;
  CLI::App app_;
  std::string group_;
  std::string config_path_;
  std::vector<Flag> flags_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_MAIN_FLAG_PARSER_H_
