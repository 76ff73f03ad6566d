#include "services/main/server_process.h"

#include <malloc.h>
#include <sys/prctl.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace switchyard {
namespace {

sigset_t StopSet() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  return set;
}

// gRPC receives a message in slices that it allocates one by one. glibc gives
// the top of a heap back whenever 128 KiB of it are free, so that every slice
// of every large message would be fetched from the system, zeroed, again. Two
// heaps, since each keeps that much; the largest tensors are kept apart
// (common/tensor/tensor_memory.h), so they may be mapped one by one.
void KeepFreedMemory() {
  constexpr int kTrimThresholdBytes = 128 << 20;
  constexpr int kMapThresholdBytes = 4 << 20;
  mallopt(M_TRIM_THRESHOLD, kTrimThresholdBytes);
  mallopt(M_MMAP_THRESHOLD, kMapThresholdBytes);
  mallopt(M_ARENA_MAX, 2);
}

}  // namespace

StopSignals::StopSignals() {
  const sigset_t set = StopSet();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

int StopSignals::Wait() const {
  const sigset_t set = StopSet();
  int signal = 0;
  while (sigwait(&set, &signal) != 0) {
  }
  return signal;
}

void StopSignals::LetNextOneKill() const {
  const sigset_t set = StopSet();
  // timeout(1) and others signal the process and then its group: what comes
  // within 100 ms is the same wish.
  constexpr int64_t kSameWishUs = 100'000;
  const Stopwatch stopwatch;
  for (int64_t left_us = kSameWishUs; left_us > 0;
       left_us = kSameWishUs - stopwatch.ElapsedUs()) {
    const timespec left = {0, left_us * 1000};
    sigtimedwait(&set, nullptr, &left);
  }
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

absl::Status PrepareProcess(const std::string& program,
                            const ProcessFlags& flags) {
  KeepFreedMemory();
  setenv("GRPC_VERBOSITY", "NONE", /*replace=*/0);
  if (flags.exit_with_parent && prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) {
    return absl::InternalError("prctl(PR_SET_PDEATHSIG) failed");
  }
  return InitLog(program, flags.log_level);
}

int PrintFlagExit(const FlagExit& flag_exit) {
  std::FILE* const stream = flag_exit.code == 0 ? stdout : stderr;
  std::fputs(flag_exit.message.c_str(), stream);
  return flag_exit.code;
}

int PrintFailure(const std::string& program, const absl::Status& status) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(),
               std::string(status.message()).c_str());
  return 1;
}

void PrintListening(const std::string& program, const std::string& fields,
                    const std::string& address,
                    const std::string& metrics_address) {
  const std::string line = absl::StrCat(
      program, " listening ", fields, fields.empty() ? "" : " ",
      "grpc=", address,
      " metrics=", metrics_address.empty() ? "none" : metrics_address);
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

}  // namespace switchyard
