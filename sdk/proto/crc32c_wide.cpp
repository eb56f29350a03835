// SPDX-License-Identifier: Apache-2.0
// Receives: bytes to copy. Hands on: the copy, and their CRC32C. Owns: nothing.
// For processors that multiply polynomials in 512-bit registers: memory is what a copy waits for, so the sum is free.
// Method: Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ" (2009), bit-reflected.
#include <immintrin.h>

#include <array>
#include <cassert>

#include "proto/crc32c.hpp"

#define FARLANE_WIDE __attribute__((target("avx512f,avx512dq,vpclmulqdq,pclmul,sse4.2")))

namespace farlane::proto {

namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // bit-reflected, as all registers here: bit 31 is x^0

constexpr std::uint32_t times_x(std::uint32_t r) noexcept {
    return (r >> 1) ^ ((r & 1) != 0 ? kPolynomial : 0);
}

/// x^power modulo the polynomial.
constexpr std::uint32_t power_of_x(unsigned power) noexcept {
    std::uint32_t r = 0x80000000;
    for (unsigned i = 0; i < power; ++i) r = times_x(r);
    return r;
}

/// What the two halves of 16 bytes are multiplied by to stand `bits` further in front. A product of two reflected words
/// comes out one bit further than it should: hence 63 and 1.
struct Fold {
    explicit constexpr Fold(unsigned bits) noexcept
        : first(static_cast<long long>(std::uint64_t{power_of_x(bits + 63)} << 32)),
          second(static_cast<long long>(std::uint64_t{power_of_x(bits - 1)} << 32)) {}
    long long first, second;
};
constexpr Fold kBlock(8 * kSumBlockBytes), kRegister(512), kQuarter(128);

/// For crc_join(): what moves a register over so many blocks. 33: the bit of the product, and crc32's own 32.
constexpr auto kJoin = [] {
    std::array<std::uint32_t, kSumMostBytes / kSumBlockBytes + 1> all{};
    std::uint32_t r = power_of_x(8 * kSumBlockBytes - 33);
    for (std::size_t i = 1; i < all.size(); ++i) {
        all[i] = r;
        for (std::size_t bit = 0; bit < 8 * kSumBlockBytes; ++bit) r = times_x(r);
    }
    return all;
}();

FARLANE_WIDE inline __m512i wide(const Fold& f) noexcept {
    return _mm512_set_epi64(f.second, f.first, f.second, f.first, f.second, f.first, f.second, f.first);
}

FARLANE_WIDE inline __m512i fold(__m512i sum, __m512i by, __m512i next) noexcept {
    constexpr int kXorOfThree = 0x96;
    return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(sum, by, 0x00), _mm512_clmulepi64_epi128(sum, by, 0x11),
                                     next, kXorOfThree);
}

FARLANE_WIDE inline __m128i fold(__m128i sum, __m128i by, __m128i next) noexcept {
    return _mm_xor_si128(next, _mm_xor_si128(_mm_clmulepi64_si128(sum, by, 0x00), _mm_clmulepi64_si128(sum, by, 0x11)));
}

FARLANE_WIDE inline __m512i move(std::byte* to, const std::byte* from) noexcept {
    const __m512i line = _mm512_loadu_si512(from);
    _mm512_storeu_si512(to, line);
    return line;
}

FARLANE_WIDE inline std::uint32_t register_of(__m512i sum) noexcept {
    const __m128i by = _mm_set_epi64x(kQuarter.second, kQuarter.first);
    __m128i x = _mm512_extracti64x2_epi64(sum, 0);
    x = fold(x, by, _mm512_extracti64x2_epi64(sum, 1));
    x = fold(x, by, _mm512_extracti64x2_epi64(sum, 2));
    x = fold(x, by, _mm512_extracti64x2_epi64(sum, 3));
    const auto first = static_cast<std::uint64_t>(_mm_extract_epi64(x, 0));
    const auto second = static_cast<std::uint64_t>(_mm_extract_epi64(x, 1));
    return static_cast<std::uint32_t>(_mm_crc32_u64(_mm_crc32_u64(0, first), second));
}

}  // namespace

bool copies_sum() noexcept {
    static const bool can = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
                            __builtin_cpu_supports("vpclmulqdq") != 0 && __builtin_cpu_supports("pclmul") != 0;
    return can;
}

FARLANE_WIDE std::uint32_t copy_summed(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
    assert(can_sum(bytes));
    const __m512i by = wide(kBlock);
    __m512i a = move(to, from), b = move(to + 64, from + 64);
    __m512i c = move(to + 128, from + 128), d = move(to + 192, from + 192);
    for (std::size_t i = kSumBlockBytes; i < bytes; i += kSumBlockBytes) {
        a = fold(a, by, move(to + i, from + i));
        b = fold(b, by, move(to + i + 64, from + i + 64));
        c = fold(c, by, move(to + i + 128, from + i + 128));
        d = fold(d, by, move(to + i + 192, from + i + 192));
    }
    const __m512i over = wide(kRegister);
    return register_of(fold(fold(fold(a, over, b), over, c), over, d));
}

FARLANE_WIDE std::uint32_t crc_join(std::uint32_t before, std::uint32_t sum, std::size_t bytes) noexcept {
    assert(can_sum(bytes));
    const auto by = static_cast<long long>(kJoin[bytes / kSumBlockBytes]);
    const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128(before), _mm_cvtsi64_si128(by), 0x00);
    return static_cast<std::uint32_t>(_mm_crc32_u64(0, static_cast<std::uint64_t>(_mm_cvtsi128_si64(product)))) ^ sum;
}

}  // namespace farlane::proto
