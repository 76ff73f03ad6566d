#include "tests/training/reference_layer.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace switchyard::testing {
namespace {

using Vector = std::vector<double>;

// w [rows, v.size()] * v, plus b where it has elements.
Vector Affine(const Vector& w, const Vector& b, const Vector& v) {
  Vector out(w.size() / v.size(), 0.0);
  for (size_t i = 0; i < out.size(); ++i) {
    if (!b.empty()) out[i] = b[i];
    for (size_t j = 0; j < v.size(); ++j) out[i] += w[i * v.size() + j] * v[j];
  }
  return out;
}

double Sigmoid(double v) { return 1 / (1 + std::exp(-v)); }

double Activate(Activation activation, double v) {
  switch (activation) {
    case Activation::kRelu:
      return std::max(v, 0.0);
    case Activation::kGelu:
      return 0.5 * v * (1 + std::erf(v / std::sqrt(2.0)));
    case Activation::kGeluTanh:
      return 0.5 * v *
             (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
    case Activation::kSilu:
      return v / (1 + std::exp(-v));
  }
  return 0;
}

// A parameter, or nothing where the layer has none of that name.
Vector Get(const ReferenceInputs& inputs, const std::string& name) {
  const auto found = inputs.parameters.find(name);
  return found == inputs.parameters.end() ? Vector() : found->second;
}

// (u + 1) g sigmoid(alpha g) of the clamped, or act(g) u.
double GatedProduct(const GatedExpertSpec& gated, double g, double u) {
  if (!gated.clamp.has_value()) return Activate(gated.activation, g) * u;
  const double limit = gated.clamp->limit;
  g = std::min(g, limit);
  u = std::clamp(u, -limit, limit);
  return (u + 1) * g * Sigmoid(gated.clamp->alpha * g);
}

Vector Expert(const ExpertSpec& spec, const ReferenceInputs& inputs,
              const std::string& prefix, const Vector& token) {
  const auto affine = [&](const std::string& name, const Vector& v) {
    return Affine(Get(inputs, prefix + name + "weight"),
                  Get(inputs, prefix + name + "bias"), v);
  };
  if (const auto* mlp = std::get_if<MlpExpertSpec>(&spec)) {
    Vector inner = affine("fc1.", token);
    for (double& v : inner) v = Activate(mlp->activation, v);
    return affine("fc2.", inner);
  }
  if (const auto* gated = std::get_if<GatedExpertSpec>(&spec)) {
    Vector inner = affine("gate_proj.", token);
    const Vector up = affine("up_proj.", token);
    for (size_t i = 0; i < inner.size(); ++i) {
      inner[i] = GatedProduct(*gated, inner[i], up[i]);
    }
    return affine("down_proj.", inner);
  }
  if (std::holds_alternative<IdentityExpertSpec>(spec)) return token;
  return affine("", token);
}

Vector Softmax(Vector logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (double& v : logits) sum += v = std::exp(v - largest);
  for (double& v : logits) v /= sum;
  return logits;
}

// l_aux = A sum_e mean(p_e) f_e; f counts first choices for k <= 2, all
// choices above (deepspeed/moe/sharded_moe.py).
double AuxLoss(const LayerSpec& spec, const std::vector<Vector>& p,
               const ReferenceRoutes& routes) {
  const double num_tokens = static_cast<double>(p.size());
  Vector counts(static_cast<size_t>(spec.num_experts), 0.0);
  if (spec.gate.k <= 2) {
    for (const Vector& row : p) {
      ++counts[static_cast<size_t>(std::max_element(row.begin(), row.end()) -
                                   row.begin())];
    }
  } else {
    counts.assign(routes.expert_counts.begin(), routes.expert_counts.end());
  }
  double sum = 0;
  for (size_t e = 0; e < counts.size(); ++e) {
    double mean = 0;
    for (const Vector& row : p) mean += row[e] / num_tokens;
    sum += mean * counts[e] / num_tokens;
  }
  return sum * spec.num_experts / (spec.gate.k <= 2 ? 1 : spec.gate.k);
}

Vector Scores(const LayerSpec& spec, const Vector& logits) {
  if (spec.gate.score_function == ScoreFunction::kSoftmax) {
    return Softmax(logits);
  }
  Vector scores = logits;
  for (double& v : scores) {
    v = spec.gate.score_function == ScoreFunction::kSigmoid
            ? Sigmoid(v)
            : std::sqrt(std::log1p(std::exp(v)));
  }
  return scores;
}

// Of the routes of one token, none of them dropped where the normalisation
// makes a difference of it.
Vector RouteWeights(const LayerSpec& spec, const Vector& logits,
                    const Vector& scores, const std::vector<int32_t>& ids) {
  const GateSpec& gate = spec.gate;
  const bool over_softmax =
      gate.normalization == WeightNormalization::kChosenSoftmax;
  double sum = 0;
  Vector weights;
  for (const int32_t expert : ids) {
    const size_t e = static_cast<size_t>(expert);
    const double raw = expert < 0     ? 0.0
                       : over_softmax ? std::exp(logits[e])
                                      : scores[e];
    weights.push_back(raw);
    sum += raw;
  }
  const bool normalised =
      gate.normalization == WeightNormalization::kDeepSpeed
          ? gate.k > 1
          : gate.normalization != WeightNormalization::kNone;
  for (double& w : weights) {
    w = (normalised ? w / (sum + gate.normalization_epsilon) : w) *
        gate.scaling_factor;
  }
  return weights;
}

struct MixFactors {
  double experts = 1;
  double branch = 1;
};

MixFactors Mix(const LayerSpec& spec, const ReferenceInputs& inputs,
               const Vector& token) {
  MixFactors factors;
  switch (spec.dense_branch->mix) {
    case BranchMix::kSum:
      break;
    case BranchMix::kSigmoidGate:
      factors.branch =
          Sigmoid(Affine(Get(inputs, "dense_gate.weight"), {}, token)[0]);
      break;
    case BranchMix::kCoefficients: {
      const Vector c = Softmax(Affine(Get(inputs, "coefficient.weight"),
                                      Get(inputs, "coefficient.bias"), token));
      factors = {.experts = c[0], .branch = c[1]};
      break;
    }
    case BranchMix::kScale:
      factors.branch = Get(inputs, "dense_scale")[0];
      break;
  }
  return factors;
}

double Dot(const Vector& a, const double* b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// <y, g> of one token.
double TokenLoss(const LayerSpec& spec, const ReferenceInputs& inputs,
                 const Vector& token, const std::vector<int32_t>& ids,
                 const Vector& weights, const double* g) {
  const bool on_input =
      spec.gate.weight_application == WeightApplication::kInput;
  double loss = 0;
  for (size_t r = 0; r < ids.size(); ++r) {
    if (ids[r] < 0) continue;
    Vector in = token;
    if (on_input) {
      for (double& v : in) v *= weights[r];
    }
    const Vector out =
        Expert(spec.expert, inputs, absl::StrCat("experts.", ids[r], "."), in);
    loss += (on_input ? 1.0 : weights[r]) * Dot(out, g);
  }
  if (!spec.dense_branch.has_value()) return loss;
  const MixFactors factors = Mix(spec, inputs, token);
  const Vector out = Expert(spec.dense_branch->expert, inputs, "dense.", token);
  return factors.experts * loss + factors.branch * Dot(out, g);
}

}  // namespace

double ReferenceLoss(const LayerSpec& spec, const ReferenceInputs& inputs,
                     const ReferenceRoutes& routes,
                     const std::vector<double>& g, double alpha) {
  const size_t hidden = static_cast<size_t>(spec.hidden_size);
  const size_t k =
      routes.expert_ids.size() / static_cast<size_t>(inputs.num_tokens);
  std::vector<Vector> p;
  double loss = 0;
  for (size_t t = 0; t < static_cast<size_t>(inputs.num_tokens); ++t) {
    const auto at = [](const auto& v, size_t i) {
      return v.begin() + static_cast<ptrdiff_t>(i);
    };
    const Vector token(at(inputs.x, t * hidden),
                       at(inputs.x, (t + 1) * hidden));
    const std::vector<int32_t> ids(at(routes.expert_ids, t * k),
                                   at(routes.expert_ids, (t + 1) * k));
    const Vector logits =
        Affine(Get(inputs, "gate.weight"), Get(inputs, "gate.bias"), token);
    p.push_back(Scores(spec, logits));
    const Vector weights = inputs.topk_weights.empty()
                               ? RouteWeights(spec, logits, p.back(), ids)
                               : Vector(at(inputs.topk_weights, t * k),
                                        at(inputs.topk_weights, (t + 1) * k));
    loss += TokenLoss(spec, inputs, token, ids, weights, &g[t * hidden]);
  }
  return alpha == 0 ? loss : loss + alpha * AuxLoss(spec, p, routes);
}

}  // namespace switchyard::testing
