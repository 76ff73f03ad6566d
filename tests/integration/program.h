// The real programs, run as a user runs them.
#ifndef SWITCHYARD_TESTS_INTEGRATION_PROGRAM_H_
#define SWITCHYARD_TESTS_INTEGRATION_PROGRAM_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/process/child_process.h"
#include "cli/process/event_waiter.h"
#include "cli/process/process_testing.h"

namespace switchyard::testing {

// Paths of what this build made.
std::string SwitchyardBinary();
std::string GatewayBinary();
std::string WorkerBinary();

struct ProgramResult {
  // As a shell reports it; -1: it did not end.
  int code = -1;
  std::string out;
  std::string err;
};

// Runs programs with an environment that says nothing of Switchyard but where
// the programs are (SWITCHYARD in capitals is the command line's path), and
// collects what they print in files of its own.
class ProgramTest : public ::testing::Test {
 protected:
  // Takes the signals before a member of a derived class can start threads.
  ProgramTest();
  void SetUp() override;
  void TearDown() override;

  // Runs to the end; `variables` are NAME=VALUE.
  ProgramResult Run(const std::vector<std::string>& argv,
                    const std::vector<std::string>& variables = {});
  // Runs a shell script.
  ProgramResult RunShell(const std::string& script);
  // Starts a program; its standard output is captured, its standard error goes
  // to the file that ErrorText reads.
  absl::StatusOr<ChildProcess> Start(
      const std::vector<std::string>& argv,
      const std::vector<std::string>& variables = {});
  std::string ErrorText() const;
  // As Start, and waits for its first line, which goes to `line`.
  absl::StatusOr<ChildProcess> StartReady(
      const std::vector<std::string>& argv, std::string& line,
      const std::vector<std::string>& variables = {});
  // The code of a program once it has ended; -1: it does not end.
  int WaitForCode(ChildProcess& child);
  // Looks again and again, until `condition` holds; false if it never does.
  bool Eventually(const std::function<bool()>& condition);
  // Writes a file that is gone after the test; returns its path.
  std::string WriteFile(const std::string& name, const std::string& text);

  std::unique_ptr<EventWaiter> events_;

 private:
  std::string Path(const std::string& name) const;

  std::string directory_;
};

// "127.0.0.1:1" out of "... NAME=127.0.0.1:1 ...".
std::string Field(const std::string& line, const std::string& name);

}  // namespace switchyard::testing

#endif  // SWITCHYARD_TESTS_INTEGRATION_PROGRAM_H_
