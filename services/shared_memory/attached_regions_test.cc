#include "services/shared_memory/attached_regions.h"

#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"
#include "common/shared_memory/owned_region.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::HasSubstr;

constexpr int64_t kBytes = 64 << 10;

auto IsInvalid(const std::string& words) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(words));
}

v1::SharedMemory Place(uint64_t region_id, int64_t offset) {
  v1::SharedMemory place;
  place.set_region_id(region_id);
  place.set_offset(offset);
  return place;
}

class AttachedRegionsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(owned_, OwnedRegion::Create(kBytes));
  }

  // "regions/bytes", as the metrics have them.
  std::string Usage() const {
    std::string usage;
    for (const prometheus::MetricFamily& family : metrics_->Collect()) {
      absl::StrAppend(&usage, usage.empty() ? "" : "/",
                      family.metric[0].gauge.value);
    }
    return usage;
  }

  const std::shared_ptr<prometheus::Registry> metrics_ =
      std::make_shared<prometheus::Registry>();
  AttachedRegions regions_{
      {.max_shared_regions = 2, .max_shared_memory_bytes = 2 * kBytes},
      metrics_};
  std::shared_ptr<OwnedRegion> owned_;
};

TEST_F(AttachedRegionsTest, FindsWhatTheCallerPutThere) {
  ASSERT_OK_AND_ASSIGN(const uint64_t id, regions_.Attach(owned_->source()));
  const std::shared_ptr<float[]> part = owned_->Allocate(256);
  part[63] = 5;
  ASSERT_OK_AND_ASSIGN(
      const std::shared_ptr<float[]> found,
      regions_.Find(Place(id, kRegionHeaderBytes), 256, "x.shared"));
  EXPECT_EQ(found[63], 5);
}

TEST_F(AttachedRegionsTest, RefusesPlacesThatAreNotInTheRegion) {
  ASSERT_OK_AND_ASSIGN(const uint64_t id, regions_.Attach(owned_->source()));
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  for (const auto& [offset, num_bytes] :
       {std::pair<int64_t, int64_t>{kBytes, 4},
        {kBytes - 64, 65},
        {4096, kBytes},
        {4096, kMax},
        {kMax / 64 * 64, 4},
        {kMax / 64 * 64, kMax}}) {
    EXPECT_THAT(regions_.Find(Place(id, offset), num_bytes, "x.shared"),
                IsInvalid("x.shared.offset: got"))
        << offset << " " << num_bytes;
  }
  EXPECT_OK(regions_.Find(Place(id, kBytes - 64), 64, "x.shared"));
  EXPECT_OK(regions_.Find(Place(id, kBytes), 0, "x.shared"));
}

TEST_F(AttachedRegionsTest, RefusesOffsetsThatAreMisalignedOrInTheHeader) {
  ASSERT_OK_AND_ASSIGN(const uint64_t id, regions_.Attach(owned_->source()));
  for (const int64_t offset :
       {int64_t{0}, int64_t{64}, int64_t{4032}, int64_t{4097}, int64_t{4128},
        int64_t{-64}, std::numeric_limits<int64_t>::min()}) {
    EXPECT_THAT(regions_.Find(Place(id, offset), 4, "grad_y.shared"),
                IsInvalid("expected a multiple of 64 from 4096 on"))
        << offset;
  }
}

TEST_F(AttachedRegionsTest, KnowsOnlyRegionsThatAreAttached) {
  ASSERT_OK_AND_ASSIGN(const uint64_t id, regions_.Attach(owned_->source()));
  const auto is_unknown = StatusIs(absl::StatusCode::kFailedPrecondition,
                                   HasSubstr("x.shared.region_id"));
  EXPECT_THAT(regions_.Find(Place(id + 1, 4096), 4, "x.shared"), is_unknown);
  regions_.Detach(id);
  EXPECT_THAT(regions_.Find(Place(id, 4096), 4, "x.shared"), is_unknown);
}

TEST_F(AttachedRegionsTest, ARegionCountsUntilNobodyUsesIt) {
  ASSERT_OK_AND_ASSIGN(const uint64_t id, regions_.Attach(owned_->source()));
  EXPECT_EQ(Usage(), "1/65536");
  ASSERT_OK_AND_ASSIGN(std::shared_ptr<float[]> found,
                       regions_.Find(Place(id, 4096), 4, "x.shared"));
  regions_.Detach(id);
  found[0] = 1;
  EXPECT_EQ(Usage(), "1/65536");
  found.reset();
  EXPECT_EQ(Usage(), "0/0");
}

TEST_F(AttachedRegionsTest, RefusesWhatIsOverTheLimits) {
  ASSERT_OK_AND_ASSIGN(const auto large, OwnedRegion::Create(2 * kBytes));
  ASSERT_OK_AND_ASSIGN(const uint64_t first, regions_.Attach(owned_->source()));
  EXPECT_THAT(regions_.Attach(large->source()),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("max_shared_memory_bytes")));
  ASSERT_OK(regions_.Attach(owned_->source()));
  EXPECT_THAT(regions_.Attach(owned_->source()),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("max_shared_regions: 2 are attached")));
  regions_.Detach(first);
  EXPECT_OK(regions_.Attach(owned_->source()));
}

TEST_F(AttachedRegionsTest, WhatCannotBeOpenedDoesNotCount) {
  RegionSource source = owned_->source();
  source.token[0] = static_cast<char>(~source.token[0]);
  EXPECT_THAT(regions_.Attach(source), IsInvalid("token"));
  source.size_bytes = std::numeric_limits<int64_t>::min();
  EXPECT_THAT(regions_.Attach(source), IsInvalid("size_bytes"));
  EXPECT_EQ(Usage(), "0/0");
}

}  // namespace
}  // namespace switchyard
