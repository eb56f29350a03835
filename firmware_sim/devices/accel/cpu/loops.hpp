// SPDX-License-Identifier: Apache-2.0
// Receives: spans of numbers. Hands on: results. Owns: nothing.
// Loops that the compiler vectorises for whatever instruction set the function they are inlined
// into is compiled for. Only the kernels_*.cpp files include this.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "devices/accel/cpu/kernels.hpp"

#define FARLANE_INLINE inline __attribute__((always_inline))

namespace farlane::firmware::accel::loops {

FARLANE_INLINE void axpy_f32(float a, const float* x, float* y, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) y[i] = a * x[i] + y[i];
}

/// `Lanes` independent sums, minima and maxima; combined at the end in lane order.
template <std::size_t Lanes>
FARLANE_INLINE ReducePart reduce_f32(const float* x, std::size_t count) {
    double sum[Lanes] = {};
    float low[Lanes], high[Lanes];
    std::uint32_t nan[Lanes] = {};
    for (std::size_t l = 0; l < Lanes; ++l) {
        low[l] = std::numeric_limits<float>::infinity();
        high[l] = -std::numeric_limits<float>::infinity();
    }
    std::size_t i = 0;
    for (; i + Lanes <= count; i += Lanes) {
        for (std::size_t l = 0; l < Lanes; ++l) {
            const float v = x[i + l];
            sum[l] += static_cast<double>(v);
            low[l] = v < low[l] ? v : low[l];
            high[l] = v > high[l] ? v : high[l];
            nan[l] |= v != v ? 1u : 0u;
        }
    }
    for (std::size_t l = 0; i < count; ++i, ++l) {
        const float v = x[i];
        sum[l] += static_cast<double>(v);
        low[l] = v < low[l] ? v : low[l];
        high[l] = v > high[l] ? v : high[l];
        nan[l] |= v != v ? 1u : 0u;
    }
    ReducePart part{0, low[0], high[0]};
    bool any_nan = false;
    for (std::size_t l = 0; l < Lanes; ++l) {
        part.sum += sum[l];
        part.minimum = std::min(part.minimum, low[l]);
        part.maximum = std::max(part.maximum, high[l]);
        any_nan = any_nan || nan[l] != 0;
    }
    if (any_nan) part.minimum = part.maximum = std::numeric_limits<float>::quiet_NaN();
    return part;
}

FARLANE_INLINE float load_f32(const std::byte* p) {
    float v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

/// Blocks of `Block` results held in registers over all taps, in row-major order of the weights.
template <std::size_t Block>
FARLANE_INLINE void conv_f32_row(const ConvF32Row& row) {
    for (std::uint32_t x = 0; x < row.width; x += Block) {
        float sum[Block] = {};
        const float* w = row.weights;
        for (std::uint32_t j = 0; j < row.size; ++j) {
            const std::byte* source = row.rows[j] + std::size_t{x} * 4;
            for (std::uint32_t i = 0; i < row.size; ++i, source += 4) {
                const float weight = *w++;
                float value[Block];
                std::memcpy(value, source, sizeof value);
                for (std::size_t b = 0; b < Block; ++b) sum[b] += weight * value[b];
            }
        }
        const std::size_t n = std::min<std::size_t>(Block, row.width - x);
        std::memcpy(row.out + std::size_t{x} * 4, sum, n * 4);
    }
}

/// What follows the sum of products: docs/accelerator.md, "conv2d_rgba8".
FARLANE_INLINE std::byte finish_rgba(std::int32_t sum, const ConvRgbaRow& row) {
    const std::int32_t value = ((sum + row.round) >> row.shift) + row.bias;
    return static_cast<std::byte>(std::clamp(value, 0, 255));
}

}  // namespace farlane::firmware::accel::loops
