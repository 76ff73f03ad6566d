// Vector mathematics of activation.cc and gated_product.cc, for the instruction
// set that is being compiled: see Highway's foreach_target.h.
#if defined(SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_ACTIVATION_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_ACTIVATION_INL_H_
#undef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_ACTIVATION_INL_H_
#else
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_ACTIVATION_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <cstddef>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace switchyard {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Floats>;
constexpr Floats kFloats;

HWY_INLINE Vector Constant(float value) { return hn::Set(kFloats, value); }

// Where x is NaN, x.
HWY_INLINE Vector KeepNan(Vector x, Vector otherwise) {
  return hn::IfThenElse(hn::IsNaN(x), x, otherwise);
}

// c0 + c1 x + ... by Horner's rule.
HWY_INLINE Vector Polynomial(Vector, float c0) { return Constant(c0); }
template <typename... Rest>
HWY_INLINE Vector Polynomial(Vector x, float c0, Rest... rest) {
  return hn::MulAdd(x, Polynomial(x, rest...), Constant(c0));
}

// 1 / (1 + exp(-x)), without overflow: exp is taken of -|x| only.
HWY_INLINE Vector Sigmoid(Vector x) {
  const Vector one = Constant(1.0f);
  const Vector e = hn::Exp(kFloats, hn::Neg(hn::Abs(x)));
  const Vector numerator = hn::IfThenElse(hn::Lt(x, hn::Zero(kFloats)), e, one);
  return KeepNan(x, hn::Div(numerator, hn::Add(one, e)));
}

// Two polynomials of degree 5, fitted to erf(x) / x in x^2 up to 0.93 and to
// log(1 - erf(x)) / x up to 4, where erf is 1 in float32; both differ from them
// by less than 2e-8 of erf.
HWY_INLINE Vector Erf(Vector x) {
  const Vector t = hn::Min(hn::Abs(x), Constant(4.0f));
  const Vector near_zero = hn::Mul(
      x, Polynomial(hn::Mul(t, t), 1.12837911f, -0.37612495f, 0.11281803f,
                    -0.02676557f, 0.00499098096f, -0.00059768959f));
  const Vector log_rest =
      hn::Mul(t, Polynomial(t, -1.12850738f, -0.63574213f, -0.10523008f,
                            0.02286935f, -0.00320845214f, 0.000213187872f));
  const Vector far =
      hn::CopySign(hn::Sub(Constant(1.0f), hn::Exp(kFloats, log_rest)), x);
  return KeepNan(x, hn::IfThenElse(hn::Lt(t, Constant(0.93f)), near_zero, far));
}

// Each has Value, f(x), and Both, which returns f(x) and sets *derivative.

struct Relu {
  static HWY_INLINE Vector Value(Vector x) {
    // Written so that NaN is not taken for a negative number.
    return hn::IfThenZeroElse(hn::Le(x, hn::Zero(kFloats)), x);
  }
  static HWY_INLINE Vector Both(Vector x, Vector* derivative) {
    *derivative =
        hn::IfThenZeroElse(hn::Le(x, hn::Zero(kFloats)), Constant(1.0f));
    return Value(x);
  }
};

struct Gelu {
  // The normal distribution's cumulative function.
  static HWY_INLINE Vector Phi(Vector x) {
    const Vector erf = Erf(hn::Mul(x, Constant(0.70710678f)));
    return hn::Mul(Constant(0.5f), hn::Add(Constant(1.0f), erf));
  }
  static HWY_INLINE Vector Value(Vector x) { return hn::Mul(x, Phi(x)); }
  static HWY_INLINE Vector Both(Vector x, Vector* derivative) {
    const Vector phi = Phi(x);
    const Vector density =
        hn::Mul(Constant(0.39894228f),
                hn::Exp(kFloats, hn::Mul(hn::Mul(x, x), Constant(-0.5f))));
    *derivative = hn::Add(phi, hn::Mul(x, density));
    return hn::Mul(x, phi);
  }
};

// (1 + tanh u) / 2 = sigmoid(2 u).
struct GeluTanh {
  static constexpr float kTwoSqrt2OverPi = 1.59576912f;
  static constexpr float kCubic = 0.044715f;
  static HWY_INLINE Vector TwoU(Vector x) {
    return hn::Mul(hn::Mul(Constant(kTwoSqrt2OverPi), x),
                   hn::MulAdd(Constant(kCubic), hn::Mul(x, x), Constant(1.0f)));
  }
  static HWY_INLINE Vector Value(Vector x) {
    return hn::Mul(x, Sigmoid(TwoU(x)));
  }
  static HWY_INLINE Vector Both(Vector x, Vector* derivative) {
    // Beyond 12 the sigmoid is 0 or 1 in float32; squares of what is far beyond
    // are infinite, and 0 * infinity would be NaN.
    const Vector v = hn::Max(hn::Min(x, Constant(12.0f)), Constant(-12.0f));
    const Vector s = Sigmoid(TwoU(v));
    const Vector slope = hn::Mul(
        Constant(kTwoSqrt2OverPi),
        hn::MulAdd(Constant(3 * kCubic), hn::Mul(v, v), Constant(1.0f)));
    const Vector rise = hn::Mul(hn::Mul(s, hn::Sub(Constant(1.0f), s)), slope);
    *derivative = hn::MulAdd(v, rise, s);
    return Value(x);
  }
};

struct Silu {
  static HWY_INLINE Vector Value(Vector x) { return hn::Mul(x, Sigmoid(x)); }
  static HWY_INLINE Vector Both(Vector x, Vector* derivative) {
    const Vector one = Constant(1.0f);
    const Vector s = Sigmoid(x);
    *derivative = hn::Mul(s, hn::Add(one, hn::Mul(x, hn::Sub(one, s))));
    return hn::Mul(x, s);
  }
};

// Up to three arrays; those that are null are read as zeros, or not written.
struct Inputs {
  const float* arrays[3];
};
struct Outputs {
  float* arrays[3];
};

// Calls body(a, b, c) for vectors of the inputs' elements and stores what it
// made of them. An output may be an input.
template <typename Body>
HWY_INLINE void RunVector(const Inputs& in, const Outputs& out, size_t i,
                          const Body& body) {
  Vector v[3];
  for (size_t j = 0; j < 3; ++j) {
    v[j] = in.arrays[j] == nullptr ? hn::Zero(kFloats)
                                   : hn::LoadU(kFloats, in.arrays[j] + i);
  }
  body(v[0], v[1], v[2]);
  for (size_t j = 0; j < 3; ++j) {
    if (out.arrays[j] != nullptr) {
      hn::StoreU(v[j], kFloats, out.arrays[j] + i);
    }
  }
}

// RunVector for all of `size` elements. The last, short vector is filled up
// with zeros.
template <typename Body>
HWY_INLINE void ForEachVector(size_t size, const Inputs& in, const Outputs& out,
                              const Body& body) {
  const size_t lanes = hn::Lanes(kFloats);
  size_t i = 0;
  for (; i + lanes <= size; i += lanes) RunVector(in, out, i, body);
  if (i == size) return;
  const size_t tail_bytes = (size - i) * sizeof(float);
  float tails[3][16] = {};
  Inputs tail_in = {};
  Outputs tail_out = {};
  for (size_t j = 0; j < 3; ++j) {
    if (in.arrays[j] != nullptr) {
      std::memcpy(tails[j], in.arrays[j] + i, tail_bytes);
      tail_in.arrays[j] = tails[j];
    }
    if (out.arrays[j] != nullptr) tail_out.arrays[j] = tails[j];
  }
  RunVector(tail_in, tail_out, 0, body);
  for (size_t j = 0; j < 3; ++j) {
    if (out.arrays[j] != nullptr) {
      std::memcpy(out.arrays[j] + i, tails[j], tail_bytes);
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace switchyard
HWY_AFTER_NAMESPACE();

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_ACTIVATION_INL_H_
