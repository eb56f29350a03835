// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the built-in kernels as source text, in what OpenCL C and CUDA C have in common.
// Owns: nothing. docs/accelerator.md, "Built-in kernels"; builtin/call.cpp makes the arguments.
#include "backend/worker/builtin/source.hpp"

namespace farlane::backend::worker {
namespace {

constexpr const char* kOpenCl = R"cl(
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
typedef double wide;
#else
typedef float wide;
#endif
#define KERNEL kernel
#define GLOBAL global
#define SHARED local
#define DEVICE
#define ITEM get_global_id(0)
#define ITEMS get_global_size(0)
#define LOCAL_ITEM ((uint)get_local_id(0))
#define GROUP get_group_id(0)
#define GROUPS get_num_groups(0)
#define TOGETHER barrier(CLK_LOCAL_MEM_FENCE)
)cl";

constexpr const char* kCuda = R"cuda(
typedef unsigned char uchar;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef double wide;
#define KERNEL extern "C" __global__
#define GLOBAL
#define SHARED __shared__
#define DEVICE __device__
#define ITEM ((ulong)blockIdx.x * blockDim.x + threadIdx.x)
#define ITEMS ((ulong)gridDim.x * blockDim.x)
#define LOCAL_ITEM threadIdx.x
#define GROUP ((ulong)blockIdx.x)
#define GROUPS ((ulong)gridDim.x)
#define TOGETHER __syncthreads()
)cuda";

constexpr const char* kMemory = R"cl(
typedef GLOBAL uchar* bytes;
typedef GLOBAL float* floats;

KERNEL void farlane_fill(bytes to, ulong to_at, ulong count, ulong low, ulong high, uint size) {
    for (ulong i = ITEM; i < count; i += ITEMS) {
        for (uint b = 0; b < size; ++b) to[to_at + i * size + b] = (uchar)((b < 8 ? low >> 8 * b : high >> 8 * (b - 8)) & 255);
    }
}

KERNEL void farlane_copy(bytes to, ulong to_at, bytes from, ulong from_at, ulong to_pitch, ulong from_pitch,
                         ulong row_bytes, ulong rows) {
    for (ulong i = ITEM; i < rows * row_bytes; i += ITEMS) {
        const ulong row = i / row_bytes, column = i % row_bytes;
        to[to_at + row * to_pitch + column] = from[from_at + row * from_pitch + column];
    }
}
)cl";

constexpr const char* kVector = R"cl(
KERNEL void farlane_axpy_f32(bytes xs, ulong x_at, bytes ys, ulong y_at, ulong count, float a) {
    const floats x = (floats)(xs + x_at);
    const floats y = (floats)(ys + y_at);
    for (ulong i = ITEM; i < count; i += ITEMS) y[i] = a * x[i] + y[i];
}

DEVICE wide farlane_join(uint operation, wide a, wide b) {
    if (operation == 1) return a + b;
    if (a != a) return a;  /* a NaN makes any result NaN */
    if (b != b) return b;
    return operation == 2 ? (b < a ? b : a) : (b > a ? b : a);
}

/* One group, so that the order does not depend on the device. */
KERNEL void farlane_reduce_f32(bytes to, ulong to_at, bytes from, ulong from_at, ulong count, uint operation) {
    SHARED wide part[64];
    const floats x = (floats)(from + from_at);
    const ulong first = LOCAL_ITEM;
    wide mine = 0;
    if (first < count) mine = x[first];
    for (ulong i = first + 64; i < count; i += 64) mine = farlane_join(operation, mine, x[i]);
    part[LOCAL_ITEM] = mine;
    for (uint n = 32; n > 0; n /= 2) {
        TOGETHER;
        if (LOCAL_ITEM < n && LOCAL_ITEM + n < count) {
            part[LOCAL_ITEM] = farlane_join(operation, part[LOCAL_ITEM], part[LOCAL_ITEM + n]);
        }
    }
    if (LOCAL_ITEM == 0) *(floats)(to + to_at) = (float)part[0];
}

/* A group makes tiles of 16 by 16, its own and every GROUPS-th after it. */
KERNEL void farlane_gemm_f32(bytes as, ulong a_at, bytes bs, ulong b_at, bytes cs, ulong c_at, uint m, uint n, uint k,
                             uint lda, uint ldb, uint ldc, float alpha, float beta, uint flags) {
    SHARED float a_tile[256], b_tile[256];
    const floats a = (floats)(as + a_at);
    const floats b = (floats)(bs + b_at);
    const floats c = (floats)(cs + c_at);
    const uint x = LOCAL_ITEM % 16, y = LOCAL_ITEM / 16;
    const ulong across = (n + 15UL) / 16, tiles = across * ((m + 15UL) / 16);
    for (ulong tile = GROUP; tile < tiles; tile += GROUPS) {
        const ulong row = tile / across * 16 + y, column = tile % across * 16 + x;
        float sum = 0;
        for (ulong from = 0; from < k; from += 16) {
            const ulong ka = from + x, kb = from + y;
            a_tile[LOCAL_ITEM] = row < m && ka < k ? ((flags & 1) != 0 ? a[ka * lda + row] : a[row * lda + ka]) : 0.0f;
            b_tile[LOCAL_ITEM] =
                column < n && kb < k ? ((flags & 2) != 0 ? b[column * ldb + kb] : b[kb * ldb + column]) : 0.0f;
            TOGETHER;
            for (uint i = 0; i < 16; ++i) sum += a_tile[y * 16 + i] * b_tile[i * 16 + x];
            TOGETHER;
        }
        if (row < m && column < n) {
            const ulong at = row * ldc + column;
            c[at] = beta == 0.0f ? alpha * sum : alpha * sum + beta * c[at];
        }
    }
}
)cl";

