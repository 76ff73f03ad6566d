// The innermost loops of panel_products.h: one variant per instruction set, the
// best one chosen at run time (Highway). Variants with fused multiply-add agree
// to the last bit, as each result is one chain of them whatever the width of a
// vector; the one without it, for CPUs older than 2013, rounds twice.
// Thread-safe.
#ifndef SWITCHYARD_COMMON_LINALG_PANEL_KERNELS_H_
#define SWITCHYARD_COMMON_LINALG_PANEL_KERNELS_H_

#include <cstdint>

#include "common/tensor/dtype.h"

namespace switchyard {

// Rows of the left operand that are multiplied at a time. In a tile the rows'
// elements of one column are neighbours: [depth][kTileRows].
inline constexpr int64_t kTileRows = 12;

// c [num_rows, kPanelWidth] = start + a b, with start = c where `accumulate`,
// else 0; a is a tile, b [depth, kPanelWidth] in `dtype`. Products are added by
// rising depth. b is aligned to 32 elements of its dtype, the rest to floats.
void MultiplyTile(int64_t num_rows, int64_t depth, const float* a,
                  const void* b, DType dtype, float* c, int64_t c_stride,
                  bool accumulate);

// tile [depth][kTileRows] from `num_rows` rows of `depth` elements that are
// `row_stride` apart. What is beyond num_rows stays as it was.
void PackTile(const float* rows, int64_t row_stride, int64_t num_rows,
              int64_t depth, float* tile);

// panel [depth][kPanelWidth] from rows as PackTile's; what is beyond num_rows
// becomes 0.
void PackPanelOfRows(const float* rows, int64_t row_stride, int64_t num_rows,
                     int64_t depth, float* panel);

// out [kPanelWidth][kPanelWidth], with rows `out_stride` apart, becomes `in`
// [num_rows][kPanelWidth] transposed; columns beyond num_rows become 0.
void TransposeBlock(const float* in, int64_t num_rows, float* out,
                    int64_t out_stride);

// The instruction set in use, as Highway names it, e.g. "AVX3".
const char* InstructionSetName();

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_LINALG_PANEL_KERNELS_H_
