#include "tests/training/reference_layer.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace switchyard::testing {
namespace {

using Vector = std::vector<double>;

// w [rows, v.size()] * v, plus b.
Vector Affine(const Vector& w, const Vector& b, const Vector& v) {
  Vector out(b);
  for (size_t i = 0; i < out.size(); ++i) {
    for (size_t j = 0; j < v.size(); ++j) out[i] += w[i * v.size() + j] * v[j];
  }
  return out;
}

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

Vector Expert(const LayerSpec& spec, const ReferenceInputs& inputs,
              int32_t expert, const Vector& token) {
  const auto get = [&](const char* suffix) -> const Vector& {
    return inputs.parameters.at(absl::StrCat("experts.", expert, ".", suffix));
  };
  const auto* mlp = std::get_if<MlpExpertSpec>(&spec.expert);
  if (mlp == nullptr) return Affine(get("weight"), get("bias"), token);
  Vector inner = Affine(get("fc1.weight"), get("fc1.bias"), token);
  for (double& v : inner) v = Activate(mlp->activation, v);
  return Affine(get("fc2.weight"), get("fc2.bias"), inner);
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

}  // namespace

double ReferenceLoss(const LayerSpec& spec, const ReferenceInputs& inputs,
                     const ReferenceRoutes& routes,
                     const std::vector<double>& g, double alpha) {
  const size_t hidden = static_cast<size_t>(spec.hidden_size);
  const size_t k = static_cast<size_t>(spec.gate.k);
  std::vector<Vector> p;
  double loss = 0;
  for (size_t t = 0; t < static_cast<size_t>(inputs.num_tokens); ++t) {
    const Vector token(
        inputs.x.begin() + static_cast<ptrdiff_t>(t * hidden),
        inputs.x.begin() + static_cast<ptrdiff_t>((t + 1) * hidden));
    p.push_back(Softmax(
        Affine(inputs.parameters.at("gate.weight"),
               Vector(static_cast<size_t>(spec.num_experts), 0.0), token)));
    double kept_sum = 0;
    for (size_t r = 0; r < k; ++r) {
      const int32_t expert = routes.expert_ids[t * k + r];
      if (expert >= 0) kept_sum += p[t][static_cast<size_t>(expert)];
    }
    for (size_t r = 0; r < k; ++r) {
      const int32_t expert = routes.expert_ids[t * k + r];
      if (expert < 0) continue;
      const double weight =
          p[t][static_cast<size_t>(expert)] / (k == 1 ? 1.0 : kept_sum);
      const Vector out = Expert(spec, inputs, expert, token);
      for (size_t j = 0; j < hidden; ++j) {
        loss += weight * out[j] * g[t * hidden + j];
      }
    }
  }
  return loss + alpha * AuxLoss(spec, p, routes);
}

}  // namespace switchyard::testing
