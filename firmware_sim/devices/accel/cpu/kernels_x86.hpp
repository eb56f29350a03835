// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the tables that need more than the build's baseline; x86-64 only.
// Owns: nothing. A table may only be used on a processor that has what its file names.
#pragma once

#include "devices/accel/cpu/kernels.hpp"

namespace farlane::firmware::accel {

/// AVX2 and FMA.
[[nodiscard]] const KernelTable& avx2_kernels() noexcept;
/// AVX-512 F, BW, DQ and VL.
[[nodiscard]] const KernelTable& avx512_kernels() noexcept;
/// The SHA extensions; used in either table when the processor has them.
void sha256_blocks_shani(std::uint32_t state[8], const std::byte* blocks, std::size_t count);

}  // namespace farlane::firmware::accel
