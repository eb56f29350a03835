// SPDX-License-Identifier: Apache-2.0
// Receives: packed tiles, rows. Hands on: results. Owns: nothing.
// The loops for processors with AVX2 and FMA. Every function carries the target attribute; the
// file is compiled for the baseline, so no inline function of a library leaks out with AVX2 in it.
#include <immintrin.h>

#include "devices/accel/cpu/kernels_x86.hpp"
#include "devices/accel/cpu/loops.hpp"

#define FARLANE_AVX2 __attribute__((target("avx2,fma")))

namespace farlane::firmware::accel {
namespace {

constexpr std::size_t kTileRows = 6;
constexpr std::size_t kTileColumns = 16;

FARLANE_AVX2 void axpy_f32(float a, const float* x, float* y, std::size_t count) {
    loops::axpy_f32(a, x, y, count);
}

FARLANE_AVX2 ReducePart reduce_f32(const float* x, std::size_t count) {
    return loops::reduce_f32<16>(x, count);
}

// 12 accumulators, two of B, one of A: 15 of 16 registers.
FARLANE_AVX2 void gemm_tile(std::size_t k, const float* a, const float* b, float* c, std::size_t ldc) {
    __m256 sum[kTileRows][2];
    for (auto& row : sum) row[0] = row[1] = _mm256_setzero_ps();
    for (std::size_t p = 0; p < k; ++p, a += kTileRows, b += kTileColumns) {
        const __m256 b0 = _mm256_loadu_ps(b);
        const __m256 b1 = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
        for (std::size_t i = 0; i < kTileRows; ++i) {
            const __m256 ai = _mm256_broadcast_ss(a + i);
            sum[i][0] = _mm256_fmadd_ps(ai, b0, sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(ai, b1, sum[i][1]);
        }
    }
#pragma GCC unroll 6
    for (std::size_t i = 0; i < kTileRows; ++i) {
        _mm256_storeu_ps(c + i * ldc, sum[i][0]);
        _mm256_storeu_ps(c + i * ldc + 8, sum[i][1]);
    }
}

FARLANE_AVX2 FARLANE_INLINE __m256i load_pixels(const std::byte* p) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

/// Two taps at once: pmaddwd of interleaved 16-bit pixels and a pair of weights. The interleave
/// permutes within 128-bit lanes; packs at the end puts it right again.
FARLANE_AVX2 FARLANE_INLINE void two_taps(__m256i p0, __m256i p1, std::int16_t w0, std::int16_t w1, __m256i& low,
                                          __m256i& high) {
    const auto pair = static_cast<std::int32_t>(static_cast<std::uint32_t>(static_cast<std::uint16_t>(w1)) << 16 |
                                                static_cast<std::uint16_t>(w0));
    const __m256i w = _mm256_set1_epi32(pair);
    low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(p0, p1), w));
    high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(p0, p1), w));
}

FARLANE_AVX2 FARLANE_INLINE __m256i finish(__m256i sum, const ConvRgbaRow& row) {
    const __m256i shifted = _mm256_sra_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(row.round)),
                                             _mm_cvtsi32_si128(static_cast<int>(row.shift)));
    return _mm256_add_epi32(shifted, _mm256_set1_epi32(row.bias));
}

FARLANE_AVX2 void conv_rgba_row(const ConvRgbaRow& row) {
    constexpr std::size_t kBlock = 16;  // bytes: four pixels
    const std::size_t bytes = std::size_t{row.width} * 4;
    for (std::size_t x = 0; x < bytes; x += kBlock) {
        __m256i low = _mm256_setzero_si256();
        __m256i high = _mm256_setzero_si256();
        const std::int16_t* w = row.weights;
        for (std::uint32_t j = 0; j < row.size; ++j) {
            const std::byte* source = row.rows[j] + x;
            std::uint32_t i = 0;
            for (; i + 2 <= row.size; i += 2, source += 8, w += 2) {
                two_taps(load_pixels(source), load_pixels(source + 4), w[0], w[1], low, high);
            }
            for (; i < row.size; ++i, source += 4, ++w) {
                two_taps(load_pixels(source), _mm256_setzero_si256(), w[0], 0, low, high);
            }
        }
        // 32 -> 16 -> 8 bits, each with saturation, which is the clamp to 0..255.
        const __m256i words = _mm256_packs_epi32(finish(low, row), finish(high, row));
        const __m128i result = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        if (bytes - x >= kBlock) {
            _mm_storeu_si128(reinterpret_cast<__m128i*>(row.out + x), result);
        } else {
            alignas(16) std::byte tail[kBlock];
            _mm_store_si128(reinterpret_cast<__m128i*>(tail), result);
            std::memcpy(row.out + x, tail, bytes - x);
        }
    }
}

FARLANE_AVX2 void conv_f32_row(const ConvF32Row& row) {
    loops::conv_f32_row<16>(row);
}

}  // namespace

const KernelTable& avx2_kernels() noexcept {
    static const KernelTable table = {"avx2",        axpy_f32,     reduce_f32,
                                      gemm_tile,     kTileRows,    kTileColumns,
                                      conv_rgba_row, conv_f32_row, portable_kernels().sha256_blocks};
    return table;
}

}  // namespace farlane::firmware::accel
