// SPDX-License-Identifier: Apache-2.0
// Receives: which frame sizes arrived and which did not. Hands on: the frame size in use, and
// the next one to try. Owns: both. docs/wire.md, "Path MTU".
#pragma once

#include <cstdint>

#include <farlane/uapi/frame.h>

#include "proto/time.hpp"

namespace farlane::proto {

class MtuProbe {
public:
    /// `limit` = what the port can carry; `reliable`: it is known to arrive.
    MtuProbe(std::uint32_t limit, bool reliable) noexcept;

    /// Largest frame to build now.
    [[nodiscard]] std::uint32_t frame_bytes() const noexcept { return frame_bytes_; }
    /// The peer said what it can receive.
    void peer_limit(std::uint32_t max_frame_bytes) noexcept;
    /// Size to probe now; 0 = nothing to probe.
    [[nodiscard]] std::uint32_t due(Time now) const noexcept { return now >= next_probe_ ? candidate() : 0; }
    /// When due() has something to say, kNever = not.
    [[nodiscard]] Time next_probe() const noexcept { return candidate() == 0 ? kNever : next_probe_; }
    void probed(Time now, Duration round_trip) noexcept;
    void arrived(std::uint32_t bytes) noexcept;
    /// A probe was lost, or has had no answer in its time.
    void probe_lost(std::uint32_t bytes, Time now) noexcept;
    /// Frames larger than every path must carry are lost one after another while nothing of
    /// their size arrives: true when the size was given up.
    [[nodiscard]] bool large_lost(std::uint32_t bytes, Time now) noexcept;
    void large_arrived(std::uint32_t bytes) noexcept {
        if (bytes > FL_FRAME_BASE_BYTES) large_lost_ = 0;
    }

private:
    static constexpr unsigned kTries = 3;
    static constexpr unsigned kBlackHole = 10;
    static constexpr Duration kTryAgain = std::chrono::seconds(60);

    [[nodiscard]] std::uint32_t candidate() const noexcept;

    std::uint32_t limit_;
    std::uint32_t frame_bytes_;
    unsigned tries_ = 0;
    unsigned large_lost_ = 0;
    bool reliable_;
    Time next_probe_{};
};

}  // namespace farlane::proto
