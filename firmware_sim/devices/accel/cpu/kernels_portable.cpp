// SPDX-License-Identifier: Apache-2.0
// Receives: packed tiles, rows, blocks. Hands on: results. Owns: nothing.
// The loops for any processor the build targets.
#include <array>
#include <bit>

#include "devices/accel/cpu/loops.hpp"

namespace farlane::firmware::accel {
namespace {

constexpr std::size_t kTileRows = 4;
constexpr std::size_t kTileColumns = 8;

void axpy_f32(float a, const float* x, float* y, std::size_t count) {
    loops::axpy_f32(a, x, y, count);
}

ReducePart reduce_f32(const float* x, std::size_t count) {
    return loops::reduce_f32<8>(x, count);
}

void gemm_tile(std::size_t k, const float* a, const float* b, float* c, std::size_t ldc) {
    float sum[kTileRows][kTileColumns] = {};
    for (std::size_t p = 0; p < k; ++p, a += kTileRows, b += kTileColumns) {
        for (std::size_t i = 0; i < kTileRows; ++i) {
            for (std::size_t j = 0; j < kTileColumns; ++j) sum[i][j] += a[i] * b[j];
        }
    }
    for (std::size_t i = 0; i < kTileRows; ++i) {
        for (std::size_t j = 0; j < kTileColumns; ++j) c[i * ldc + j] = sum[i][j];
    }
}

void conv_rgba_row(const ConvRgbaRow& row) {
    constexpr std::size_t kBlock = 16;  // bytes: four pixels
    const std::size_t bytes = std::size_t{row.width} * 4;
    for (std::size_t x = 0; x < bytes; x += kBlock) {
        std::int32_t sum[kBlock] = {};
        const std::int16_t* w = row.weights;
        for (std::uint32_t j = 0; j < row.size; ++j) {
            const std::byte* source = row.rows[j] + x;
            for (std::uint32_t i = 0; i < row.size; ++i, source += 4) {
                const std::int32_t weight = *w++;
                for (std::size_t b = 0; b < kBlock; ++b) sum[b] += weight * std::to_integer<std::int32_t>(source[b]);
            }
        }
        const std::size_t n = std::min(kBlock, bytes - x);
        for (std::size_t b = 0; b < n; ++b) row.out[x + b] = loops::finish_rgba(sum[b], row);
    }
}

void conv_f32_row(const ConvF32Row& row) {
    loops::conv_f32_row<8>(row);
}

/// FIPS 180-4, 4.2.2.
constexpr std::array<std::uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

std::uint32_t load_big_endian(const std::byte* p) {
    return std::to_integer<std::uint32_t>(p[0]) << 24 | std::to_integer<std::uint32_t>(p[1]) << 16 |
           std::to_integer<std::uint32_t>(p[2]) << 8 | std::to_integer<std::uint32_t>(p[3]);
}

/// FIPS 180-4, 6.2.2.
void sha256_block(std::uint32_t state[8], const std::byte* block) {
    std::array<std::uint32_t, 64> w;
    for (std::size_t t = 0; t < 16; ++t) w[t] = load_big_endian(block + t * 4);
    for (std::size_t t = 16; t < 64; ++t) {
        const std::uint32_t s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
        const std::uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    std::array<std::uint32_t, 8> v;
    std::copy_n(state, 8, v.begin());
    for (std::size_t t = 0; t < 64; ++t) {
        const std::uint32_t s1 = std::rotr(v[4], 6) ^ std::rotr(v[4], 11) ^ std::rotr(v[4], 25);
        const std::uint32_t choose = (v[4] & v[5]) ^ (~v[4] & v[6]);
        const std::uint32_t t1 = v[7] + s1 + choose + kRound[t] + w[t];
        const std::uint32_t s0 = std::rotr(v[0], 2) ^ std::rotr(v[0], 13) ^ std::rotr(v[0], 22);
        const std::uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        v = {t1 + s0 + majority, v[0], v[1], v[2], v[3] + t1, v[4], v[5], v[6]};
    }
    for (std::size_t i = 0; i < 8; ++i) state[i] += v[i];
}

void sha256_blocks(std::uint32_t state[8], const std::byte* blocks, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) sha256_block(state, blocks + i * 64);
}

constexpr KernelTable kTable = {"portable",   axpy_f32,      reduce_f32,   gemm_tile,    kTileRows,
                                kTileColumns, conv_rgba_row, conv_f32_row, sha256_blocks};

}  // namespace

const KernelTable& portable_kernels() noexcept {
    return kTable;
}

}  // namespace farlane::firmware::accel
