#include "tests/integration/program.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/clock.h"
#include "common/base/status_testing.h"

namespace switchyard::testing {
namespace {

std::string ReadAll(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string Quoted(const std::string& word) {
  return absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
}

ChildOptions Options(const std::string& script,
                     const std::vector<std::string>& variables) {
  ChildOptions options = Shell(script);
  options.environment = EnvironmentWithout("SWITCHYARD_");
  SetVariable(options.environment, "SWITCHYARD", SwitchyardBinary());
  for (const std::string& variable : variables) {
    const size_t equals = variable.find('=');
    SetVariable(options.environment, variable.substr(0, equals),
                variable.substr(equals + 1));
  }
  return options;
}

std::string ShellWords(const std::vector<std::string>& argv) {
  return absl::StrJoin(argv, " ",
                       [](std::string* out, const std::string& word) {
                         out->append(Quoted(word));
                       });
}

}  // namespace

std::string SwitchyardBinary() { return SWITCHYARD_BINARY; }
std::string GatewayBinary() { return SWITCHYARD_GATEWAY_BINARY; }
std::string WorkerBinary() { return SWITCHYARD_WORKER_BINARY; }

ProgramTest::ProgramTest() : events_(EventWaiter::Create().value()) {}

void ProgramTest::SetUp() {
  directory_ = absl::StrCat(::testing::TempDir(), "/switchyard_", getpid());
  std::filesystem::create_directories(directory_);
}

void ProgramTest::TearDown() {
  if (HasFailure()) std::fputs(ErrorText().c_str(), stderr);
  std::filesystem::remove_all(directory_);
}

std::string ProgramTest::Path(const std::string& name) const {
  return absl::StrCat(directory_, "/", name);
}

ProgramResult ProgramTest::Run(const std::vector<std::string>& argv,
                               const std::vector<std::string>& variables) {
  absl::StatusOr<ChildProcess> child = ChildProcess::Start(
      Options(absl::StrCat("exec ", ShellWords(argv), " > ", Path("out"),
                           " 2> ", Path("run_err"), " < /dev/null"),
              variables));
  EXPECT_OK(child);
  if (!child.ok()) return {};
  ProgramResult result;
  result.code = WaitForCode(*child);
  result.out = ReadAll(Path("out"));
  result.err = ReadAll(Path("run_err"));
  return result;
}

ProgramResult ProgramTest::RunShell(const std::string& script) {
  return Run({"/bin/sh", "-c", script});
}

absl::StatusOr<ChildProcess> ProgramTest::Start(
    const std::vector<std::string>& argv,
    const std::vector<std::string>& variables) {
  return ChildProcess::Start(
      Options(absl::StrCat("exec ", ShellWords(argv), " 2>> ", Path("err"),
                           " < /dev/null"),
              variables));
}

std::string ProgramTest::ErrorText() const { return ReadAll(Path("err")); }

absl::StatusOr<ChildProcess> ProgramTest::StartReady(
    const std::vector<std::string>& argv, std::string& line,
    const std::vector<std::string>& variables) {
  SWITCHYARD_ASSIGN_OR_RETURN(ChildProcess child, Start(argv, variables));
  SWITCHYARD_ASSIGN_OR_RETURN(line, WaitForLine(child, *events_));
  return child;
}

int ProgramTest::WaitForCode(ChildProcess& child) {
  const std::optional<ExitStatus> end = WaitForEnd(child, *events_);
  return end.has_value() ? end->ShellCode() : -1;
}

bool ProgramTest::Eventually(const std::function<bool()>& condition) {
  const absl::Time deadline = Clock::Real().Now() + kLong;
  while (!condition()) {
    if (Clock::Real().Now() >= deadline) return false;
    events_->Wait({}, Clock::Real().Now() + absl::Milliseconds(10));
  }
  return true;
}

std::string ProgramTest::WriteFile(const std::string& name,
                                   const std::string& text) {
  std::ofstream(Path(name)) << text;
  return Path(name);
}

std::string Field(const std::string& line, const std::string& name) {
  for (absl::string_view word : absl::StrSplit(line, ' ')) {
    if (absl::ConsumePrefix(&word, absl::StrCat(name, "="))) {
      return std::string(word);
    }
  }
  return "";
}

}  // namespace switchyard::testing
