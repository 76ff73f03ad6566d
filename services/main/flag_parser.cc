#include "services/main/flag_parser.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/base/status_macros.h"

namespace switchyard {
namespace {

constexpr char kFooter[] =
    "Every flag is read from the environment too, as SWITCHYARD_ and its name "
    "in\ncapitals (SWITCHYARD_LOG_LEVEL), and from the file named by --config "
    "(log-level = debug).\nThe command line wins over the environment, the "
    "environment over the file.";

std::string EnvironmentName(const std::string& name) {
  return absl::StrCat("SWITCHYARD_", absl::AsciiStrToUpper(absl::StrReplaceAll(
                                         name, {{"-", "_"}})));
}

// Empty counts as not given, so that a script can blank a variable.
std::optional<std::string> FromEnvironment(const std::string& name) {
  const char* const text = std::getenv(EnvironmentName(name).c_str());
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::string(text);
}

}  // namespace

FlagParser::FlagParser(const std::string& program,
                       const std::string& description)
    : program_(program), app_(description, program) {
  app_.set_version_flag("--version",
                        absl::StrCat(program, " ", SWITCHYARD_VERSION));
  app_.footer(kFooter);
  app_.get_formatter()->column_width(40);
  app_.get_help_ptr()->description("Print this and exit");
  app_.get_version_ptr()->description("Print the version and exit");
  BeginGroup("Options");
  AddText(
      "config", "FILE", "Read flags from this file", config_path_,
      [](const std::string&, absl::string_view) { return absl::OkStatus(); });
}

void FlagParser::Add(const std::string& name, const std::string& value_name,
                     const std::string& description,
                     const std::string& default_text, Setter set) {
  CLI::Option* const option =
      app_.add_option(absl::StrCat("--", name), description);
  option->type_name(value_name)->group(group_)->expected(1);
  if (!default_text.empty()) option->default_str(default_text);
  flags_.push_back({name, option, std::move(set)});
}

void FlagParser::AddText(const std::string& name, const std::string& value_name,
                         const std::string& description, std::string& target,
                         const Setter& check) {
  Add(name, value_name, description, target,
      [&target, check](const std::string& text, absl::string_view field) {
        SWITCHYARD_RETURN_IF_ERROR(check(text, field));
        target = text;
        return absl::OkStatus();
      });
}

void FlagParser::AddInteger(const std::string& name, IntegerRange range,
                            const std::string& description, int64_t& target) {
  Add(name, "N", description, absl::StrCat(target),
      [&target, range](const std::string& text, absl::string_view field) {
        SWITCHYARD_ASSIGN_OR_RETURN(target, ParseInteger(text, range, field));
        return absl::OkStatus();
      });
}

void FlagParser::AddInteger(const std::string& name, IntegerRange range,
                            const std::string& description, int& target) {
  Add(name, "N", description, absl::StrCat(target),
      [&target, range](const std::string& text, absl::string_view field) {
        SWITCHYARD_ASSIGN_OR_RETURN(const int64_t value,
                                    ParseInteger(text, range, field));
        target = static_cast<int>(value);
        return absl::OkStatus();
      });
}

void FlagParser::AddMilliseconds(const std::string& name, IntegerRange range_ms,
                                 const std::string& description,
                                 absl::Duration& target) {
  AddDuration(name, "MS", absl::Milliseconds(1), range_ms, description, target);
}

void FlagParser::AddMicroseconds(const std::string& name, IntegerRange range_us,
                                 const std::string& description,
                                 absl::Duration& target) {
  AddDuration(name, "US", absl::Microseconds(1), range_us, description, target);
}

void FlagParser::AddDuration(const std::string& name,
                             const std::string& value_name, absl::Duration unit,
                             IntegerRange range, const std::string& description,
                             absl::Duration& target) {
  absl::Duration rest;
  Add(name, value_name, description,
      absl::StrCat(absl::IDivDuration(target, unit, &rest)),
      [&target, unit, range](const std::string& text, absl::string_view field) {
        SWITCHYARD_ASSIGN_OR_RETURN(const int64_t value,
                                    ParseInteger(text, range, field));
        target = value * unit;
        return absl::OkStatus();
      });
}

void FlagParser::AddSwitch(const std::string& name,
                           const std::string& description, bool& target) {
  CLI::Option* const option =
      app_.add_flag(absl::StrCat("--", name), description);
  option->group(group_);
  flags_.push_back(
      {name, option,
       [&target](const std::string& text, absl::string_view field) {
         if (!absl::SimpleAtob(text, &target)) {
           return absl::InvalidArgumentError(absl::StrCat(
               field, ": got '", text, "', expected true or false"));
         }
         return absl::OkStatus();
       }});
}

std::optional<FlagExit> FlagParser::Parse(int argc, const char* const* argv) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return FlagExit{0, app_.help()};
  } catch (const CLI::CallForVersion& version) {
    return FlagExit{0, absl::StrCat(version.what(), "\n")};
  } catch (const CLI::ParseError& error) {
    return Mistake(error.what());
  }
  if (const absl::Status status = SetAll(); !status.ok()) {
    return Mistake(status.message());
  }
  return std::nullopt;
}

absl::Status FlagParser::SetAll() {
  std::vector<FileValue> file_values;
  for (const Flag& flag : flags_) {
    if (flag.option->count() > 0) {
      SWITCHYARD_RETURN_IF_ERROR(flag.set(flag.option->results().front(),
                                          absl::StrCat("--", flag.name)));
    } else if (const auto text = FromEnvironment(flag.name)) {
      SWITCHYARD_RETURN_IF_ERROR(flag.set(*text, EnvironmentName(flag.name)));
    } else {
      for (const FileValue& value : file_values) {
        if (value.name != flag.name) continue;
        SWITCHYARD_RETURN_IF_ERROR(
            flag.set(value.text, absl::StrCat(config_path_, ": ", flag.name)));
      }
    }
    // The first flag; the others need what is in the file.
    if (flag.name == "config" && !config_path_.empty()) {
      SWITCHYARD_ASSIGN_OR_RETURN(file_values, ReadConfigFile(config_path_));
    }
  }
  return absl::OkStatus();
}

bool FlagParser::HasFlag(const std::string& name) const {
  for (const Flag& flag : flags_) {
    if (flag.name == name) return true;
  }
  return false;
}

absl::StatusOr<std::vector<FlagParser::FileValue>> FlagParser::ReadConfigFile(
    const std::string& path) const {
  std::vector<CLI::ConfigItem> items;
  try {
    items = CLI::ConfigTOML().from_file(path);
  } catch (const CLI::Error&) {
    return absl::InvalidArgumentError(
        absl::StrCat("--config: got '", path, "', expected a readable file"));
  }
  std::vector<FileValue> values;
  for (const CLI::ConfigItem& item : items) {
    if (!item.parents.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": got section '", absl::StrJoin(item.parents, "."),
          "', expected keys outside of any section"));
    }
    if (item.name == "config" || !HasFlag(item.name)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": got key '", item.name,
                       "', expected the name of a flag without its dashes"));
    }
    if (item.inputs.size() != 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": ", item.name, ": got '", absl::StrJoin(item.inputs, " "),
          "', expected one value"));
    }
    values.push_back({item.name, item.inputs.front()});
  }
  return values;
}

FlagExit FlagParser::Mistake(absl::string_view message) const {
  return {2, absl::StrCat(program_, ": ", message, "\nRun ", program_,
                          " --help for the flags.\n")};
}

}  // namespace switchyard
