// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the kernels of bench/gpu, the same ones locally and through the fabric. Owns: nothing.
// kernels.ptx is made of it (kernels_ptx.sh). What counts is the comparison, so they are plain, not the fastest there are.
#include <cuda_bf16.h>
#include <mma.h>

extern "C" __global__ void add(const float* a, const float* b, float* c, unsigned n) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) c[i] = a[i] + b[i];
}

extern "C" __global__ void tiny(unsigned* count) {
    if (threadIdx.x == 0) *count += 1;
}

extern "C" __global__ void sum(const float* x, float* to, unsigned n) {
    __shared__ float part[256];
    float mine = 0;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) mine += x[i];
    part[threadIdx.x] = mine;
    for (unsigned k = 128; k > 0; k /= 2) {
        __syncthreads();
        if (threadIdx.x < k) part[threadIdx.x] += part[threadIdx.x + k];
    }
    if (threadIdx.x == 0) atomicAdd(to, part[0]);
}

struct Node {
    const Node* next;
    unsigned long long value;
};
extern "C" __global__ void chase(const Node* first, unsigned long long* to) {
    unsigned long long all = 0;
    for (const Node* n = first; n != nullptr; n = n->next) all += n->value;
    *to = all;
}

extern "C" __global__ void wild(unsigned long long address) {
    *reinterpret_cast<volatile unsigned*>(address) = 1;
}

extern "C" __global__ void endless(volatile unsigned* stop) {
    while (*stop == 0) {
    }
}

// C = A B, row-major, n a multiple of 128; blocks of 256 make 128 by 128, each thread 8 by 8.
extern "C" __global__ void gemm_f32(const float* a, const float* b, float* c, unsigned n) {
    __shared__ float a_tile[8][128], b_tile[8][128];
    const unsigned row = blockIdx.y * 128, column = blockIdx.x * 128;
    const unsigned x = threadIdx.x % 16 * 8, y = threadIdx.x / 16 * 8;
    float sums[8][8] = {};
    for (unsigned k = 0; k < n; k += 8) {
        for (unsigned i = 0; i < 4; ++i) {
            const unsigned at = i * 256 + threadIdx.x;
            a_tile[at % 8][at / 8] = a[(row + at / 8) * static_cast<size_t>(n) + k + at % 8];
            b_tile[at / 128][at % 128] = b[(k + at / 128) * static_cast<size_t>(n) + column + at % 128];
        }
        __syncthreads();
        for (unsigned i = 0; i < 8; ++i) {
            float left[8], right[8];
            for (unsigned j = 0; j < 8; ++j) left[j] = a_tile[i][y + j];
            for (unsigned j = 0; j < 8; ++j) right[j] = b_tile[i][x + j];
            for (unsigned p = 0; p < 8; ++p) {
                for (unsigned q = 0; q < 8; ++q) sums[p][q] += left[p] * right[q];
            }
        }
        __syncthreads();
    }
    for (unsigned p = 0; p < 8; ++p) {
        for (unsigned q = 0; q < 8; ++q) c[(row + y + p) * static_cast<size_t>(n) + column + x + q] = sums[p][q];
    }
}

// The same of bf16 with sums in f32, on tensor cores: a warp makes 32 by 64.
extern "C" __global__ void gemm_bf16(const __nv_bfloat16* a, const __nv_bfloat16* b, float* c, unsigned n) {
    using namespace nvcuda::wmma;
    const unsigned warp = threadIdx.x / 32;
    const size_t row = blockIdx.y * 128 + warp / 2 * 32, column = blockIdx.x * 128 + warp % 2 * 64;
    fragment<accumulator, 16, 16, 16, float> sums[2][4];
    for (auto& line : sums) {
        for (auto& s : line) fill_fragment(s, 0.0f);
    }
    for (unsigned k = 0; k < n; k += 16) {
        fragment<matrix_a, 16, 16, 16, __nv_bfloat16, row_major> left[2];
        fragment<matrix_b, 16, 16, 16, __nv_bfloat16, row_major> right[4];
        for (unsigned i = 0; i < 2; ++i) load_matrix_sync(left[i], a + (row + 16 * i) * n + k, n);
        for (unsigned j = 0; j < 4; ++j) load_matrix_sync(right[j], b + k * static_cast<size_t>(n) + column + 16 * j, n);
        for (unsigned i = 0; i < 2; ++i) {
            for (unsigned j = 0; j < 4; ++j) mma_sync(sums[i][j], left[i], right[j], sums[i][j]);
        }
    }
    for (unsigned i = 0; i < 2; ++i) {
        for (unsigned j = 0; j < 4; ++j) {
            store_matrix_sync(c + (row + 16 * i) * n + column + 16 * j, sums[i][j], n, mem_row_major);
        }
    }
}
