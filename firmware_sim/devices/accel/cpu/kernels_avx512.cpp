// SPDX-License-Identifier: Apache-2.0
// Receives: packed tiles, rows. Hands on: results. Owns: nothing.
// The loops for processors with AVX-512 F, BW, DQ and VL; the rule of kernels_avx2.cpp holds.
#include <immintrin.h>

#include "devices/accel/cpu/kernels_x86.hpp"
#include "devices/accel/cpu/loops.hpp"

#define FARLANE_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))

namespace farlane::firmware::accel {
namespace {

constexpr std::size_t kTileRows = 12;
constexpr std::size_t kTileColumns = 32;

FARLANE_AVX512 void axpy_f32(float a, const float* x, float* y, std::size_t count) {
    loops::axpy_f32(a, x, y, count);
}

FARLANE_AVX512 ReducePart reduce_f32(const float* x, std::size_t count) {
    return loops::reduce_f32<32>(x, count);
}

// 24 accumulators, two of B, one of A: 27 of 32 registers.
FARLANE_AVX512 void gemm_tile(std::size_t k, const float* a, const float* b, float* c, std::size_t ldc) {
    __m512 sum[kTileRows][2];
    for (auto& row : sum) row[0] = row[1] = _mm512_setzero_ps();
    for (std::size_t p = 0; p < k; ++p, a += kTileRows, b += kTileColumns) {
        const __m512 b0 = _mm512_loadu_ps(b);
        const __m512 b1 = _mm512_loadu_ps(b + 16);
#pragma GCC unroll 12
        for (std::size_t i = 0; i < kTileRows; ++i) {
            const __m512 ai = _mm512_set1_ps(a[i]);
            sum[i][0] = _mm512_fmadd_ps(ai, b0, sum[i][0]);
            sum[i][1] = _mm512_fmadd_ps(ai, b1, sum[i][1]);
        }
    }
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kTileRows; ++i) {
        _mm512_storeu_ps(c + i * ldc, sum[i][0]);
        _mm512_storeu_ps(c + i * ldc + 16, sum[i][1]);
    }
}

FARLANE_AVX512 FARLANE_INLINE __m512i load_pixels(const std::byte* p) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

/// As in kernels_avx2.cpp, on 32 bytes.
FARLANE_AVX512 FARLANE_INLINE void two_taps(__m512i p0, __m512i p1, std::int16_t w0, std::int16_t w1, __m512i& low,
                                            __m512i& high) {
    const auto pair = static_cast<std::int32_t>(static_cast<std::uint32_t>(static_cast<std::uint16_t>(w1)) << 16 |
                                                static_cast<std::uint16_t>(w0));
    const __m512i w = _mm512_set1_epi32(pair);
    low = _mm512_add_epi32(low, _mm512_madd_epi16(_mm512_unpacklo_epi16(p0, p1), w));
    high = _mm512_add_epi32(high, _mm512_madd_epi16(_mm512_unpackhi_epi16(p0, p1), w));
}

FARLANE_AVX512 FARLANE_INLINE __m512i finish(__m512i sum, const ConvRgbaRow& row) {
    const __m512i shifted = _mm512_sra_epi32(_mm512_add_epi32(sum, _mm512_set1_epi32(row.round)),
                                             _mm_cvtsi32_si128(static_cast<int>(row.shift)));
    return _mm512_add_epi32(shifted, _mm512_set1_epi32(row.bias));
}

FARLANE_AVX512 void conv_rgba_row(const ConvRgbaRow& row) {
    constexpr std::size_t kBlock = 32;  // bytes: eight pixels
    const std::size_t bytes = std::size_t{row.width} * 4;
    for (std::size_t x = 0; x < bytes; x += kBlock) {
        __m512i low = _mm512_setzero_si512();
        __m512i high = _mm512_setzero_si512();
        const std::int16_t* w = row.weights;
        for (std::uint32_t j = 0; j < row.size; ++j) {
            const std::byte* source = row.rows[j] + x;
            std::uint32_t i = 0;
            for (; i + 2 <= row.size; i += 2, source += 8, w += 2) {
                two_taps(load_pixels(source), load_pixels(source + 4), w[0], w[1], low, high);
            }
            for (; i < row.size; ++i, source += 4, ++w) {
                two_taps(load_pixels(source), _mm512_setzero_si512(), w[0], 0, low, high);
            }
        }
        // Saturation to 16 bits, then to 0..255: the clamp.
        const __m512i words = _mm512_packs_epi32(finish(low, row), finish(high, row));
        const __m256i result = _mm512_cvtusepi16_epi8(_mm512_max_epi16(words, _mm512_setzero_si512()));
        const std::size_t n = std::min(kBlock, bytes - x);
        const auto mask = static_cast<__mmask32>(n == kBlock ? 0xffffffffu : (1u << n) - 1);
        _mm256_mask_storeu_epi8(row.out + x, mask, result);
    }
}

FARLANE_AVX512 void conv_f32_row(const ConvF32Row& row) {
    loops::conv_f32_row<32>(row);
}

}  // namespace

const KernelTable& avx512_kernels() noexcept {
    static const KernelTable table = {"avx512",      axpy_f32,     reduce_f32,
                                      gemm_tile,     kTileRows,    kTileColumns,
                                      conv_rgba_row, conv_f32_row, portable_kernels().sha256_blocks};
    return table;
}

}  // namespace farlane::firmware::accel
