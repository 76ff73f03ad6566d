#ifndef SWITCHYARD_EXPERT_WORKER_STORE_PARAMETER_LAYOUT_H_
#define SWITCHYARD_EXPERT_WORKER_STORE_PARAMETER_LAYOUT_H_

#include <algorithm>
#include <cstdint>

#include "common/linalg/panel_layout.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// Where the elements of a parameter lie in a worker's memory. To its users a
// parameter is row-major; a weight [out, in] is stored in panels, which may
// have more elements (common/linalg/panel_layout.h), a bias as it is.
class ParameterLayout {
 public:
  // Of one or two extents, as all experts' parameters are.
  explicit ParameterLayout(const Shape& shape)
      : num_outputs_(shape[0]), num_inputs_(shape.size() == 2 ? shape[1] : 0) {}

  bool in_panels() const { return num_inputs_ > 0; }
  int64_t num_outputs() const { return num_outputs_; }
  int64_t num_inputs() const { return num_inputs_; }
  int64_t num_elements() const {
    return in_panels() ? num_outputs_ * num_inputs_ : num_outputs_;
  }
  int64_t num_stored() const {
    return in_panels() ? PanelElements(num_outputs_, num_inputs_)
                       : num_outputs_;
  }

  // Calls body(done, stored, stride, n) for runs of the row-major elements
  // [offset, offset + count): the n elements from offset + `done` on are stored
  // at `stored`, `stored` + `stride` and so on. A run lies in one row.
  template <typename Body>
  void ForEachRun(int64_t offset, int64_t count, Body body) const {
    if (!in_panels()) return body(int64_t{0}, offset, int64_t{1}, count);
    for (int64_t done = 0; done < count;) {
      const int64_t idx = offset + done;
      const int64_t n = std::min(count - done, num_inputs_ - idx % num_inputs_);
      body(done, PanelIndex(idx, num_inputs_), kPanelWidth, n);
      done += n;
    }
  }

 private:
  int64_t num_outputs_;
  // 0: not a matrix.
  int64_t num_inputs_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_STORE_PARAMETER_LAYOUT_H_
