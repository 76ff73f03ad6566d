#include "gateway/routing/expert_selection.h"

#include <algorithm>
#include <numeric>

namespace switchyard {
namespace {

constexpr int64_t kNoExpert = -1;

// Logits with or without noise on them.
class NoisyLogits {
 public:
  NoisyLogits(ConstMatrix logits, ConstMatrix gumbel)
      : logits_(logits), gumbel_(gumbel) {}

  // The expert other than `excluded` of the largest noisy logit.
  int64_t ArgMax(int64_t token, int64_t excluded) const {
    const float* logits = logits_.row(token);
    if (gumbel_.num_elements() == 0) {
      return Best(excluded, [logits](int64_t e) { return logits[e]; });
    }
    const float* gumbel = gumbel_.row(token);
    return Best(excluded,
                [logits, gumbel](int64_t e) { return logits[e] + gumbel[e]; });
  }

 private:
  template <typename Score>
  int64_t Best(int64_t excluded, Score score) const {
    int64_t best = excluded == 0 ? 1 : 0;
    for (int64_t e = best + 1; e < logits_.num_cols; ++e) {
      if (e != excluded && score(e) > score(best)) best = e;
    }
    return best;
  }

  ConstMatrix logits_;
  ConstMatrix gumbel_;
};

bool IsUsed(const std::vector<bool>& used_tokens, int64_t token) {
  return used_tokens.empty() || used_tokens[static_cast<size_t>(token)];
}

// Calls select(token, row of k ids) for each finite token; the others get the
// lowest ids.
template <typename Select>
std::vector<int32_t> SelectForEachToken(const GateProbabilities& probabilities,
                                        int32_t k, Select select) {
  const std::vector<int64_t>& order = probabilities.token_order;
  std::vector<int32_t> expert_ids(order.size() * static_cast<size_t>(k));
  for (size_t i = 0; i < order.size(); ++i) {
    int32_t* ids = expert_ids.data() + order[i] * k;
    if (static_cast<int64_t>(i) < probabilities.num_finite_tokens) {
      select(order[i], ids);
    } else {
      std::iota(ids, ids + k, 0);
    }
  }
  return expert_ids;
}

}  // namespace

std::vector<int32_t> SelectTop1(const GateProbabilities& probabilities,
                                ConstMatrix logits, ConstMatrix gumbel,
                                const std::vector<bool>& used_tokens) {
  // DeepSpeed compares probabilities where there is no noise, logits where
  // there is: in float32 two logits may differ and their probabilities not.
  const bool noisy = gumbel.num_elements() > 0;
  const NoisyLogits scores(noisy ? logits : ConstMatrix(probabilities.values),
                           gumbel);
  std::vector<int32_t> expert_ids = SelectForEachToken(
      probabilities, 1, [&scores](int64_t token, int32_t* ids) {
        ids[0] = static_cast<int32_t>(scores.ArgMax(token, kNoExpert));
      });
  for (size_t token = 0; token < expert_ids.size(); ++token) {
    if (!IsUsed(used_tokens, static_cast<int64_t>(token))) {
      expert_ids[token] = -1;
    }
  }
  return expert_ids;
}

std::vector<int32_t> SelectTop2(const GateProbabilities& probabilities,
                                ConstMatrix logits, ConstMatrix gumbel) {
  const NoisyLogits first(probabilities.values, ConstMatrix());
  const NoisyLogits second(logits, gumbel);
  return SelectForEachToken(
      probabilities, 2, [&first, &second](int64_t token, int32_t* ids) {
        ids[0] = static_cast<int32_t>(first.ArgMax(token, kNoExpert));
        ids[1] = static_cast<int32_t>(second.ArgMax(token, ids[0]));
      });
}

std::vector<int32_t> SelectTopK(const GateProbabilities& probabilities,
                                int32_t k) {
  const Tensor& values = probabilities.values;
  std::vector<int32_t> candidates(static_cast<size_t>(values.cols()));
  return SelectForEachToken(probabilities, k, [&](int64_t token, int32_t* ids) {
    const float* row = values.row(token);
    std::iota(candidates.begin(), candidates.end(), 0);
    std::partial_sort(candidates.begin(), candidates.begin() + k,
                      candidates.end(), [row](int32_t a, int32_t b) {
                        return row[a] > row[b] || (row[a] == row[b] && a < b);
                      });
    std::copy_n(candidates.begin(), k, ids);
  });
}

}  // namespace switchyard