constexpr const char* kPictures = R"cl(
/* Index of an element of a picture, or -1 where the border is zero. */
DEVICE long farlane_at(long x, long y, uint width, uint height, uint border) {
    if (x >= 0 && y >= 0 && x < width && y < height) return y * 65536 + x;
    if (border == 2) return -1;
    x = x < 0 ? 0 : x >= width ? width - 1 : x;
    y = y < 0 ? 0 : y >= height ? height - 1 : y;
    return y * 65536 + x;
}

KERNEL void farlane_conv2d_f32(bytes to, ulong to_at, bytes from, ulong from_at, bytes weights, ulong weights_at,
                               uint width, uint height, uint to_pitch, uint from_pitch, uint size, uint border) {
    const floats w = (floats)(weights + weights_at);
    for (ulong i = ITEM; i < (ulong)width * height; i += ITEMS) {
        const long x = i % width, y = i / width, r = size / 2;
        float sum = 0;
        for (uint t = 0; t < size * size; ++t) {
            const long at = farlane_at(x + t % size - r, y + t / size - r, width, height, border);
            if (at >= 0) sum += w[t] * ((floats)(from + from_at + (ulong)(at / 65536) * from_pitch))[at % 65536];
        }
        ((floats)(to + to_at + (ulong)y * to_pitch))[x] = sum;
    }
}

KERNEL void farlane_conv2d_rgba8(bytes to, ulong to_at, bytes from, ulong from_at, bytes weights, ulong weights_at,
                                 uint width, uint height, uint to_pitch, uint from_pitch, uint size, uint border,
                                 uint shift, uint bias, uint flags) {
    const GLOBAL short* w = (const GLOBAL short*)(weights + weights_at);
    const long add = shift == 0 ? 0 : 1L << (shift - 1);
    for (ulong i = ITEM; i < (ulong)width * height; i += ITEMS) {
        const long x = i % width, y = i / width, r = size / 2;
        long sum[4] = {0, 0, 0, 0};
        for (uint t = 0; t < size * size; ++t) {
            const long at = farlane_at(x + t % size - r, y + t / size - r, width, height, border);
            if (at < 0) continue;
            const GLOBAL uchar* p = from + from_at + (ulong)(at / 65536) * from_pitch + 4 * (at % 65536);
            for (uint c = 0; c < 4; ++c) sum[c] += (long)w[t] * p[c];
        }
        const bytes out = to + to_at + (ulong)y * to_pitch + 4 * x;
        for (uint c = 0; c < 4; ++c) {
            const long value = ((sum[c] + add) >> shift) + (int)bias;
            out[c] = value < 0 ? 0 : value > 255 ? 255 : (uchar)value;
        }
        if ((flags & 1) != 0) out[3] = from[from_at + (ulong)y * from_pitch + 4 * x + 3];
    }
}
)cl";

constexpr const char* kSha256 = R"cl(
DEVICE uint farlane_turn(uint v, uint n) { return v >> n | v << (32 - n); }

DEVICE uint farlane_choose(uint round) {
    const uint k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    return k[round];
}

/* FIPS 180-4, 5.1.1: byte `at` of the padded message. */
DEVICE uint farlane_padded(const GLOBAL uchar* message, ulong length, ulong blocks, ulong at) {
    if (at < length) return message[at];
    if (at == length) return 0x80;
    const ulong left = blocks * 64 - at;
    return left <= 8 ? (uint)(length * 8 >> 8 * (left - 1)) & 255 : 0;
}

KERNEL void farlane_sha256(bytes to, ulong to_at, bytes from, ulong from_at, ulong length, ulong stride, ulong count) {
    const ulong blocks = (length + 9 + 63) / 64;
    for (ulong i = ITEM; i < count; i += ITEMS) {
        const GLOBAL uchar* message = from + from_at + i * stride;
        uint h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
        for (ulong block = 0; block < blocks; ++block) {
            uint w[64], v[8];
            for (uint t = 0; t < 16; ++t) {
                w[t] = 0;
                for (uint b = 0; b < 4; ++b) w[t] = w[t] << 8 | farlane_padded(message, length, blocks, block * 64 + t * 4 + b);
            }
            for (uint t = 16; t < 64; ++t) {
                const uint a = w[t - 15], b = w[t - 2];
                w[t] = w[t - 16] + (farlane_turn(a, 7) ^ farlane_turn(a, 18) ^ a >> 3) + w[t - 7] +
                       (farlane_turn(b, 17) ^ farlane_turn(b, 19) ^ b >> 10);
            }
            for (uint j = 0; j < 8; ++j) v[j] = h[j];
            for (uint t = 0; t < 64; ++t) {
                const uint s1 = farlane_turn(v[4], 6) ^ farlane_turn(v[4], 11) ^ farlane_turn(v[4], 25);
                const uint t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + farlane_choose(t) + w[t];
                const uint s0 = farlane_turn(v[0], 2) ^ farlane_turn(v[0], 13) ^ farlane_turn(v[0], 22);
                const uint t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
                for (uint j = 7; j > 0; --j) v[j] = v[j - 1];
                v[4] += t1;
                v[0] = t1 + t2;
            }
            for (uint j = 0; j < 8; ++j) h[j] += v[j];
        }
        for (uint b = 0; b < 32; ++b) to[to_at + i * 32 + b] = (uchar)(h[b / 4] >> (24 - b % 4 * 8));
    }
}
)cl";

std::string with(const char* dialect) {
    return std::string(dialect) + kMemory + kVector + kPictures + kSha256;
}

}  // namespace

std::string builtin_source_opencl() {
    return with(kOpenCl);
}
std::string builtin_source_cuda() {
    return with(kCuda);
}

}  // namespace farlane::backend::worker
