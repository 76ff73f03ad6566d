// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror and Shaw,
// "Parallel random numbers: as easy as 1, 2, 3", SC'11). A number depends on
// its key and counter alone, never on which thread or process drew it, or when.
#ifndef SWITCHYARD_COMMON_RANDOM_PHILOX_H_
#define SWITCHYARD_COMMON_RANDOM_PHILOX_H_

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace switchyard {

using PhiloxKey = std::array<uint32_t, 2>;
using PhiloxBlock = std::array<uint32_t, 4>;

// Ten rounds, as in the paper's reference code.
PhiloxBlock Philox4x32(PhiloxBlock counter, PhiloxKey key);

// The key of a stream: a seed and a name ("blocks.3.moe/gumbel").
PhiloxKey MakePhiloxKey(uint64_t seed, absl::string_view stream_name);

// Random access into a stream of 32-bit words: word i of a stream that is
// numbered by two more integers. Immutable.
class PhiloxStream {
 public:
  PhiloxStream(PhiloxKey key, uint64_t major, uint32_t minor)
      : key_(key), major_(major), minor_(minor) {}

  // Words 4 * block_idx ... 4 * block_idx + 3, for block_idx < 2^32; larger
  // ones go on in the upper half of the minor number.
  PhiloxBlock Block(uint64_t block_idx) const;

 private:
  PhiloxKey key_;
  uint64_t major_;
  uint32_t minor_;
};

// 32 random bits to a float32 in the open interval (0, 1): ((bits >> 9) + 0.5)
// / 2^23, so that neither log(u) nor log(1 - u) is infinite.
float ToOpenUnitInterval(uint32_t bits);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_RANDOM_PHILOX_H_
