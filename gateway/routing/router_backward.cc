#include "gateway/routing/router_backward.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "gateway/routing/aux_losses.h"
#include "gateway/routing/combine_weights.h"
#include "gateway/routing/gate_scores.h"
#include "gateway/routing/sparse_mixer.h"

namespace switchyard {
namespace {

// Takes one token after another back through the router; working memory is kept
// between them.
class TokenBackward {
 public:
  TokenBackward(const LayerSpec& spec, const RoutingDecision& decision,
                float grad_aux_loss)
      : gate_(spec.gate),
        decision_(decision),
        grad_aux_loss_(grad_aux_loss),
        rule_(WeightRuleOf(spec.gate)),
        aux_losses_(AuxLossesOf(spec.gate)),
        num_experts_(static_cast<size_t>(spec.num_experts)),
        run_idx_(aux_losses_.size(), 0),
        grad_weights_(static_cast<size_t>(decision.k)),
        grad_raw_(grad_weights_.size()),
        grad_scores_(num_experts_),
        grad_probabilities_(num_experts_),
        scratch_(num_experts_),
        thresholds_(spec.num_experts, spec.gate.k) {}

  // Writes d loss / d logits of `token`, which must rise from call to call.
  void Run(int64_t token, absl::Span<const float> route_dots,
           absl::Span<float> grad_logits) {
    std::fill(grad_logits.begin(), grad_logits.end(), 0.0f);
    std::fill(grad_scores_.begin(), grad_scores_.end(), 0.0f);
    FillWeightGradients(token, route_dots);
    const TokenChoices choices = ChoicesOf(token);
    CombineWeightsBackward(rule_, choices, grad_weights_,
                           absl::MakeSpan(grad_raw_));
    if (gate_.selection == Selection::kSparseMixer) {
      SparseMixerBackward(gate_.sparsemixer_epsilon,
                          {decision_.logits.row(token), num_experts_},
                          choices.chosen_ids, MixerGradients(choices),
                          absl::MakeSpan(scratch_), grad_logits);
    } else if (gate_.normalization == WeightNormalization::kChosenSoftmax) {
      ChosenSoftmaxBackward(choices, grad_logits);
    } else {
      for (size_t r = 0; r < grad_raw_.size(); ++r) {
        if (choices.chosen_ids[r] < 0) continue;
        grad_scores_[static_cast<size_t>(choices.chosen_ids[r])] +=
            grad_raw_[r];
      }
    }
    AddAuxGradients(token, grad_logits);
    ScoresBackward(gate_.score_function, decision_.scores.row(token),
                   static_cast<int64_t>(num_experts_), grad_scores_.data());
    for (size_t e = 0; e < num_experts_; ++e) grad_logits[e] += grad_scores_[e];
  }

 private:
  TokenChoices ChoicesOf(int64_t token) const {
    const size_t k = grad_weights_.size();
    const size_t begin = static_cast<size_t>(token) * k;
    return {absl::MakeConstSpan(decision_.raw_weights).subspan(begin, k),
            absl::MakeConstSpan(decision_.chosen_ids).subspan(begin, k),
            absl::MakeConstSpan(decision_.expert_ids).subspan(begin, k)};
  }

  float AuxFactor(size_t term) const {
    return grad_aux_loss_ * aux_losses_[term].coefficient;
  }

  // From the caller, and from IMPORTANCE.
  void FillWeightGradients(int64_t token, absl::Span<const float> route_dots) {
    const size_t begin = static_cast<size_t>(token) * grad_weights_.size();
    for (size_t r = 0; r < grad_weights_.size(); ++r) {
      const int32_t expert = decision_.expert_ids[begin + r];
      grad_weights_[r] = expert < 0 ? 0.0f : route_dots[begin + r];
      if (expert < 0) continue;
      for (size_t i = 0; i < aux_losses_.size(); ++i) {
        if (aux_losses_[i].kind != AuxLossKind::kImportance) continue;
        grad_weights_[r] +=
            AuxFactor(i) *
            decision_.aux_term_slopes[i].slopes[static_cast<size_t>(expert)];
      }
    }
  }

  // The mixer's own backward leaves out the factor h that raw weights include.
  absl::Span<const float> MixerGradients(const TokenChoices& choices) {
    for (size_t r = 0; r < grad_raw_.size(); ++r) {
      if (choices.kept_ids[r] < 0) grad_raw_[r] = 0.0f;
    }
    return grad_raw_;
  }

  void ChosenSoftmaxBackward(const TokenChoices& choices,
                             absl::Span<float> grad_logits) const {
    double mean = 0;
    for (size_t r = 0; r < grad_raw_.size(); ++r) {
      mean += double{choices.raw_weights[r]} * double{grad_raw_[r]};
    }
    for (size_t r = 0; r < grad_raw_.size(); ++r) {
      if (choices.chosen_ids[r] < 0) continue;
      grad_logits[static_cast<size_t>(choices.chosen_ids[r])] +=
          choices.raw_weights[r] * (grad_raw_[r] - static_cast<float>(mean));
    }
  }

  bool IsUsed(int64_t token) const {
    return decision_.used_tokens.empty() ||
           decision_.used_tokens[static_cast<size_t>(token)];
  }

