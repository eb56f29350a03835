// SPDX-License-Identifier: Apache-2.0
// Receives: acknowledged bytes, round-trip samples and losses of one path. Hands on: how many
// bytes may be in flight, and when the next frame may leave. Owns: the congestion window.
// Delay-based, in the family of Swift (SIGCOMM 2020) and FAST TCP (2006): the window follows a
// small standing queue. docs/wire.md, "Congestion".
#pragma once

#include <algorithm>
#include <cstdint>

#include "proto/rtt.hpp"
#include "proto/time.hpp"

namespace farlane::proto {

class Congestion {
public:
    /// `link_bytes_per_s`: what the user said of the link, 0 = nothing.
    explicit Congestion(std::uint32_t frame_bytes, std::uint64_t link_bytes_per_s = 0) noexcept
        : link_bytes_per_s_(link_bytes_per_s) {
        set_frame_bytes(frame_bytes);
    }

    /// The path's frames have another size now.
    void set_frame_bytes(std::uint32_t frame_bytes) noexcept;
    [[nodiscard]] std::uint64_t window_bytes() const noexcept { return window_; }

    /// `bytes` have arrived at the peer; `in_flight` is what was in flight before.
    void acknowledged(std::uint64_t bytes, std::uint64_t in_flight) noexcept {
        delivered_ += bytes;
        if (in_flight * 2 < window_) return;  // the window is not what holds the sender back
        if (in_flight >= window_ - window_ / 8 || held_) limited_ = true;
        if (growing_) window_ = std::max(window_, std::min(window_ + bytes, ceiling_));
    }
    /// `arrived`: when the newest packet reached the peer, by this side's clock and half a round trip late.
    void sampled(const Rtt& rtt, Time arrived, Time now) noexcept {
        epoch_least_ = std::min(epoch_least_, rtt.latest());
        ++epoch_samples_;
        if (growing_) [[unlikely]]
            watch_train(rtt, arrived);
        if (now >= epoch_end_) end_epoch(rtt, now);
    }
    void lost(std::uint64_t bytes) noexcept { lost_bytes_ += bytes; }
    /// Nothing came back for several probes: what was known of the path no longer holds.
    void restart() noexcept;

    /// Pacing: not before this. Only on long paths; on short ones the window is enough.
    [[nodiscard]] Time next_send() const noexcept { return next_send_; }
    void sent(std::uint64_t bytes, Time now) noexcept {
        if (ns_per_kib_ == 0) return;
        if (unpaced_bytes_ >= bytes) {
            unpaced_bytes_ -= bytes;
            return;
        }
        const auto base = next_send_ > now - kBurst ? next_send_ : now - kBurst;
        next_send_ = base + Duration(static_cast<Duration::rep>((bytes * ns_per_kib_) >> 10));
        held_ = next_send_ > now;
    }

private:
    static constexpr std::uint64_t kMaxWindowBytes = std::uint64_t{1} << 30;
    static constexpr std::uint32_t kFirstFrames = 64;
    static constexpr std::uint32_t kMinFrames = 4;
    static constexpr Duration kPaceAbove = std::chrono::milliseconds(1);  // round trips shorter are not paced
    static constexpr Duration kBurst = std::chrono::microseconds(500);    // unused sending time that is kept
    static constexpr Duration kUnknown = Duration::max();

    [[nodiscard]] Duration target(std::uint64_t window) const noexcept;
    [[nodiscard]] std::uint64_t window_for(std::uint64_t bytes_per_s) const noexcept;
    void set_window(std::uint64_t window) noexcept;
    void watch_train(const Rtt& rtt, Time arrived) noexcept;
    void end_epoch(const Rtt& rtt, Time now) noexcept;
    void first_epoch(const Rtt& rtt, Time now) noexcept;
    void end_growth(Duration queue, std::uint64_t delivered, Duration lasted) noexcept;
    void steer(Duration queue, std::uint64_t lost) noexcept;
    void judge_losses(std::uint64_t delivered, std::uint64_t lost) noexcept;
    void renew_least(Duration least, const Rtt& rtt, Time now) noexcept;
    void end_drain(Time now) noexcept;
    void pace() noexcept;

    // What every frame needs is first.
    std::uint64_t window_ = 0;
    Time next_send_{};
    std::uint64_t ns_per_kib_ = 0;             // pacing rate; 0 = not paced
    std::uint64_t delivered_ = 0;              // bytes, for ever
    std::uint64_t ceiling_ = kMaxWindowBytes;  // of the fast growth
    std::uint32_t frame_bytes_ = 0;
    bool growing_ = true;              // by what is acknowledged
    bool limited_ = false;             // in this epoch the window was what held the sender back
    bool held_ = false;                // the last packet made the next one wait: the window is not full, but would be
    bool fresh_ = true;                // still the first window
    std::uint64_t unpaced_bytes_ = 0;  // that may leave at once
    std::uint64_t lost_bytes_ = 0;     // of this epoch, about one round trip
    const std::uint64_t link_bytes_per_s_;

    // the epoch
    Time epoch_start_{}, epoch_end_{};
    Duration epoch_least_ = kUnknown;
    std::uint64_t epoch_delivered_ = 0;
    unsigned epoch_samples_ = 0;
    unsigned calm_epochs_ = 0;  // in a row, without a queue

    // the least round trip, and the drains that look for it
    Duration least_ = kUnknown, least_in_drain_ = kUnknown, least_in_last_drain_ = kUnknown;
    Duration last_epoch_least_ = kUnknown;
    Time least_seen_{}, drain_end_{}, next_drain_{};
    unsigned skipped_epochs_ = 0;
    std::uint64_t drained_window_ = 0;  // what the window was; 0 = not draining

    // fast growth: a train of packets that is pulled apart shows the rate of the link
    std::uint64_t train_delivered_ = 0;
    Time train_arrived_{};
    Duration train_rtt_{};
    unsigned pulled_trains_ = 0;

    // losses, over many packets
    std::uint64_t sample_delivered_ = 0, sample_lost_ = 0;
    unsigned usual_1024_ = 0;          // that the path loses whatever is sent
    std::uint64_t before_window_ = 0;  // about what that judgement left
    unsigned before_1024_ = 0;         // at the last judgement, when it shrank the window
};

}  // namespace farlane::proto
