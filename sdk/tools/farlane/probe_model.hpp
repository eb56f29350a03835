// SPDX-License-Identifier: Apache-2.0
// Receives: what was measured of a link. Hands on: what a workload will get over it. Owns: nothing.
// docs/performance.md, "The model".
#pragma once

#include <cstdint>

namespace farlane::cli {

/// What a link is, as far as it is known. Zero = not known.
struct LinkFigures {
    double round_trip_s = 0;
    double link_bits_per_s = 0;        ///< of the slowest link of the way
    double payload_bytes_per_s = 0;    ///< bulk reads, as measured; go before what follows from the link
    double loss = 0;                   ///< share of frames
    std::uint32_t frame_bytes = 1472;  ///< largest frame of the path
};

/// Zero = cannot be said.
struct Prediction {
    double reads_per_s = 0;              ///< register reads, one after the other
    double posted_writes_per_s = 0;      ///< of 8 bytes
    double bulk_bytes_per_s = 0;         ///< payload of 4 KiB transactions
    bool bulk_is_least = false;          ///< it was measured by reads, which their window held back
    double nvme_reads_depth1_per_s = 0;  ///< 4 KiB, random
    double nvme_reads_depth32_per_s = 0;
};

/// Share of a link's rate that is payload, with writes (or answers) of `bytes` each, on Ethernet with IPv4 and UDP.
[[nodiscard]] double payload_share(std::uint32_t frame_bytes, std::uint32_t bytes) noexcept;

[[nodiscard]] Prediction predict(const LinkFigures& link) noexcept;

}  // namespace farlane::cli
