#include "services/shared_memory/attached_regions.h"

#include <prometheus/gauge.h>
#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/shared_memory/peer_region.h"

namespace switchyard {

// What is mapped, against the limits. Outlives the server with the last region.
class AttachedRegions::Usage {
 public:
  Usage(const ServerLimits& limits,
        std::shared_ptr<prometheus::Registry> metrics)
      : limits_(limits),
        metrics_(std::move(metrics)),
        regions_gauge_(prometheus::BuildGauge()
                           .Name("switchyard_shared_memory_regions")
                           .Help("Regions of callers' memory that are mapped.")
                           .Register(*metrics_)
                           .Add({})),
        bytes_gauge_(prometheus::BuildGauge()
                         .Name("switchyard_shared_memory_bytes")
                         .Help("Their size, touched or not.")
                         .Register(*metrics_)
                         .Add({})) {}

  absl::Status Reserve(int64_t size_bytes) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    if (num_regions_ >= limits_.max_shared_regions) {
      return absl::ResourceExhaustedError(
          absl::StrCat("max_shared_regions: ", num_regions_,
                       " are attached, at most ", limits_.max_shared_regions));
    }
    if (size_bytes > limits_.max_shared_memory_bytes - bytes_) {
      return absl::ResourceExhaustedError(
          absl::StrCat("max_shared_memory_bytes: got a region of ", size_bytes,
                       " bytes beside ", bytes_, ", at most ",
                       limits_.max_shared_memory_bytes));
    }
    Add(1, size_bytes);
    return absl::OkStatus();
  }

  void Release(int64_t size_bytes) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    Add(-1, -size_bytes);
  }

 private:
  void Add(int64_t num_regions, int64_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    num_regions_ += num_regions;
    bytes_ += bytes;
    regions_gauge_.Set(static_cast<double>(num_regions_));
    bytes_gauge_.Set(static_cast<double>(bytes_));
  }

  const ServerLimits limits_;
  const std::shared_ptr<prometheus::Registry> metrics_;
  prometheus::Gauge& regions_gauge_;
  prometheus::Gauge& bytes_gauge_;
  Mutex mutex_;
  int64_t num_regions_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Memory, and its part in the count: from before it is mapped until after.
class AttachedRegions::Mapped {
 public:
  Mapped(std::shared_ptr<Usage> usage, int64_t size_bytes)
      : usage_(std::move(usage)), size_bytes_(size_bytes) {}
  ~Mapped() {
    memory.reset();
    usage_->Release(size_bytes_);
  }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;

  std::shared_ptr<char[]> memory;

 private:
  const std::shared_ptr<Usage> usage_;
  const int64_t size_bytes_;
};

AttachedRegions::AttachedRegions(const ServerLimits& limits,
                                 std::shared_ptr<prometheus::Registry> metrics)
    : usage_(std::make_shared<Usage>(limits, std::move(metrics))) {}

AttachedRegions::~AttachedRegions() = default;

absl::StatusOr<uint64_t> AttachedRegions::Attach(const RegionSource& source) {
  // A size that is negative is OpenPeerRegion's to refuse.
  const int64_t counted_bytes = std::max<int64_t>(source.size_bytes, 0);
  SWITCHYARD_RETURN_IF_ERROR(usage_->Reserve(counted_bytes));
  const auto mapped = std::make_shared<Mapped>(usage_, counted_bytes);
  SWITCHYARD_ASSIGN_OR_RETURN(mapped->memory, OpenPeerRegion(source));
  char* const begin = mapped->memory.get();
  return Add({std::shared_ptr<char[]>(mapped, begin), source.size_bytes});
}

absl::StatusOr<uint64_t> AttachedRegions::Add(Region region) {
  uint64_t id = 0;
  if (getrandom(&id, sizeof(id), 0) != sizeof(id)) {
    return absl::ResourceExhaustedError("no random bytes for a region's id");
  }
  MutexLock lock(mutex_);
  if (!regions_.emplace(id, std::move(region)).second) {
    return absl::ResourceExhaustedError("a region's random id is taken");
  }
  return id;
}

void AttachedRegions::Detach(uint64_t region_id) {
  MutexLock lock(mutex_);
  regions_.erase(region_id);
}

absl::StatusOr<std::shared_ptr<float[]>> AttachedRegions::Find(
    const v1::SharedMemory& place, int64_t num_bytes,
    absl::string_view field) const {
  Region region;
  {
    MutexLock lock(mutex_);
    const auto found = regions_.find(place.region_id());
    if (found == regions_.end()) {
      return absl::FailedPreconditionError(absl::StrCat(
          field,
          ".region_id: no such region is attached, expected the answer "
          "of an AttachMemory whose stream is open"));
    }
    region = found->second;
  }
  const int64_t offset = place.offset();
  if (offset < kRegionHeaderBytes || offset % kRegionAlignmentBytes != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ".offset: got ", offset, ", expected a multiple of ",
        kRegionAlignmentBytes, " from ", kRegionHeaderBytes, " on"));
  }
  if (offset > region.size_bytes || num_bytes > region.size_bytes - offset) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ".offset: got ", offset, " for ", num_bytes,
        " bytes, expected a part of the region's ", region.size_bytes));
  }
  auto* const data = reinterpret_cast<float*>(region.memory.get() + offset);
  return std::shared_ptr<float[]>(std::move(region.memory), data);
}

}  // namespace switchyard
