// SPDX-License-Identifier: Apache-2.0
// Receives: the fault keys of a port string. Hands on: what shall go wrong. Owns: nothing.
#pragma once

#include <cstdint>

#include "transport/url.hpp"

namespace farlane::transport {

/// What a fault port does to frames. Everything random follows from the seed and the sequence of
/// frames, so a run can be repeated.
struct FaultSpec {
    std::uint64_t seed = 1;
    double loss = 0;                          ///< probability that a frame is dropped
    double dup = 0;                           ///< ... that it arrives twice
    double corrupt = 0;                       ///< ... that 1 to 4 of its bits are flipped
    double reorder = 0;                       ///< ... that it is held back so that others overtake it
    std::int64_t reorder_by_ns = 1000000;     ///< up to this long
    std::int64_t delay_ns = 0;                ///< every frame is this late
    std::int64_t jitter_ns = 0;               ///< and up to this much more; keeps the order
    std::uint64_t rate_bits_per_s = 0;        ///< 0 = no limit
    std::uint64_t queue_bytes = 1024 * 1024;  ///< rate: backlog in front of the line; beyond it frames are dropped
    std::uint64_t hold_frames = 4096;         ///< frames held at most; then the port takes no more
    bool sent = true;                         ///< frames sent are disturbed
    bool received = false;                    ///< frames received are disturbed

    friend bool operator==(const FaultSpec&, const FaultSpec&) = default;
};

/// Reads seed, loss, delay, jitter, reorder, reorder_by, dup, corrupt, rate, queue, hold, side.
[[nodiscard]] FaultSpec read_faults(Query& query);

}  // namespace farlane::transport
