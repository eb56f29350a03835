// SPDX-License-Identifier: Apache-2.0
// Receives: acknowledged bytes, round-trip samples and losses of one path. Hands on: how many
// bytes may be in flight, and when the next frame may leave. Owns: the congestion window.
// Delay-based, as in Swift (SIGCOMM 2020): the window grows while the delay stays under its
// target and shrinks in proportion to the excess. docs/wire.md, "Congestion".
#pragma once

#include <cstdint>

#include "proto/rtt.hpp"
#include "proto/time.hpp"

namespace farlane::proto {

class Congestion {
public:
    explicit Congestion(std::uint32_t frame_bytes) noexcept { set_frame_bytes(frame_bytes); }

    /// The path's frames have another size now.
    void set_frame_bytes(std::uint32_t frame_bytes) noexcept;
    [[nodiscard]] std::uint64_t window_bytes() const noexcept { return window_; }

    /// `bytes` have arrived at the peer; `in_flight` is what was in flight before.
    void acknowledged(std::uint64_t bytes, std::uint64_t in_flight) noexcept {
        acked_bytes_ += bytes;
        if (in_flight * 2 < window_) return;  // the window is not what holds the sender back
        if (growing_) {
            window_ += bytes;
        } else if ((credit_ += bytes) >= window_) {
            credit_ -= window_;
            window_ += frame_bytes_;
        }
        if (window_ > kMaxWindowBytes) window_ = kMaxWindowBytes;
    }
    void sampled(const Rtt& rtt, Time now) noexcept {
        if (rtt.latest() > rtt.min() + target_delay(rtt)) too_slow(rtt, now);
        if (now >= epoch_end_) end_epoch(rtt, now);
    }
    void lost(std::uint64_t bytes) noexcept { lost_bytes_ += bytes; }
    /// Nothing came back for several probes: what was known of the path no longer holds.
    void restart() noexcept;

    /// Pacing: not before this. Only on long paths; on short ones the window is enough.
    [[nodiscard]] Time next_send() const noexcept { return next_send_; }
    void sent(std::uint64_t bytes, Time now) noexcept {
        if (ns_per_kib_ == 0) return;
        const auto base = next_send_ > now - kBurst ? next_send_ : now - kBurst;
        next_send_ = base + Duration(static_cast<Duration::rep>((bytes * ns_per_kib_) >> 10));
    }

private:
    static constexpr std::uint64_t kMaxWindowBytes = std::uint64_t{1} << 30;
    static constexpr std::uint32_t kFirstFrames = 64;
    static constexpr std::uint32_t kMinFrames = 16;
    static constexpr Duration kPaceAbove = std::chrono::milliseconds(1);  // round trips shorter are not paced
    static constexpr Duration kBurst = std::chrono::microseconds(500);    // unused sending time that is kept

    [[nodiscard]] static Duration target_delay(const Rtt& rtt) noexcept;
    void too_slow(const Rtt& rtt, Time now) noexcept;
    void end_epoch(const Rtt& rtt, Time now) noexcept;
    void shrink_to(std::uint64_t window) noexcept;

    std::uint64_t window_ = 0;
    std::uint64_t credit_ = 0;
    std::uint64_t acked_bytes_ = 0, lost_bytes_ = 0;  // of this epoch, about one round trip
    std::uint64_t ns_per_kib_ = 0;                    // pacing rate; 0 = not paced
    std::uint32_t frame_bytes_ = 0;
    bool growing_ = true;  // slow start
    Time epoch_end_{};
    Time next_shrink_{};
    Time next_send_{};
};

}  // namespace farlane::proto
