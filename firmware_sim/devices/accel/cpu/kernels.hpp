// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the inner loops of the built-in kernels, one table per
// instruction set. Owns: nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <farlane/status.hpp>

namespace farlane::firmware::accel {

/// Largest tile any instruction set uses; sizes of stack buffers.
inline constexpr std::size_t kMaxTileRows = 16;
inline constexpr std::size_t kMaxTileColumns = 64;

/// One row of an image convolution: `rows` are `size` source rows, already padded on both sides
/// and at the end (see conv2d.cpp), so that column x of the result needs columns x .. x+size-1.
struct ConvRgbaRow {
    const std::byte* const* rows = nullptr;
    const std::int16_t* weights = nullptr;  ///< size x size
    std::uint32_t size = 0;
    std::uint32_t width = 0;  ///< pixels
    std::int32_t round = 0;
    std::uint32_t shift = 0;
    std::int32_t bias = 0;
    std::byte* out = nullptr;
};
struct ConvF32Row {
    const std::byte* const* rows = nullptr;
    const float* weights = nullptr;
    std::uint32_t size = 0;
    std::uint32_t width = 0;
    std::byte* out = nullptr;
};
/// Elements behind a padded row that the loops may read, and never use.
inline constexpr std::size_t kConvSlack = 64;

struct ReducePart {
    double sum = 0;
    float minimum = 0;  ///< NaN when an element is
    float maximum = 0;
};

/// The loops of one instruction set. All pointers are valid for the sizes given, memory of
/// device buffers may be unaligned to vectors but is aligned to its element.
struct KernelTable {
    std::string_view name;
    void (*axpy_f32)(float a, const float* x, float* y, std::size_t count);
    /// count >= 1
    ReducePart (*reduce_f32)(const float* x, std::size_t count);
    /// C tile (tile_rows x tile_columns, row stride `ldc`) = sum over k of packed A and B:
    /// a[k * tile_rows + i], b[k * tile_columns + j].
    void (*gemm_tile)(std::size_t k, const float* a, const float* b, float* c, std::size_t ldc);
    std::size_t tile_rows;
    std::size_t tile_columns;
    void (*conv_rgba_row)(const ConvRgbaRow& row);
    void (*conv_f32_row)(const ConvF32Row& row);
    void (*sha256_blocks)(std::uint32_t state[8], const std::byte* blocks, std::size_t count);
};

[[nodiscard]] const KernelTable& portable_kernels() noexcept;
/// The table of `isa` ("auto", "portable", "avx2", "avx512"). Errors: invalid (unknown; lists what
/// is valid), unsupported (this processor has not got it).
[[nodiscard]] Result<const KernelTable*> select_kernels(std::string_view isa);

}  // namespace farlane::firmware::accel
