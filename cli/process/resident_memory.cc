#include "cli/process/resident_memory.h"

#include <unistd.h>

#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace switchyard {

absl::StatusOr<int64_t> ResidentBytes(pid_t pid) {
  // proc(5): size and resident, in pages.
  std::ifstream file(absl::StrCat("/proc/", pid, "/statm"));
  int64_t size_pages = 0;
  int64_t resident_pages = 0;
  if (!(file >> size_pages >> resident_pages)) {
    return absl::NotFoundError(absl::StrCat("no process ", pid));
  }
  return resident_pages * static_cast<int64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace switchyard
