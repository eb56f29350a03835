// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the OpenCL C programs and sizes that are measured here and through the product.
// Owns: nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace limits {

/// x and y together take 64 MiB.
inline constexpr std::size_t kSaxpyElements = std::size_t{8} << 20;
/// Three matrices of kGemmSize squared take 64 MiB, nearly.
inline constexpr std::uint32_t kGemmSize = 2304, kGemmColumns = 16, kGemmRows = 4;  // of a work item

inline constexpr const char* kOpenclSource = R"(
__kernel void saxpy(float a, __global const float *x, __global float *y) {
    const size_t i = get_global_id(0);
    y[i] = a * x[i] + y[i];
}
__kernel void gemm(uint n, __global const float *a, __global const float *b, __global float *c) {
    const size_t column = get_global_id(0) * 16, row = get_global_id(1) * 4;
    float16 s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (uint k = 0; k < n; ++k) {
        const float16 right = vload16(0, b + k * n + column);
        s0 += a[row * n + k] * right;
        s1 += a[(row + 1) * n + k] * right;
        s2 += a[(row + 2) * n + k] * right;
        s3 += a[(row + 3) * n + k] * right;
    }
    vstore16(s0, 0, c + row * n + column);
    vstore16(s1, 0, c + (row + 1) * n + column);
    vstore16(s2, 0, c + (row + 2) * n + column);
    vstore16(s3, 0, c + (row + 3) * n + column);
}
)";

}  // namespace limits
