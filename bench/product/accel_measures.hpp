// SPDX-License-Identifier: Apache-2.0
// Receives: an open fabric with the accelerator "accel0". Hands on: figures of it.
// Owns: contexts and buffers while they are measured. Each runs in the initiator's process of a pair.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include <farlane/fabric.hpp>

namespace farlane::bench {

/// Nanoseconds of a command that does nothing, from its submission to its completion: one value for each of
/// kPercentiles (measures.hpp).
[[nodiscard]] std::vector<double> noop_rtt(Fabric& fabric);
/// GB/s of relaxed posted writes of 4 KiB out of `bytes` of host memory into as much of the aperture, executed: what
/// the port gives, without a command.
[[nodiscard]] double aperture_write_rate(Fabric& fabric, std::size_t bytes);
/// GB/s of `bytes` out of host memory that the device can reach into device memory, until the device has them.
[[nodiscard]] double upload_rate(Fabric& fabric, std::size_t bytes);
/// GB/s of the way back, until the host has them.
[[nodiscard]] double download_rate(Fabric& fabric, std::size_t bytes);
/// Milliseconds of `count` launches of a small kernel from the first submission until the last has run, and the
/// milliseconds of these that the kernels ran.
struct LaunchTimes {
    double all_ms = 0, kernels_ms = 0;
    double submit_ms = 0;      ///< of these, until the last was submitted
    double round_trip_ms = 0;  ///< of a command that does nothing, just before
};
[[nodiscard]] LaunchTimes launch_times(Fabric& fabric, unsigned count);
/// Milliseconds of a cold program: allocate, load, bind, copy in, launch, read back.
[[nodiscard]] LaunchTimes cold_program(Fabric& fabric);

/// KiB of this process for one stream that has worked.
[[nodiscard]] double stream_kib(Fabric& fabric);
/// Milliseconds of "saxpy" or "gemm" (bench/limits/opencl_work.hpp), data resident, from launch to completion: the
/// median of `count` after a first one; and MiB of the worker process that ran it.
[[nodiscard]] std::vector<double> opencl_ms(Fabric& fabric, const std::string& work, unsigned count);

}  // namespace farlane::bench
