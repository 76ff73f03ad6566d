#include "common/linalg/panel_products.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "common/linalg/panel_kernels.h"
#include "common/tensor/float_formats.h"

namespace switchyard {
namespace {

// Blocks in the sense of Goto and van de Geijn (2008, "Anatomy of
// high-performance matrix multiplication"): a block of packed rows, 384 KiB,
// stays in a core's L2 while panels of 64 KiB stream past it.
constexpr int64_t kBlockRows = 192;
constexpr int64_t kBlockDepth = 512;
constexpr int64_t kTilesFloats = kBlockRows * kBlockDepth;
constexpr int64_t kPanelFloats = kBlockDepth * kPanelWidth;
static_assert(kBlockRows % kTileRows == 0);
static_assert(kBlockDepth % kPanelWidth == 0);
static_assert(kProductScratchFloats == kTilesFloats + 2 * kPanelFloats);

// Parts of the scratch.
float* Tiles(float* scratch) { return scratch; }
float* PackedPanel(float* scratch) { return scratch + kTilesFloats; }
float* WidenedBlock(float* scratch) {
  return scratch + kTilesFloats + kPanelFloats;
}

// Rows in one tile need no block: all depth that fits is one.
int64_t BlockDepth(int64_t num_rows) {
  return num_rows <= kTileRows ? kTilesFloats / kTileRows : kBlockDepth;
}

// Rows of the block as tiles, each of `depth` columns from `column` on.
void PackRows(ConstMatrix x, int64_t first_row, int64_t num_rows,
              int64_t column, int64_t depth, float* tiles) {
  for (int64_t row = 0; row < num_rows; row += kTileRows) {
    PackTile(x.row(first_row + row) + column, x.num_cols,
             std::min(kTileRows, num_rows - row), depth, tiles + row * depth);
  }
}

const void* ElementAt(const PanelWeight& weight, int64_t offset) {
  return static_cast<const char*>(weight.data) + offset * SizeOf(weight.dtype);
}

// MultiplyTile for a result of which the last panel may have fewer columns than
// kPanelWidth.
void MultiplyTileOf(int64_t num_rows, int64_t depth, const float* a,
                    const void* b, DType dtype, int64_t num_columns, float* c,
                    int64_t c_stride, bool accumulate) {
  if (num_columns == kPanelWidth) {
    return MultiplyTile(num_rows, depth, a, b, dtype, c, c_stride, accumulate);
  }
  float whole[kTileRows * kPanelWidth] = {};
  const size_t row_bytes = static_cast<size_t>(num_columns) * sizeof(float);
  if (accumulate) {
    for (int64_t i = 0; i < num_rows; ++i) {
      std::memcpy(whole + i * kPanelWidth, c + i * c_stride, row_bytes);
    }
  }
  MultiplyTile(num_rows, depth, a, b, dtype, whole, kPanelWidth, accumulate);
  for (int64_t i = 0; i < num_rows; ++i) {
    std::memcpy(c + i * c_stride, whole + i * kPanelWidth, row_bytes);
  }
}

// Lines of memory that will be needed in a moment: what is read in pieces of a
// few KiB is not foreseen by the processor.
void Prefetch(const void* begin, int64_t num_bytes) {
  constexpr int64_t kLineBytes = 64;
  const char* line = static_cast<const char*>(begin);
  for (int64_t i = 0; i < num_bytes; i += kLineBytes) {
    __builtin_prefetch(line + i, 0, 2);
  }
}

// One packed block of rows times one panel of `depth` inputs; `b` and `c` are
// those of the block's first tile.
void MultiplyBlock(int64_t num_rows, int64_t depth, const float* tiles,
                   const void* b, DType dtype, int64_t num_columns, float* c,
                   int64_t c_stride, bool accumulate) {
  for (int64_t row = 0; row < num_rows; row += kTileRows) {
    const int64_t next_end = std::min(row + 2 * kTileRows, num_rows);
    for (int64_t next = row + kTileRows; next < next_end; ++next) {
      Prefetch(c + next * c_stride, kPanelWidth * sizeof(float));
    }
    MultiplyTileOf(std::min(kTileRows, num_rows - row), depth,
                   tiles + row * depth, b, dtype, num_columns,
                   c + row * c_stride, c_stride, accumulate);
  }
}

void ScaleColumns(const float* scales, int64_t num_rows, int64_t num_columns,
                  float* y, int64_t y_stride) {
  for (int64_t i = 0; i < num_rows; ++i, y += y_stride) {
    for (int64_t j = 0; j < num_columns; ++j) y[j] *= scales[j];
  }
}

// Calls body(begin, size) for pieces of [0, total) of at most `step`.
template <typename Body>
void ForEachBlock(int64_t total, int64_t step, Body body) {
  for (int64_t begin = 0; begin < total; begin += step) {
    body(begin, std::min(step, total - begin));
  }
}

// [num_outputs, kPanelWidth]: the weights of a block of inputs, for outputs
// from `output` on, output by output. What is beyond the weight is 0.
void PackInputBlock(const PanelWeight& weight, int64_t input, int64_t output,
                    int64_t num_outputs, float* widened, float* packed) {
  const int64_t num_inputs = std::min(kPanelWidth, weight.num_inputs - input);
  ForEachBlock(num_outputs, kPanelWidth, [&](int64_t begin, int64_t) {
    const int64_t first = (output + begin) * weight.num_inputs;
    const void* block = ElementAt(weight, first + input * kPanelWidth);
    const int64_t block_bytes =
        kPanelWidth * kPanelWidth * SizeOf(weight.dtype);
    const float* floats = static_cast<const float*>(block);
    if (weight.dtype != DType::kFloat32) {
      Widen(static_cast<const char*>(block), weight.dtype,
            absl::MakeSpan(widened,
                           static_cast<size_t>(num_inputs * kPanelWidth)));
      floats = widened;
    }
    TransposeBlock(floats, num_inputs, packed + begin * kPanelWidth,
                   kPanelWidth);
    if (input + kPanelWidth < weight.num_inputs) {
      Prefetch(static_cast<const char*>(block) + block_bytes, block_bytes);
    }
  });
}

// Tiles of columns: [num_columns / kTileRows][num_rows][kTileRows], those of
// `x` from `column` on.
void PackColumns(ConstMatrix x, int64_t first_row, int64_t num_rows,
                 int64_t column, int64_t num_columns, float* tiles) {
  ForEachBlock(num_columns, kTileRows, [&](int64_t begin, int64_t size) {
    float* tile = tiles + begin * num_rows;
    for (int64_t i = 0; i < num_rows; ++i, tile += kTileRows) {
      const float* from = x.row(first_row + i) + column + begin;
      std::copy_n(from, size, tile);
    }
  });
}

// [num_rows][kPanelWidth]: columns of `grad_y` from `column` on, filled up with
// zeros.
void PackPanel(ConstMatrix grad_y, int64_t first_row, int64_t num_rows,
               int64_t column, float* packed) {
  const int64_t num_columns = std::min(kPanelWidth, grad_y.num_cols - column);
  for (int64_t i = 0; i < num_rows; ++i, packed += kPanelWidth) {
    const float* from = grad_y.row(first_row + i) + column;
    std::fill(std::copy_n(from, num_columns, packed), packed + kPanelWidth,
              0.0f);
  }
}

}  // namespace

void MultiplyPanels(ConstMatrix x, const PanelWeight& weight, PanelRange panels,
                    bool accumulate, float* y, float* scratch) {
  const int64_t num_inputs = weight.num_inputs;
  const int64_t num_outputs = weight.num_outputs;
  const auto multiply = [&](int64_t row, int64_t num_rows, int64_t input,
                            int64_t depth) {
    PackRows(x, row, num_rows, input, depth, Tiles(scratch));
    const bool last = input + depth == num_inputs;
    for (int64_t p = panels.first; p < panels.first + panels.count; ++p) {
      const int64_t output = p * kPanelWidth;
      const int64_t num_columns = std::min(kPanelWidth, num_outputs - output);
      float* y_block = y + row * num_outputs + output;
      MultiplyBlock(
          num_rows, depth, Tiles(scratch),
          ElementAt(weight, output * num_inputs + input * kPanelWidth),
          weight.dtype, num_columns, y_block, num_outputs,
          accumulate || input > 0);
      if (last && weight.dtype == DType::kInt8) {
        ScaleColumns(weight.output_scales + output, num_rows, num_columns,
                     y_block, num_outputs);
      }
    }
  };
  ForEachBlock(x.num_rows, kBlockRows, [&](int64_t row, int64_t num_rows) {
    ForEachBlock(num_inputs, BlockDepth(num_rows),
                 [&](int64_t input, int64_t depth) {
                   multiply(row, num_rows, input, depth);
                 });
  });
}

void MultiplyTransposed(ConstMatrix grad_y, const PanelWeight& weight,
                        PanelRange input_blocks, bool accumulate, float* grad_x,
                        float* scratch) {
  const int64_t num_inputs = weight.num_inputs;
  const auto multiply = [&](int64_t row, int64_t num_rows, int64_t output,
                            int64_t depth) {
    PackRows(grad_y, row, num_rows, output, depth, Tiles(scratch));
    for (int64_t block = input_blocks.first;
         block < input_blocks.first + input_blocks.count; ++block) {
      const int64_t input = block * kPanelWidth;
      PackInputBlock(weight, input, output, depth, WidenedBlock(scratch),
                     PackedPanel(scratch));
      MultiplyBlock(num_rows, depth, Tiles(scratch), PackedPanel(scratch),
                    DType::kFloat32, std::min(kPanelWidth, num_inputs - input),
                    grad_x + row * num_inputs + input, num_inputs,
                    accumulate || output > 0);
    }
  };
  ForEachBlock(grad_y.num_rows, kBlockRows, [&](int64_t row, int64_t num_rows) {
    ForEachBlock(weight.num_outputs, kBlockDepth,
                 [&](int64_t output, int64_t depth) {
                   multiply(row, num_rows, output, depth);
                 });
  });
}

void WeightGradient(ConstMatrix grad_y, ConstMatrix x, PanelRange panels,
                    bool accumulate, float* gradient, float* scratch) {
  const int64_t num_inputs = x.num_cols;
  if (grad_y.num_rows == 0 && !accumulate) {
    const int64_t panel_elements = kPanelWidth * num_inputs;
    std::fill_n(gradient + panels.first * panel_elements,
                panels.count * panel_elements, 0.0f);
  }
  const auto add = [&](int64_t row, int64_t num_rows, int64_t input,
                       int64_t num_columns) {
    PackColumns(x, row, num_rows, input, num_columns, Tiles(scratch));
    for (int64_t p = panels.first; p < panels.first + panels.count; ++p) {
      const int64_t output = p * kPanelWidth;
      PackPanel(grad_y, row, num_rows, output, PackedPanel(scratch));
      MultiplyBlock(num_columns, num_rows, Tiles(scratch), PackedPanel(scratch),
                    DType::kFloat32, kPanelWidth,
                    gradient + output * num_inputs + input * kPanelWidth,
                    kPanelWidth, accumulate || row > 0);
    }
  };
  // What is a row of the product is a column of x, and depth is rows.
  ForEachBlock(grad_y.num_rows, kBlockDepth,
               [&](int64_t row, int64_t num_rows) {
                 ForEachBlock(num_inputs, kBlockRows,
                              [&](int64_t input, int64_t num_columns) {
                                add(row, num_rows, input, num_columns);
                              });
               });
}

}  // namespace switchyard
