// SPDX-License-Identifier: Apache-2.0
// Receives: origins, regions and pitches of transfers. Hands on: checked rows.
// Owns: nothing. OpenCL 3.0, 5.2.2 and 5.2.3 (rectangular regions).
#pragma once

#include <cstddef>

#include "opencl/api.hpp"

namespace farlane::opencl {

/// How many bytes in how many rows and slices.
struct Extent3 {
    std::size_t row_bytes = 0, rows = 1, slices = 1;
    [[nodiscard]] std::size_t bytes() const noexcept { return row_bytes * rows * slices; }
    [[nodiscard]] std::size_t count() const noexcept { return rows * slices; }
};

/// Where they lie on one side.
struct Layout {
    std::size_t offset = 0, row_pitch = 0, slice_pitch = 0;
    [[nodiscard]] std::size_t at(std::size_t row, std::size_t slice) const noexcept {
        return offset + slice * slice_pitch + row * row_pitch;
    }
    /// From the first byte to behind the last.
    [[nodiscard]] std::size_t span(const Extent3& e) const noexcept {
        return (e.slices - 1) * slice_pitch + (e.rows - 1) * row_pitch + e.row_bytes;
    }
};

/// Errors: CL_INVALID_VALUE.
[[nodiscard]] Extent3 checked_extent(const std::size_t* region);
/// Pitches of 0 are what the region needs. Errors: CL_INVALID_VALUE.
[[nodiscard]] Layout checked_layout(const std::size_t* origin, const Extent3& extent, std::size_t row_pitch,
                                    std::size_t slice_pitch);
/// The rows lie within that many bytes.
[[nodiscard]] bool fits(const Layout& layout, const Extent3& extent, std::size_t bytes) noexcept;
/// Makes one row of rows that follow each other on both sides.
void merge_rows(Extent3& extent, Layout& a, Layout& b) noexcept;
/// Two regions of one buffer, with the same pitches, have a byte in common.
[[nodiscard]] bool overlap(const Layout& a, const Layout& b, const Extent3& extent) noexcept;

}  // namespace farlane::opencl
