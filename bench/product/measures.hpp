// SPDX-License-Identifier: Apache-2.0
// Receives: an open fabric with the function "scratch0" (tests/lane/scratch_device.hpp). Hands on: figures of it.
// Owns: the device while it is measured. Each runs in the initiator's process of a pair.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include <farlane/fabric.hpp>

namespace farlane::bench {

/// Percentiles of which round trips are reported; p50 and p99 among them.
inline constexpr double kPercentiles[] = {0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999};
inline constexpr unsigned kP50 = 3, kP99 = 7;

/// Memory of this process that is in use.
[[nodiscard]] double resident_kib();
/// Sorts `ns`; one value for each of kPercentiles. Throws when there are none.
[[nodiscard]] std::vector<double> percentiles_of(std::vector<double>& ns);

/// Nanoseconds of 8-byte register reads: one value for each of kPercentiles.
[[nodiscard]] std::vector<double> read_rtt(Fabric& fabric);
/// The same of a device in any process, through any provider, with a pause before each.
[[nodiscard]] std::vector<double> read_rtt_after(Fabric& fabric, const char* function, std::uint64_t offset,
                                                 std::chrono::milliseconds pause, unsigned count);
/// GB/s of relaxed device DMA: writes (go = 1) or reads (go = 2) of `part` bytes each, at most 4096.
[[nodiscard]] double dma_rate(Fabric& fabric, std::uint64_t go);
/// Million 8-byte posted writes a second that the device has executed, in order and checked.
[[nodiscard]] double posted_rate(Fabric& fabric, std::uint64_t writes_per_poll);
/// GB/s of relaxed writes of `bytes` each out of a mapped buffer into the function's memory, executed.
[[nodiscard]] double write_rate(Fabric& fabric, std::size_t bytes);
/// Microseconds one way, p50: a write to the device, which writes it back into this host's memory, where it is
/// seen; halved. `page`: 4 KiB each way instead of 8 bytes.
[[nodiscard]] double put_latency(Fabric& fabric, bool page);
/// Kilobytes that moving 64 MiB each way adds to the resident memory of this process, buffer excluded.
[[nodiscard]] double extra_memory(Fabric& fabric);

}  // namespace farlane::bench
