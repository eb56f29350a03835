// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: what is measured, for both sides. Owns: nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <farlane/fabric.hpp>

namespace farlane::bench::gpu {

inline constexpr unsigned kGemm = 8192, kGemmTile = 128, kGemmThreads = 256;
inline constexpr unsigned kSmallLaunches = 10'000;
inline constexpr unsigned kRepeats = 5;

/// "gemm_f32" and "gemm_bf16": milliseconds from launch to completion, data resident. "launches": milliseconds of
/// kSmallLaunches kernels that do nearly nothing, from the first launch to the completion of the last. One value for
/// each of kRepeats runs after a first one. Both sides do exactly the same.
[[nodiscard]] std::vector<double> local_ms(const std::string& work);
[[nodiscard]] std::vector<double> remote_ms(Fabric& fabric, const std::string& work);
/// GB/s between pinned host memory and the device, up and down, by the driver.
[[nodiscard]] std::vector<double> local_copy_rates(std::size_t bytes);
/// Bytes of the device that nobody uses, this call's own context apart; in a process of its own.
[[nodiscard]] double local_free_bytes();

/// What a context costs, {bytes of the device, resident bytes of its process, milliseconds from nothing to the end of a
/// first launch}: of a process that uses the driver API, and of a context of the accelerator. Both run in a process
/// that has no CUDA; other users of the device disturb.
[[nodiscard]] std::vector<double> local_context();
[[nodiscard]] std::vector<double> remote_context(Fabric& fabric);

/// What must be right before figures mean anything.
struct Check {
    std::string name;
    void (*run)(Fabric& fabric);  ///< throws std::runtime_error with what is wrong
};
[[nodiscard]] const std::vector<Check>& checks();

}  // namespace farlane::bench::gpu
