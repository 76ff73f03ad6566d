#include "gateway/routing/expert_selection.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <optional>

#include "gateway/routing/gate_kernels.h"
#include "gateway/routing/group_limit.h"

namespace switchyard {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

int32_t ArgMax(absl::Span<const float> keys) {
  return static_cast<int32_t>(std::max_element(keys.begin(), keys.end()) -
                              keys.begin());
}

// Ranks the experts of one token after another.
class Ranking {
 public:
  Ranking(const GateSpec& gate, const SelectionInput& input)
      : gate_(gate),
        input_(input),
        keys_(static_cast<size_t>(input.logits.num_cols)),
        candidates_(keys_.size()) {
    if (gate.group_limit.has_value()) {
      // Without a bias no score is below 0: masks of 0 and -inf are the same.
      GroupLimitSpec limit = *gate.group_limit;
      limit.mask_with_zero &= !input.correction_bias.empty();
      group_limit_.emplace(limit, static_cast<int32_t>(keys_.size()), gate.k);
    }
  }

  absl::Span<const float> KeysOf(int64_t token) {
    FillKeys(token);
    return keys_;
  }

  // Writes the k choices of a token with finite logits.
  void Choose(int64_t token, int32_t* ids) {
    FillKeys(token);
    if (gate_.k == 1) {
      if (has_gumbel()) AddGumbelledLogits(token);
      ids[0] = ArgMax(keys_);
    } else if (gate_.k == 2) {
      ids[0] = ArgMax(keys_);
      if (input_.correction_bias.empty()) AddGumbelledLogits(token);
      keys_[static_cast<size_t>(ids[0])] = kMasked;
      ids[1] = SecondChoice(ids[0]);
    } else {
      ChooseMany(ids);
    }
  }

 private:
  bool has_gumbel() const { return input_.draws.gumbel.num_elements() > 0; }

  void FillKeys(int64_t token) {
    const float* row = gate_.rank_by == RankBy::kLogits
                           ? input_.logits.row(token)
                           : input_.scores.values.row(token);
    std::copy(row, row + keys_.size(), keys_.begin());
    for (size_t e = 0; e < input_.correction_bias.size(); ++e) {
      keys_[e] += input_.correction_bias[e];
    }
    if (group_limit_.has_value()) group_limit_->Mask(absl::MakeSpan(keys_));
  }

  // Replaces the keys of experts that may be chosen.
  void AddGumbelledLogits(int64_t token) {
    const float* logits = input_.logits.row(token);
    const float* gumbel =
        has_gumbel() ? input_.draws.gumbel.row(token) : nullptr;
    for (size_t e = 0; e < keys_.size(); ++e) {
      if (keys_[e] == kMasked) continue;
      keys_[e] = gumbel == nullptr ? logits[e] : logits[e] + gumbel[e];
    }
  }

  // The first expert that may be chosen where all keys are masked: two very
  // different logits can leave no probability to any but one.
  int32_t SecondChoice(int32_t first) const {
    const int32_t second = ArgMax(keys_);
    return second != first ? second : (first == 0 ? 1 : 0);
  }

  void ChooseMany(int32_t* ids) {
    std::iota(candidates_.begin(), candidates_.end(), 0);
    std::partial_sort(candidates_.begin(), candidates_.begin() + gate_.k,
                      candidates_.end(), [this](int32_t a, int32_t b) {
                        const float key_a = keys_[static_cast<size_t>(a)];
                        const float key_b = keys_[static_cast<size_t>(b)];
                        return key_a > key_b || (key_a == key_b && a < b);
                      });
    std::copy_n(candidates_.begin(), gate_.k, ids);
  }

  const GateSpec& gate_;
  const SelectionInput& input_;
  std::optional<GroupLimit> group_limit_;
  std::vector<float> keys_;
  std::vector<int32_t> candidates_;
};

// Writes the choices of all `tokens`, a block of tokens at a time.
void ChooseInBlocks(const GateSpec& gate, int64_t num_experts,
                    absl::Span<const int64_t> tokens, Ranking& ranking,
                    int32_t* expert_ids) {
  std::vector<float> keys(static_cast<size_t>(num_experts * kTokenBlock));
  std::array<int32_t, kTokenBlock * kMostTaken> ids;
  for (size_t begin = 0; begin < tokens.size(); begin += kTokenBlock) {
    const auto block = tokens.subspan(begin, kTokenBlock);
    for (size_t i = 0; i < block.size(); ++i) {
      float* to = keys.data() + i;
      for (const float key : ranking.KeysOf(block[i])) {
        *to = key;
        to += kTokenBlock;
      }
    }
    TakeLargest(keys.data(), num_experts, gate.k, ids.data());
    for (size_t i = 0; i < block.size(); ++i) {
      const int32_t* from = ids.data() + static_cast<int64_t>(i) * gate.k;
      int32_t* to = expert_ids + block[i] * gate.k;
      std::copy_n(from, gate.k, to);
      // Masked experts have to be chosen too.
      if (from[gate.k - 1] < 0) ranking.Choose(block[i], to);
    }
  }
}

}  // namespace

std::vector<int32_t> SelectTopK(const GateSpec& gate,
                                const SelectionInput& input) {
  const std::vector<int64_t>& order = input.scores.token_order;
  std::vector<int32_t> expert_ids(order.size() * static_cast<size_t>(gate.k));
  Ranking ranking(gate, input);
  const absl::Span<const int64_t> finite = absl::MakeConstSpan(order).subspan(
      0, static_cast<size_t>(input.scores.num_finite_tokens));
  if (gate.k > 2 && gate.k <= kMostTaken &&
      FirstNonFinite(input.correction_bias) < 0) {
    ChooseInBlocks(gate, input.logits.num_cols, finite, ranking,
                   expert_ids.data());
  } else {
    for (const int64_t token : finite) {
      ranking.Choose(token, expert_ids.data() + token * gate.k);
    }
  }
  for (size_t i = finite.size(); i < order.size(); ++i) {
    int32_t* ids = expert_ids.data() + order[i] * gate.k;
    std::iota(ids, ids + gate.k, 0);
  }
  if (gate.k != 1 || input.used_tokens.empty()) return expert_ids;
  for (size_t token = 0; token < expert_ids.size(); ++token) {
    if (!input.used_tokens[token]) expert_ids[token] = -1;
  }
  return expert_ids;
}

}  // namespace switchyard
