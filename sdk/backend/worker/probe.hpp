// SPDX-License-Identifier: Apache-2.0
// Receives: what `farlane-accel-worker --probe` printed. Hands on: the devices of a vendor's runtime, and the one that
// is meant. Owns: nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <farlane/status.hpp>

#include "backend/executor.hpp"

namespace farlane::backend::worker {

/// Of every launch; 0: not known.
struct LaunchLimits {
    std::array<std::uint32_t, 3> block{}, grid{};
    std::uint64_t shared_bytes = 0;  ///< of a block
};

struct FoundDevice {
    std::uint32_t index = 0;
    std::string platform, name, vendor, driver, type;
    bool shares_memory = false;  ///< its memory is the host's
    std::uint32_t units = 0;
    std::uint64_t memory_bytes = 0;
    std::uint64_t capabilities = 0;   ///< FL_ACCEL_CAP_*
    std::uint64_t local_address = 0;  ///< where its memory can be seen; 0: anywhere
    std::uint64_t energy_uj = 0;      ///< used until now
    LaunchLimits limits;
    std::vector<std::byte> info;  ///< FL_ACCEL_PROPERTY_OPENCL_INFO
    std::string why_not;          ///< not empty: can not be used, and why
};
struct Found {
    std::vector<FoundDevice> devices;
    std::string why;  ///< there is none
};

/// `executor` is "opencl" or "cuda". Errors: protocol (the text is not what a worker prints).
[[nodiscard]] Result<Found> parse_probe(std::string_view text, std::string_view executor);
/// Errors: not_found, io, timeout, protocol.
[[nodiscard]] Result<Found> probe(const std::string& program, std::string_view executor);
/// Those that can be used, for people; "" when there is none.
[[nodiscard]] std::string usable(const Found& found);
/// `wanted`: part of a name in any case, or a number; "" = the first that can be used. Errors: unsupported; the text
/// lists what there is.
[[nodiscard]] Result<FoundDevice> choose(const Found& found, std::string_view executor, std::string_view wanted);

}  // namespace farlane::backend::worker
