// Numbers as people read them.
#ifndef SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_FORMAT_H_
#define SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_FORMAT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace switchyard::image_classifier {

// 1234567 -> "1,234,567".
std::string FormatCount(int64_t count);

// 0.2512 -> "25.1 %".
std::string FormatShare(double share);

// 75 -> "1:15".
std::string FormatMinutes(double seconds);

// Each value divided by the sum of all; zeros where the sum is 0.
std::vector<double> Shares(absl::Span<const int64_t> values);

// "26 24 25 25 %" for up to 8 experts, "1.2 to 2.3 %" for more.
std::string FormatBalance(absl::Span<const int64_t> expert_tokens);

}  // namespace switchyard::image_classifier

#endif  // SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_FORMAT_H_
