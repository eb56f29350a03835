// SPDX-License-Identifier: Apache-2.0
// Receives: signs that a path is too full. Hands on: nothing. Owns: the window's way down.
// docs/wire.md, "Congestion".
#include "proto/congestion.hpp"

#include <algorithm>

namespace farlane::proto {

void Congestion::set_frame_bytes(std::uint32_t frame_bytes) noexcept {
    frame_bytes_ = frame_bytes;
    window_ = std::max(window_, std::uint64_t{frame_bytes} * (window_ == 0 ? kFirstFrames : kMinFrames));
}

// Queueing delay that is left alone: scheduling of two machines alone makes half a millisecond.
Duration Congestion::target_delay(const Rtt& rtt) noexcept {
    return std::max<Duration>(std::chrono::microseconds(500), Duration(rtt.min().count() >> 2));
}

void Congestion::shrink_to(std::uint64_t window) noexcept {
    window_ = std::max(window, std::uint64_t{frame_bytes_} * kMinFrames);
    credit_ = 0;
}

// Once per round trip: by the part of the delay that is too much, at most to one half.
void Congestion::too_slow(const Rtt& rtt, Time now) noexcept {
    growing_ = false;
    if (now < next_shrink_) return;
    next_shrink_ = now + rtt.smoothed();
    const auto delay = static_cast<std::uint64_t>(rtt.latest().count());
    const auto target = static_cast<std::uint64_t>((rtt.min() + target_delay(rtt)).count());
    const std::uint64_t excess_1024 = (delay - target) * 1024 / delay;
    shrink_to(window_ - window_ * std::min<std::uint64_t>(excess_1024 * 4 / 5, 512) / 1024);
}

// Loss without delay may be a bad cable as well as a short queue: a little is forgiven, much
// shrinks the window even when the delay says nothing.
void Congestion::end_epoch(const Rtt& rtt, Time now) noexcept {
    epoch_end_ = now + std::max<Duration>(rtt.smoothed(), std::chrono::microseconds(100));
    const std::uint64_t all = acked_bytes_ + lost_bytes_;
    if (lost_bytes_ * 2 > all) {
        shrink_to(window_ / 2);
        growing_ = false;
    } else if (lost_bytes_ * 32 > all) {
        shrink_to(window_ - window_ / 8);
        growing_ = false;
    }
    acked_bytes_ = lost_bytes_ = 0;
    // Twice the window per round trip: pacing must smooth bursts, not limit the rate.
    ns_per_kib_ =
        rtt.smoothed() < kPaceAbove ? 0 : static_cast<std::uint64_t>(rtt.smoothed().count()) * 1024 / (window_ * 2) + 1;
}

void Congestion::restart() noexcept {
    shrink_to(std::uint64_t{frame_bytes_} * kMinFrames);
    growing_ = true;
}

}  // namespace farlane::proto
