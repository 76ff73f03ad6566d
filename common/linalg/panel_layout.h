#ifndef SWITCHYARD_COMMON_LINALG_PANEL_LAYOUT_H_
#define SWITCHYARD_COMMON_LINALG_PANEL_LAYOUT_H_

#include <cstdint>

namespace switchyard {

// How a weight W [out, in] lies in memory so that a product reads it once, from
// front to back: `kPanelWidth` outputs form a panel, in which their weights of
// one input are neighbours. Element (o, i) is at
//
//   (o / kPanelWidth) * in * kPanelWidth + i * kPanelWidth + o % kPanelWidth.
//
// The last panel is filled up with zeros, which products neither show nor
// change: every update of a zero with a zero gradient must leave it zero.
inline constexpr int64_t kPanelWidth = 32;

constexpr int64_t NumPanels(int64_t num_outputs) {
  return (num_outputs + kPanelWidth - 1) / kPanelWidth;
}

constexpr int64_t PanelElements(int64_t num_outputs, int64_t num_inputs) {
  return NumPanels(num_outputs) * kPanelWidth * num_inputs;
}

// Where element `row_major_idx` of the weight as a row-major matrix is.
constexpr int64_t PanelIndex(int64_t row_major_idx, int64_t num_inputs) {
  const int64_t output = row_major_idx / num_inputs;
  const int64_t input = row_major_idx % num_inputs;
  return (output / kPanelWidth * num_inputs + input) * kPanelWidth +
         output % kPanelWidth;
}

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_LINALG_PANEL_LAYOUT_H_
