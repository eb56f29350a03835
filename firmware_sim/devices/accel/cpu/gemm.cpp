// SPDX-License-Identifier: Apache-2.0
// Receives: three matrices in device memory. Hands on: C = alpha op(A) op(B) + beta C.
// Owns: nothing; packed panels live in the scratch of the thread.
// Blocked after Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008):
// a part is one block of C; panels of A and B are packed so that the tile loop reads them in order.
#include <algorithm>

#include "devices/accel/cpu/tasks.hpp"

namespace farlane::firmware::accel {
namespace {

constexpr std::size_t kBlockRows = 192;  // a multiple of every tile_rows
constexpr std::size_t kBlockColumns = 256;
constexpr std::size_t kBlockK = 256;

constexpr std::size_t round_up(std::size_t value, std::size_t unit) {
    return (value + unit - 1) / unit * unit;
}

}  // namespace

GemmTask::GemmTask(const View& view, const KernelTable& loops, const fl_accel_args_gemm_f32& args) noexcept
    : loops_(&loops),
      a_(reinterpret_cast<const float*>(view.at(args.a.get()))),
      b_(reinterpret_cast<const float*>(view.at(args.b.get()))),
      c_(reinterpret_cast<float*>(view.at(args.c.get()))),
      m_(args.m.get()),
      n_(args.n.get()),
      k_(args.k.get()),
      lda_(args.lda.get()),
      ldb_(args.ldb.get()),
      ldc_(args.ldc.get()),
      alpha_(f32_of(args.alpha)),
      beta_(f32_of(args.beta)),
      turned_a_((args.flags.get() & FL_ACCEL_GEMM_TRANSPOSE_A) != 0),
      turned_b_((args.flags.get() & FL_ACCEL_GEMM_TRANSPOSE_B) != 0),
      row_blocks_((m_ + kBlockRows - 1) / kBlockRows),
      column_blocks_((n_ + kBlockColumns - 1) / kBlockColumns) {}

backend::Outcome GemmTask::run(std::size_t part, Scratch& scratch, const std::atomic<bool>& stop) {
    Block block{part / column_blocks_ * kBlockRows, 0, part % column_blocks_ * kBlockColumns, 0};
    block.rows = std::min(kBlockRows, m_ - block.row);
    block.columns = std::min(kBlockColumns, n_ - block.column);
    auto* a =
        reinterpret_cast<float*>(scratch.get(0, round_up(kBlockRows, loops_->tile_rows) * kBlockK * sizeof(float)));
    auto* b = reinterpret_cast<float*>(
        scratch.get(1, round_up(kBlockColumns, loops_->tile_columns) * kBlockK * sizeof(float)));
    scale(block);
    for (std::size_t k = 0; k < k_; k += kBlockK) {
        if (stop.load(std::memory_order_relaxed)) return {FL_ACCEL_REASON_EXECUTION, 0, 0};
        const std::size_t count = std::min(kBlockK, k_ - k);
        pack_a(block, k, count, a);
        pack_b(block, k, count, b);
        multiply(block, count, a, b);
    }
    return {};
}

/// C = beta * C; with beta 0, C is not read (it may hold NaN).
void GemmTask::scale(const Block& block) const noexcept {
    for (std::size_t i = 0; i < block.rows; ++i) {
        float* row = c_ + (block.row + i) * ldc_ + block.column;
        if (beta_ == 0.0F) {
            std::fill_n(row, block.columns, 0.0F);
        } else if (beta_ != 1.0F) {
            for (std::size_t j = 0; j < block.columns; ++j) row[j] *= beta_;
        }
    }
}

/// Strips of tile_rows rows, element (k, row) of a strip at k * tile_rows + row; rows outside are 0.
void GemmTask::pack_a(const Block& block, std::size_t k, std::size_t count, float* to) const noexcept {
    const std::size_t strip = loops_->tile_rows;
    const std::size_t row_step = turned_a_ ? 1 : lda_;
    const std::size_t k_step = turned_a_ ? lda_ : 1;
    for (std::size_t i = 0; i < block.rows; i += strip, to += strip * count) {
        const std::size_t rows = std::min(strip, block.rows - i);
        if (rows < strip) std::fill_n(to, strip * count, 0.0F);
        const float* from = a_ + (block.row + i) * row_step + k * k_step;
        for (std::size_t r = 0; r < rows; ++r) {
            for (std::size_t p = 0; p < count; ++p) to[p * strip + r] = from[r * row_step + p * k_step];
        }
    }
}

/// Strips of tile_columns columns, element (k, column) at k * tile_columns + column.
void GemmTask::pack_b(const Block& block, std::size_t k, std::size_t count, float* to) const noexcept {
    const std::size_t strip = loops_->tile_columns;
    for (std::size_t j = 0; j < block.columns; j += strip, to += strip * count) {
        const std::size_t columns = std::min(strip, block.columns - j);
        if (columns < strip) std::fill_n(to, strip * count, 0.0F);
        const std::size_t column = block.column + j;
        if (turned_b_) {
            for (std::size_t c = 0; c < columns; ++c) {
                const float* from = b_ + (column + c) * ldb_ + k;
                for (std::size_t p = 0; p < count; ++p) to[p * strip + c] = from[p];
            }
        } else {
            for (std::size_t p = 0; p < count; ++p) std::copy_n(b_ + (k + p) * ldb_ + column, columns, to + p * strip);
        }
    }
}

void GemmTask::multiply(const Block& block, std::size_t count, const float* a, const float* b) const noexcept {
    const std::size_t rows = loops_->tile_rows;
    const std::size_t columns = loops_->tile_columns;
    alignas(64) float tile[kMaxTileRows * kMaxTileColumns];
    for (std::size_t j = 0; j < block.columns; j += columns) {
        for (std::size_t i = 0; i < block.rows; i += rows) {
            loops_->gemm_tile(count, a + i * count, b + j * count, tile, columns);
            const std::size_t height = std::min(rows, block.rows - i);
            const std::size_t width = std::min(columns, block.columns - j);
            for (std::size_t r = 0; r < height; ++r) {
                float* to = c_ + (block.row + i + r) * ldc_ + block.column + j;
                for (std::size_t c = 0; c < width; ++c) to[c] += alpha_ * tile[r * columns + c];
            }
        }
    }
}

}  // namespace farlane::firmware::accel
