// SPDX-License-Identifier: Apache-2.0
// Receives: links, loads and a seed. Hands on: what the protocol reached there, in simulated time. Owns: one network
// per call. `make bench` prints these figures, the tests assert them with a margin.
#pragma once

#include "simulation/network.hpp"

namespace farlane::simulation {

struct Wan {
    double bits_per_s = 10e9;
    Duration round_trip = 100us;
    std::uint64_t buffer_bytes = 1 << 20;
    double loss = 0;
    std::uint32_t frame_bytes = 8972;        ///< UDP payload of an MTU of 9000
    std::uint64_t link_rate_bits_per_s = 0;  ///< what the sessions are told of the link; 0 = nothing
    std::uint32_t posted_window = 16384;
    std::uint32_t packet_window = 65536;
    unsigned paths = 1;  ///< each over links of its own
    bool strict = false;
};

struct BulkResult {
    double goodput_bits_per_s = 0;  ///< payload, in the steady part of the run
    double reached_after_rtt =
        -1;  ///< round trips from the first write until goodput stays above 0.9 of the link; -1 = never
    std::uint64_t most_queued_bytes = 0;
    std::uint64_t memory_bytes = 0;  ///< of both ends, at the end; payloads stay where they are
    std::uint64_t packets_sent = 0, packets_lost = 0, resent = 0;
};
/// One device writes for `warm_up` and then for `measured`.
[[nodiscard]] BulkResult bulk(const Wan& wan, std::uint64_t seed, Duration warm_up, Duration measured);

struct ShareResult {
    std::vector<double> goodput_bits_per_s;  ///< of each
    std::uint64_t most_queued_bytes = 0;
};
/// `flows` devices of one target each write to one initiator over one link, the next one begins `apart` after the one
/// before. Measured from `warm_up` after the last one on.
[[nodiscard]] ShareResult share(const Wan& wan, std::uint64_t seed, unsigned flows, Duration apart, Duration warm_up,
                                Duration measured);

struct LatencyResult {
    double idle_p50_ns = 0, idle_p99_ns = 0, busy_p50_ns = 0, busy_p99_ns = 0;
    double bulk_bits_per_s = 0;
    std::uint64_t failed = 0;
};
/// Register reads, first alone and then beside a bulk flow in the direction of their answers: of another session,
/// or of another function of the same one.
[[nodiscard]] LatencyResult latency(const Wan& wan, std::uint64_t seed, bool same_session, Duration measured);

}  // namespace farlane::simulation