  void AddAuxGradients(int64_t token, absl::Span<float> grad_logits) {
    // DeepSpeed's own loss is a mean over unused tokens too.
    if (!IsUsed(token) && !gate_.aux_losses.empty()) return;
    std::fill(grad_probabilities_.begin(), grad_probabilities_.end(), 0.0f);
    for (size_t i = 0; i < aux_losses_.size(); ++i) {
      const AuxLossKind kind = aux_losses_[i].kind;
      if (IsBalanceTerm(kind)) {
        AddBalanceGradient(token, i);
      } else if (kind == AuxLossKind::kZ) {
        AddZGradient(token, i, grad_logits);
      } else if (kind == AuxLossKind::kLoad &&
                 decision_.clean_logits.num_elements() > 0) {
        AddLoadGradient(token, i, grad_logits);
      }
    }
    ProbabilitiesBackward(token);
  }

  // The run of the term that holds the token.
  void AddBalanceGradient(int64_t token, size_t term) {
    const AuxTermSlopes& slopes = decision_.aux_term_slopes[term];
    while (token >= slopes.runs[run_idx_[term]].end) ++run_idx_[term];
    const float* row = slopes.slopes.data() + run_idx_[term] * num_experts_;
    for (size_t e = 0; e < num_experts_; ++e) {
      grad_probabilities_[e] += AuxFactor(term) * row[e];
    }
  }

  // d log(sum exp l)^2 / d l_e = 2 log(sum exp l) softmax(l)_e.
  void AddZGradient(int64_t token, size_t term,
                    absl::Span<float> grad_logits) const {
    const float* logits = decision_.logits.row(token);
    const double max = *std::max_element(logits, logits + num_experts_);
    double sum = 0;
    for (size_t e = 0; e < num_experts_; ++e) {
      sum += std::exp(double{logits[e]} - max);
    }
    const double log_sum = max + std::log(sum);
    const double factor = 2 * log_sum * double{AuxFactor(term)} *
                          double{decision_.aux_term_slopes[term].slopes[0]};
    for (size_t e = 0; e < num_experts_; ++e) {
      grad_logits[e] +=
          static_cast<float>(factor * std::exp(double{logits[e]} - log_sum));
    }
  }

  void AddLoadGradient(int64_t token, size_t term,
                       absl::Span<float> grad_logits) {
    constexpr double kInverseSqrt2Pi = 0.39894228040143267794;
    // A NaN has no place in a ranking; the row's gradient is NaN anyway.
    if (std::isnan(decision_.scores.row(token)[0])) return;
    const float* clean = decision_.clean_logits.row(token);
    thresholds_.SetToken(decision_.logits.row(token));
    for (size_t e = 0; e < num_experts_; ++e) {
      const auto threshold = thresholds_.Of(static_cast<int64_t>(e));
      if (threshold.expert < 0) continue;
      const double z = (double{clean[e]} - double{threshold.logit}) /
                       double{gate_.gaussian_std};
      const float grad = static_cast<float>(
          double{AuxFactor(term)} *
          double{decision_.aux_term_slopes[term].slopes[e]} * kInverseSqrt2Pi *
          std::exp(-0.5 * z * z) / double{gate_.gaussian_std});
      grad_logits[e] += grad;
      grad_logits[static_cast<size_t>(threshold.expert)] -= grad;
    }
  }

  // From probabilities to scores: p = s / sum(s), unless s is a softmax.
  void ProbabilitiesBackward(int64_t token) {
    if (gate_.score_function == ScoreFunction::kSoftmax) {
      for (size_t e = 0; e < num_experts_; ++e) {
        grad_scores_[e] += grad_probabilities_[e];
      }
      return;
    }
    const float* scores = decision_.scores.row(token);
    const double sum = std::accumulate(scores, scores + num_experts_, 0.0);
    if (sum == 0) return;
    double mean = 0;
    for (size_t e = 0; e < num_experts_; ++e) {
      mean += double{scores[e]} / sum * double{grad_probabilities_[e]};
    }
    for (size_t e = 0; e < num_experts_; ++e) {
      grad_scores_[e] +=
          static_cast<float>((double{grad_probabilities_[e]} - mean) / sum);
    }
  }

  const GateSpec& gate_;
  const RoutingDecision& decision_;
  const float grad_aux_loss_;
  const WeightRule rule_;
  const std::vector<AuxLossSpec> aux_losses_;
  const size_t num_experts_;
  // Of each term.
  std::vector<size_t> run_idx_;
  std::vector<float> grad_weights_;
  std::vector<float> grad_raw_;
  std::vector<float> grad_scores_;
  std::vector<float> grad_probabilities_;
  std::vector<float> scratch_;
  LoadThresholds thresholds_;
};

}  // namespace

Tensor LogitsGradient(const LayerSpec& spec, const RoutingDecision& decision,
                      absl::Span<const float> route_dots, float grad_aux_loss) {
  Tensor grad = Tensor::Uninitialized({decision.num_tokens, spec.num_experts});
  TokenBackward backward(spec, decision, grad_aux_loss);
  for (int64_t token = 0; token < decision.num_tokens; ++token) {
    backward.Run(token, route_dots,
                 {grad.row(token), static_cast<size_t>(spec.num_experts)});
  }
  return grad;
}

}  // namespace switchyard
