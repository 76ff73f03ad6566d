#ifndef SWITCHYARD_EXPERT_WORKER_STORE_BYTE_BUDGET_H_
#define SWITCHYARD_EXPERT_WORKER_STORE_BYTE_BUDGET_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace switchyard {

class ByteBudget;

// Bytes taken out of a budget, given back on destruction. Thread-compatible.
class ByteReservation {
 public:
  ByteReservation() = default;
  ByteReservation(ByteReservation&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)) {}
  ByteReservation& operator=(ByteReservation&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~ByteReservation();

  int64_t bytes() const { return bytes_; }

 private:
  friend class ByteBudget;
  ByteReservation(ByteBudget* budget, int64_t bytes)
      : budget_(budget), bytes_(bytes) {}

  ByteBudget* budget_ = nullptr;
  int64_t bytes_ = 0;
};

// So many bytes of memory and no more. It counts; it does not allocate. Must
// outlive its reservations. Thread-safe.
class ByteBudget {
 public:
  // `name` stands in errors ("kept activations"). `on_change`, if any, is told
  // every change of used_bytes, on the thread that made it.
  ByteBudget(std::string name, int64_t max_bytes,
             std::function<void(int64_t)> on_change = nullptr);
  ByteBudget(const ByteBudget&) = delete;
  ByteBudget& operator=(const ByteBudget&) = delete;

  // RESOURCE_EXHAUSTED, with the numbers, if so much is not free.
  // `num_bytes` >= 0.
  absl::StatusOr<ByteReservation> Reserve(int64_t num_bytes);

  int64_t used_bytes() const { return used_bytes_; }
  int64_t max_bytes() const { return max_bytes_; }

 private:
  friend class ByteReservation;
  void Release(int64_t num_bytes);

  const std::string name_;
  const int64_t max_bytes_;
  const std::function<void(int64_t)> on_change_;
  std::atomic<int64_t> used_bytes_{0};
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_STORE_BYTE_BUDGET_H_
