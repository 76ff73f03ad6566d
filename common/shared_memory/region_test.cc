#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <limits>
#include <string>
#include <utility>

#include "common/base/status_testing.h"
#include "common/shared_memory/owned_region.h"
#include "common/shared_memory/peer_region.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Optional;

constexpr int64_t kBytes = 64 << 10;

auto IsInvalid(const std::string& words) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(words));
}

// A file descriptor of this process as a region that it is not.
RegionSource Pretend(int fd, int64_t size_bytes = kBytes) {
  return {.pid = getpid(), .fd = fd, .size_bytes = size_bytes};
}

int MakeMemfd(int seals) {
  const int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  EXPECT_EQ(ftruncate(fd, kBytes), 0);
  EXPECT_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
  return fd;
}

TEST(RegionTest, BothSidesSeeTheSameBytes) {
  ASSERT_OK_AND_ASSIGN(const auto owned, OwnedRegion::Create(kBytes));
  ASSERT_OK_AND_ASSIGN(const auto peer, OpenPeerRegion(owned->source()));
  const std::shared_ptr<float[]> part = owned->Allocate(64);
  ASSERT_NE(part, nullptr);
  const auto offset = owned->OffsetOf(part.get(), 64);
  ASSERT_THAT(offset, Optional(kRegionHeaderBytes));
  auto* const theirs = reinterpret_cast<float*>(peer.get() + *offset);
  part[3] = 1.5f;
  EXPECT_EQ(theirs[3], 1.5f);
  theirs[4] = 2.5f;
  EXPECT_EQ(part[4], 2.5f);
}

TEST(RegionTest, AnotherProcessOpensIt) {
  ASSERT_OK_AND_ASSIGN(const auto owned, OwnedRegion::Create(kBytes));
  const std::shared_ptr<float[]> part = owned->Allocate(64);
  const pid_t child = fork();
  if (child == 0) {
    const auto peer = OpenPeerRegion(owned->source());
    if (!peer.ok()) _exit(1);
    *reinterpret_cast<float*>(peer->get() + kRegionHeaderBytes) = 7;
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(part[0], 7);
}

TEST(RegionTest, TheMemoryOutlivesItsOwner) {
  ASSERT_OK_AND_ASSIGN(auto owned, OwnedRegion::Create(kBytes));
  ASSERT_OK_AND_ASSIGN(const auto peer, OpenPeerRegion(owned->source()));
  owned->Allocate(64)[0] = 3;
  owned.reset();
  EXPECT_EQ(*reinterpret_cast<float*>(peer.get() + kRegionHeaderBytes), 3);
}

TEST(RegionTest, PartsKeepTheRegionAndComeBack) {
  ASSERT_OK_AND_ASSIGN(auto owned, OwnedRegion::Create(kBytes));
  constexpr int64_t kAll = kBytes - kRegionHeaderBytes;
  std::shared_ptr<float[]> part = owned->Allocate(kAll);
  ASSERT_NE(part, nullptr);
  EXPECT_EQ(owned->Allocate(1), nullptr);
  part.reset();
  part = owned->Allocate(kAll);
  ASSERT_NE(part, nullptr);
  owned.reset();
  part[0] = 1;
}

TEST(RegionTest, OnlyPartsThatAreTakenHaveOffsets) {
  ASSERT_OK_AND_ASSIGN(const auto owned, OwnedRegion::Create(kBytes));
  const std::shared_ptr<float[]> part = owned->Allocate(128);
  EXPECT_TRUE(owned->OffsetOf(part.get(), 128).has_value());
  EXPECT_THAT(owned->OffsetOf(part.get(), 129), Eq(std::nullopt));
  const float elsewhere = 0;
  EXPECT_THAT(owned->OffsetOf(&elsewhere, 4), Eq(std::nullopt));
  EXPECT_THAT(owned->OffsetOf(nullptr, 4), Eq(std::nullopt));
}

TEST(RegionTest, AnAbandonedPartStaysTaken) {
  ASSERT_OK_AND_ASSIGN(const auto owned, OwnedRegion::Create(kBytes));
  constexpr int64_t kAll = kBytes - kRegionHeaderBytes;
  std::shared_ptr<float[]> part = owned->Allocate(kAll);
  owned->Abandon(part.get());
  part.reset();
  EXPECT_EQ(owned->Allocate(1), nullptr);
  EXPECT_EQ(owned->abandoned_bytes(), kAll);
}

TEST(RegionTest, NobodyChangesItsSize) {
  ASSERT_OK_AND_ASSIGN(const auto owned, OwnedRegion::Create(kBytes));
  EXPECT_NE(ftruncate(owned->source().fd, 4096), 0);
  EXPECT_NE(ftruncate(owned->source().fd, 2 * kBytes), 0);
}

TEST(RegionTest, CannotBeOpenedAfterItsSourceWasClosed) {
  ASSERT_OK_AND_ASSIGN(const auto owned, OwnedRegion::Create(kBytes));
  const RegionSource source = owned->source();
  owned->CloseSource();
  EXPECT_THAT(OpenPeerRegion(source),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("same user, host and PID namespace")));
  EXPECT_THAT(OpenPeerRegion(owned->source()), IsInvalid("fd: got -1"));
}

TEST(RegionTest, AWrongTokenIsRefused) {
  ASSERT_OK_AND_ASSIGN(const auto owned, OwnedRegion::Create(kBytes));
  RegionSource source = owned->source();
  source.token[5] = static_cast<char>(source.token[5] ^ 1);
  EXPECT_THAT(OpenPeerRegion(source), IsInvalid("token: got another one"));
}

TEST(RegionTest, AnotherSizeIsRefused) {
  ASSERT_OK_AND_ASSIGN(const auto owned, OwnedRegion::Create(kBytes));
  RegionSource source = owned->source();
  for (const int64_t size_bytes :
       {kBytes - 4096, kBytes + 4096, int64_t{0}, int64_t{-1},
        std::numeric_limits<int64_t>::max()}) {
    source.size_bytes = size_bytes;
    EXPECT_THAT(OpenPeerRegion(source), IsInvalid("size_bytes: got"));
  }
}

TEST(RegionTest, WhatIsNoSealedMemfdIsRefused) {
  const int unsealed = MakeMemfd(0);
  EXPECT_THAT(OpenPeerRegion(Pretend(unsealed)),
              IsInvalid("expected one sealed"));
  const int half_sealed = MakeMemfd(F_SEAL_GROW | F_SEAL_SEAL);
  EXPECT_THAT(OpenPeerRegion(Pretend(half_sealed)),
              IsInvalid("expected one sealed"));
  std::FILE* const file = std::tmpfile();
  ASSERT_EQ(ftruncate(fileno(file), kBytes), 0);
  EXPECT_THAT(OpenPeerRegion(Pretend(fileno(file))), IsInvalid("fd: got"));
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  EXPECT_THAT(OpenPeerRegion(Pretend(pipe_fds[0])),
              IsInvalid("expected a memfd"));
  for (const int fd : {unsealed, half_sealed, pipe_fds[0], pipe_fds[1]}) {
    close(fd);
  }
  std::fclose(file);
}

TEST(RegionTest, AProcessThatIsNotThereIsRefused) {
  RegionSource source = Pretend(0);
  source.pid = int64_t{1} << 40;
  EXPECT_THAT(
      OpenPeerRegion(source),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("fd/0")));
  source.pid = 0;
  EXPECT_THAT(OpenPeerRegion(source), IsInvalid("pid: got 0"));
}

}  // namespace
}  // namespace switchyard
