#include "gateway/routing/routing_decision.h"

namespace switchyard {
namespace {

template <typename T>
int64_t VectorBytes(const std::vector<T>& v) {
  return static_cast<int64_t>(v.size() * sizeof(T));
}

}  // namespace

int64_t RoutingDecision::size_bytes() const {
  int64_t bytes = scores.size_bytes() + logits.size_bytes() +
                  clean_logits.size_bytes() + VectorBytes(expert_ids) +
                  VectorBytes(slots) + VectorBytes(weights) +
                  VectorBytes(chosen_ids) + VectorBytes(raw_weights) +
                  VectorBytes(expert_counts) + VectorBytes(kept_counts) +
                  VectorBytes(aux_loss_terms) +
                  static_cast<int64_t>(used_tokens.size() / 8);
  for (const AuxTermSlopes& term : aux_term_slopes) {
    bytes += VectorBytes(term.runs) + VectorBytes(term.slopes);
  }
  return bytes;
}

}  // namespace switchyard
