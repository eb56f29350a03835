// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the arguments of the built-in kernels as C++ types.
// Owns: nothing. docs/accelerator.md, "Built-in kernels", has the exact definitions and error bounds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <farlane/accel_buffer.hpp>

namespace farlane::accel {

/// y[i] = a * x[i] + y[i]. x and y have the same size; they are the same buffer or do not overlap.
struct Axpy {
    float a = 1.0F;
    View<const float> x;
    View<float> y;
};

/// C = alpha * op(A) * op(B) + beta * C, row-major. op(A) is m x k, op(B) k x n, C m x n.
struct Gemm {
    View<const float> a;  ///< stored m x k; k x m when transpose_a
    View<const float> b;  ///< stored k x n; n x k when transpose_b
    View<float> c;        ///< must not overlap a or b; not read when beta is 0
    std::uint32_t m = 0, n = 0, k = 0;
    /// Elements from one stored row to the next; 0 = rows without gaps.
    std::uint32_t lda = 0, ldb = 0, ldc = 0;
    float alpha = 1.0F, beta = 0.0F;
    bool transpose_a = false, transpose_b = false;
};

enum class Reduction : std::uint8_t { sum = 1, minimum = 2, maximum = 3 };
/// result[0] = operation over all of x. Sums are added in double precision, always in the same order.
/// A NaN in x makes the result NaN.
struct Reduce {
    Reduction operation = Reduction::sum;
    View<const float> x;  ///< at least one element
    View<float> result;   ///< one element, outside x
};

/// What stands outside a picture.
enum class Border : std::uint8_t {
    clamp = 1,  ///< the nearest element of the picture
    zero = 2,
};

/// out(x, y) = sum over i, j of weights(i, j) * in(x + i - r, y + j - r); r = size / 2.
/// Correlation, as image filters have it (the weights are not turned).
struct Conv2dF32 {
    View<const float> in;                 ///< width x height
    View<const float> weights;            ///< size x size, row-major; size odd, 1 to 31
    View<float> out;                      ///< width x height; overlaps neither
    std::uint32_t width = 0, height = 0;  ///< width at most 65536
    std::uint32_t size = 0;
    Border border = Border::clamp;
};

/// One pixel, as in a picture file: four channels of 8 bits.
struct Rgba8 {
    std::uint8_t r = 0, g = 0, b = 0, a = 0;
    friend bool operator==(const Rgba8&, const Rgba8&) = default;
};

/// As Conv2dF32 for each channel, in integers and exact:
/// out = clamp(((sum + round) >> shift) + bias, 0, 255), round = 1 << (shift - 1), 0 when shift is 0.
struct Conv2dRgba8 {
    View<const Rgba8> in;
    View<const std::int16_t> weights;
    View<Rgba8> out;
    std::uint32_t width = 0, height = 0;
    std::uint32_t size = 0;
    Border border = Border::clamp;
    std::uint32_t shift = 0;  ///< 0 to 20
    std::int32_t bias = 0;    ///< -255 to 255
    bool keep_alpha = true;   ///< the fourth channel is copied
};

using Digest = std::array<std::uint8_t, 32>;
/// digests[i] = SHA-256 of messages [i * stride_bytes, + message_bytes).
struct Sha256 {
    View<const std::byte> messages;
    View<Digest> digests;  ///< one per message; does not overlap the messages
    std::size_t message_bytes = 0;
    std::size_t stride_bytes = 0;  ///< 0 = messages without gaps
};

/// Rows of a picture or matrix, from one pitch to another.
struct CopyRows {
    View<const std::byte> from;
    View<std::byte> to;  ///< does not overlap `from`
    std::size_t rows = 0, row_bytes = 0;
    std::size_t from_pitch_bytes = 0, to_pitch_bytes = 0;
};

}  // namespace farlane::accel
