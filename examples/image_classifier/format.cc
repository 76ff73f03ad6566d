#include "examples/image_classifier/format.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace switchyard::image_classifier {

std::string FormatCount(int64_t count) {
  const std::string digits = absl::StrCat(count);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    const bool after_a_digit = i > (count < 0 ? 1u : 0u);
    if (after_a_digit && (digits.size() - i) % 3 == 0) text.push_back(',');
    text.push_back(digits[i]);
  }
  return text;
}

std::string FormatShare(double share) {
  return absl::StrFormat("%.1f %%", 100 * share);
}

std::string FormatMinutes(double seconds) {
  const int64_t whole = std::llround(std::max(seconds, 0.0));
  return absl::StrFormat("%d:%02d", whole / 60, whole % 60);
}

std::vector<double> Shares(absl::Span<const int64_t> values) {
  const int64_t sum = std::accumulate(values.begin(), values.end(), int64_t{0});
  std::vector<double> shares(values.size(), 0.0);
  if (sum == 0) return shares;
  std::transform(values.begin(), values.end(), shares.begin(),
                 [sum](int64_t value) {
                   return static_cast<double>(value) / static_cast<double>(sum);
                 });
  return shares;
}

std::string FormatBalance(absl::Span<const int64_t> expert_tokens) {
  constexpr size_t kMostSpelledOut = 8;
  const std::vector<double> shares = Shares(expert_tokens);
  if (shares.empty()) return "";
  if (shares.size() > kMostSpelledOut) {
    const auto [least, most] =
        std::minmax_element(shares.begin(), shares.end());
    return absl::StrFormat("%.1f to %.1f %%", 100 * *least, 100 * *most);
  }
  std::string text;
  for (const double share : shares) {
    absl::StrAppendFormat(&text, "%.0f ", 100 * share);
  }
  text.push_back('%');
  return text;
}

}  // namespace switchyard::image_classifier
