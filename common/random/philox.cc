#include "common/random/philox.h"

namespace switchyard {
namespace {

// FNV-1a, 64 bits: stable across platforms and releases, as keys must be.
uint64_t HashName(absl::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3u;
  }
  return hash;
}

// Finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA'14).
uint64_t Mix(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9u;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebu;
  x ^= x >> 31;
  return x;
}

uint32_t Low(uint64_t x) { return static_cast<uint32_t>(x); }
uint32_t High(uint64_t x) { return static_cast<uint32_t>(x >> 32); }

}  // namespace

PhiloxBlock Philox4x32(PhiloxBlock counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {High(product1) ^ counter[1] ^ key[0], Low(product1),
               High(product0) ^ counter[3] ^ key[1], Low(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

PhiloxKey MakePhiloxKey(uint64_t seed, absl::string_view stream_name) {
  const uint64_t key =
      Mix(Mix(seed + 0x9e3779b97f4a7c15u) ^ HashName(stream_name));
  return {Low(key), High(key)};
}

PhiloxBlock PhiloxStream::Block(uint64_t block_idx) const {
  return Philox4x32({Low(block_idx), Low(major_), High(major_),
                     minor_ ^ (High(block_idx) << 16)},
                    key_);
}

float ToOpenUnitInterval(uint32_t bits) {
  // 23 bits, not 24: all of n + 0.5 up to 2^23 are float32, so nothing rounds
  // up to 1.
  return (static_cast<float>(bits >> 9) + 0.5f) * (1.0f / 8388608.0f);
}

}  // namespace switchyard
