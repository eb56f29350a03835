// SPDX-License-Identifier: Apache-2.0
// Receives: origins, regions and pitches as applications give them. Hands on: checked rows.
// Owns: nothing (rectangle.hpp).
#include "opencl/rectangle.hpp"

#include <algorithm>
#include <cstdint>

namespace farlane::opencl {
namespace {

/// Throws when it does not fit.
std::size_t times(std::size_t a, std::size_t b) {
    std::size_t r = 0;
    require(!__builtin_mul_overflow(a, b, &r), CL_INVALID_VALUE);
    return r;
}
std::size_t plus(std::size_t a, std::size_t b) {
    std::size_t r = 0;
    require(!__builtin_add_overflow(a, b, &r), CL_INVALID_VALUE);
    return r;
}

}  // namespace

Extent3 checked_extent(const std::size_t* region) {
    require(region != nullptr && region[0] != 0 && region[1] != 0 && region[2] != 0, CL_INVALID_VALUE);
    (void)times(times(region[0], region[1]), region[2]);
    return {region[0], region[1], region[2]};
}

Layout checked_layout(const std::size_t* origin, const Extent3& e, std::size_t row_pitch, std::size_t slice_pitch) {
    require(origin != nullptr, CL_INVALID_VALUE);
    require(row_pitch == 0 || row_pitch >= e.row_bytes, CL_INVALID_VALUE);
    Layout l;
    l.row_pitch = row_pitch == 0 ? e.row_bytes : row_pitch;
    const std::size_t slice = times(e.rows, l.row_pitch);
    require(slice_pitch == 0 || (slice_pitch >= slice && slice_pitch % l.row_pitch == 0), CL_INVALID_VALUE);
    l.slice_pitch = slice_pitch == 0 ? slice : slice_pitch;
    l.offset = plus(plus(times(origin[2], l.slice_pitch), times(origin[1], l.row_pitch)), origin[0]);
    (void)plus(l.offset, plus(times(e.slices, l.slice_pitch), e.row_bytes));
    return l;
}

bool fits(const Layout& l, const Extent3& e, std::size_t bytes) noexcept {
    return l.offset <= bytes && l.span(e) <= bytes - l.offset;
}

void merge_rows(Extent3& e, Layout& a, Layout& b) noexcept {
    if (a.row_pitch == e.row_bytes && b.row_pitch == e.row_bytes) {
        e.row_bytes *= e.rows;
        e.rows = 1;
        a.row_pitch = b.row_pitch = e.row_bytes;
    }
    if (e.rows == 1 && a.slice_pitch == e.row_bytes && b.slice_pitch == e.row_bytes) {
        e.row_bytes *= e.slices;
        e.slices = 1;
        a.slice_pitch = b.slice_pitch = a.row_pitch = b.row_pitch = e.row_bytes;
    }
}

/// As if both lay on a grid of slices, rows and bytes; a region that reaches round the end of a row or slice is
/// cut there. The specification's check_copy_overlap does it for one direction; here it is each row against each row
/// that can meet it.
bool overlap(const Layout& a, const Layout& b, const Extent3& e) noexcept {
    const std::size_t a_end = a.offset + a.span(e), b_end = b.offset + b.span(e);
    if (a_end <= b.offset || b_end <= a.offset) return false;
    const Layout& low = a.offset <= b.offset ? a : b;
    const Layout& high = a.offset <= b.offset ? b : a;
    const std::size_t distance = high.offset - low.offset;
    // A row of `high` meets one of `low` when distance = slices * pitch + rows * pitch + x with |x| < row_bytes, and so
    // many slices and rows lie between two rows of the region.
    const std::size_t slice = low.slice_pitch, row = low.row_pitch;
    for (std::size_t s = 0; s < 2; ++s) {
        const std::size_t slices = distance / slice + s;
        if (slices >= e.slices) continue;
        const auto rest = static_cast<std::int64_t>(distance) - static_cast<std::int64_t>(slices * slice);
        for (std::int64_t r = rest / static_cast<std::int64_t>(row) - 1; r <= rest / static_cast<std::int64_t>(row) + 1;
             ++r) {
            const std::int64_t bytes = rest - r * static_cast<std::int64_t>(row);
            const std::int64_t width = static_cast<std::int64_t>(e.row_bytes);
            if (std::abs(r) < static_cast<std::int64_t>(e.rows) && bytes > -width && bytes < width) return true;
        }
    }
    return false;
}

}  // namespace farlane::opencl
