// SPDX-License-Identifier: Apache-2.0
// Receives: the name of an instruction set. Hands on: its table, or why not.
// Owns: the tables with the SHA extensions patched in.
#include <cpuid.h>

#include <string>

#include "devices/accel/cpu/kernels_x86.hpp"

namespace farlane::firmware::accel {
namespace {

/// Intel SDM volume 2, CPUID leaf 7, EBX bit 29.
bool has_sha() noexcept {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & (1u << 29)) != 0;
}

bool has_avx2() noexcept {
    return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
}

bool has_avx512() noexcept {
    return has_avx2() && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
           __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
}

KernelTable with_sha(const KernelTable& base) noexcept {
    KernelTable table = base;
    if (has_sha()) table.sha256_blocks = sha256_blocks_shani;
    return table;
}

}  // namespace

Result<const KernelTable*> select_kernels(std::string_view isa) {
    static const KernelTable avx2 = with_sha(avx2_kernels());
    static const KernelTable avx512 = with_sha(avx512_kernels());
    if (isa == "auto") return has_avx512() ? &avx512 : has_avx2() ? &avx2 : &portable_kernels();
    if (isa == "portable") return &portable_kernels();
    const bool known = isa == "avx2" || isa == "avx512";
    if (!known) return {Status::invalid, "isa = \"" + std::string(isa) + "\": valid are auto, portable, avx2, avx512"};
    if (isa == "avx2" && has_avx2()) return &avx2;
    if (isa == "avx512" && has_avx512()) return &avx512;
    return {Status::unsupported, "isa = \"" + std::string(isa) + "\": this processor has not got it; use auto"};
}

}  // namespace farlane::firmware::accel
