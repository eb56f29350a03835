// SPDX-License-Identifier: Apache-2.0
// Receives: what an epoch (about a round trip) has shown. Hands on: nothing. Owns: the rules by
// which the window moves. docs/wire.md, "Congestion".
#include "proto/congestion.hpp"

#include <bit>
#include <utility>

namespace farlane::proto {

namespace {

constexpr Duration kShortestEpoch = std::chrono::microseconds(250);
constexpr unsigned kEpochSamples = 4;
constexpr Duration kSlack = std::chrono::microseconds(50);  // queue that is left alone on any path
constexpr Duration kShortestDrainInterval = std::chrono::milliseconds(50);
constexpr Duration kLongestDrainInterval = std::chrono::seconds(10);
constexpr unsigned kDrainIntervalTrips = 512;
constexpr unsigned kTrainFrames = 16;  // at least
constexpr unsigned kTrainsThatTell = 3;
constexpr unsigned kBurstFrames = 48;  // so that a train of the least size is within it
constexpr unsigned kManyFrames = 8;
constexpr unsigned kLossSampleFrames = 256;
constexpr unsigned kLossAllowed = 16;   // of 1024
constexpr unsigned kUsualAtMost = 128;  // of 1024: more is never put down to a bad cable
constexpr unsigned kCalmEpochs = 3;

std::uint64_t count(Duration d) noexcept {
    return static_cast<std::uint64_t>(std::max<Duration::rep>(d.count(), 1));
}

// Floor of the square root; 32 bits are enough for frames.
std::uint64_t square_root(std::uint64_t n) noexcept {
    if (n == 0) return 0;
    std::uint64_t r = std::uint64_t{1} << ((std::bit_width(n) + 1) / 2);
    for (std::uint64_t next = (r + n / r) / 2; next < r; next = (r + n / r) / 2) r = next;
    return r;
}

Duration drain_interval(const Rtt& rtt) noexcept {
    return std::clamp<Duration>(rtt.smoothed() * kDrainIntervalTrips, kShortestDrainInterval, kLongestDrainInterval);
}

std::uint64_t per_second(std::uint64_t bytes, Duration lasted) noexcept {
    return static_cast<std::uint64_t>(static_cast<double>(bytes) * 1e9 / static_cast<double>(count(lasted)));
}

std::uint64_t scaled(std::uint64_t window, Duration part, Duration whole) noexcept {
    return static_cast<std::uint64_t>(static_cast<double>(window) * static_cast<double>(part.count()) /
                                      static_cast<double>(whole.count()));
}

}  // namespace

void Congestion::set_frame_bytes(std::uint32_t frame_bytes) noexcept {
    frame_bytes_ = frame_bytes;
    window_ = std::max(window_, std::uint64_t{frame_bytes} * (fresh_ ? kFirstFrames : kMinFrames));
}

void Congestion::set_window(std::uint64_t window) noexcept {
    window_ = std::clamp(window, std::uint64_t{frame_bytes_} * kMinFrames, kMaxWindowBytes);
}

// Standing queue that a flow wants to see. The smaller its window, the longer: of two flows on one link the smaller
// one still grows where the larger one shrinks, until they are equal. In frames: two and a half square roots of the
// window.
Duration Congestion::target(std::uint64_t window) const noexcept {
    const std::uint64_t frames_256 = window * 256 / std::max(frame_bytes_, 1u);
    const std::uint64_t root_16 = std::max<std::uint64_t>(square_root(frames_256), 16);
    return kSlack + Duration(static_cast<Duration::rep>(count(least_) * 40 / root_16));
}

// What fills a link of this rate, with the queue that is wanted.
std::uint64_t Congestion::window_for(std::uint64_t bytes_per_s) const noexcept {
    const auto during = [&](Duration d) {
        return static_cast<std::uint64_t>(static_cast<double>(bytes_per_s) * static_cast<double>(d.count()) * 1e-9);
    };
    return std::min(during(least_ + target(during(least_))), kMaxWindowBytes);
}

// Packets that leave faster than the link carries them arrive pulled apart, each with more delay than the one before.
// How fast they arrive is the rate of the link, known before the window is too large for it. Trains that were sent more
// slowly say nothing against it; one that arrives faster does.
void Congestion::watch_train(const Rtt& rtt, Time arrived) noexcept {
    const std::uint64_t bytes = delivered_ - train_delivered_;
    const bool begun = train_arrived_ != Time{} && least_ != kUnknown;
    if (begun && bytes < std::uint64_t{frame_bytes_} * kTrainFrames) return;
    const Duration lasted = arrived - train_arrived_;
    if (begun && lasted > Duration::zero()) {
        const Duration later = rtt.latest() - train_rtt_;
        const std::uint64_t enough = window_for(per_second(bytes, lasted));
        const bool pulled = later * 5 > lasted && later > kSlack / 4;
        if (pulled)
            ceiling_ = pulled_trains_++ == 0 ? enough : std::max(ceiling_, enough);
        else if (enough > ceiling_)
            ceiling_ = enough;
    }
    train_delivered_ = delivered_;
    train_arrived_ = arrived;
    train_rtt_ = rtt.latest();
}

// The first answer on this path.
void Congestion::first_epoch(const Rtt& rtt, Time now) noexcept {
    least_ = std::min(rtt.min(), rtt.latest());
    least_seen_ = now;
    next_drain_ = now + drain_interval(rtt);
    if (link_bytes_per_s_ == 0) return;
    fresh_ = growing_ = false;
    set_window(window_for(link_bytes_per_s_));
}

void Congestion::end_epoch(const Rtt& rtt, Time now) noexcept {
    // A few samples are no measure, unless no more come.
    if (epoch_samples_ < kEpochSamples && now < epoch_end_ + (epoch_end_ - epoch_start_) * 3) return;
    if (least_ == kUnknown) first_epoch(rtt, now);
    const Duration least = epoch_least_;
    const Duration lasted = now - epoch_start_;
    const std::uint64_t delivered = delivered_ - epoch_delivered_;
    least_ = std::min(least_, least);
    const bool first = epoch_start_ == Time{};
    epoch_start_ = now;
    epoch_end_ = now + std::max(rtt.smoothed(), kShortestEpoch);
    epoch_least_ = kUnknown;
    epoch_samples_ = 0;
    epoch_delivered_ = delivered_;
    renew_least(least, rtt, now);
    const std::uint64_t lost = std::exchange(lost_bytes_, 0);
    const bool heavy = lost * 1024 > (lost + delivered) * (usual_1024_ * 2 + kLossAllowed);
    judge_losses(delivered, lost);
    if (skipped_epochs_ != 0)
        --skipped_epochs_;
    else if (!first && growing_)
        end_growth(least - least_, delivered, lasted);
    else if (!first && drained_window_ == 0)
        steer(least - least_, heavy ? lost : 0);
    limited_ = false;
    pace();
}

// Fast growth ends at the rate that trains have shown, or when a queue says that it went too far.
void Congestion::end_growth(Duration queue, std::uint64_t delivered, Duration lasted) noexcept {
    const bool told = pulled_trains_ >= kTrainsThatTell;
    const bool enough = told && window_ >= ceiling_;
    const bool queued = queue > target(window_);
    unpaced_bytes_ = told ? 0 : std::uint64_t{frame_bytes_} * kBurstFrames;  // faster than any link: a train to watch
    if (!enough && !queued) return;
    growing_ = fresh_ = false;
    unpaced_bytes_ = 0;
    if (!queued) return;
    set_window(std::min(window_, window_for(per_second(delivered, lasted))));
    skipped_epochs_ = 1;
}

// Towards the target by half of the way, at most to one half or five quarters at once.
void Congestion::steer(Duration queue, std::uint64_t lost) noexcept {
    const Duration wanted = target(window_);
    const Duration whole = (least_ + queue) * 2;
    if (queue > wanted) {
        calm_epochs_ = 0;
        const std::uint64_t less = scaled(window_, queue - wanted, whole) + lost;
        if (less > window_ / 8) skipped_epochs_ = 1;  // it shows in a round trip
        set_window(window_ - std::min(less, window_ / 2));
        return;
    }
    if (!limited_) return;
    calm_epochs_ = queue * 4 < wanted ? calm_epochs_ + 1 : 0;
    std::uint64_t more = scaled(window_, wanted - queue, whole);
    if (calm_epochs_ > kCalmEpochs) more <<= std::min(calm_epochs_ - kCalmEpochs, 16u);  // there is much more room
    const std::uint64_t least_step = frame_bytes_ / 8;
    set_window(window_ + std::clamp(more, least_step, std::max(window_ / 4, least_step)));
}

// Loss without delay is a bad cable as well as a short buffer. What does not fall with the window is the cable's.
void Congestion::judge_losses(std::uint64_t delivered, std::uint64_t lost) noexcept {
    if (lost > delivered && lost > std::uint64_t{frame_bytes_} * kManyFrames) {
        growing_ = fresh_ = false;
        set_window(window_ / 2);
        if (drained_window_ != 0) drained_window_ /= 2;
        sample_delivered_ = sample_lost_ = before_1024_ = 0;
        return;
    }
    sample_delivered_ += delivered;
    sample_lost_ += lost;
    const std::uint64_t all = sample_delivered_ + sample_lost_;
    if (all < std::uint64_t{frame_bytes_} * kLossSampleFrames) return;
    const auto share_1024 = static_cast<unsigned>(sample_lost_ * 1024 / all);
    sample_delivered_ = sample_lost_ = 0;
    if (share_1024 <= usual_1024_ * 2 + kLossAllowed) {
        before_1024_ = 0;
        if (share_1024 < usual_1024_) usual_1024_ -= (usual_1024_ - share_1024 + 7) / 8;
        return;
    }
    if (before_1024_ != 0 && window_ <= before_window_ && share_1024 * 5 > before_1024_ * 4) {
        usual_1024_ = std::min(share_1024, kUsualAtMost);
        before_1024_ = 0;
        return;
    }
    before_1024_ = share_1024;
    growing_ = fresh_ = false;
    calm_epochs_ = 0;
    set_window(window_ - window_ / 8);
    before_window_ = window_ + window_ / 16;
    if (drained_window_ != 0) drained_window_ -= drained_window_ / 8;
}

// Flows that keep a queue never see the path without it. Now and then they send less for a while, and as each sees when
// another one does and joins, together: then all see what the path is without them.
void Congestion::renew_least(Duration least, const Rtt& rtt, Time now) noexcept {
    const Duration before = std::exchange(last_epoch_least_, least);
    if (least <= least_ + target(window_) / 8) least_seen_ = now;
    if (drained_window_ != 0) {
        least_in_drain_ = std::min(least_in_drain_, least);
        if (now >= drain_end_) end_drain(now);
        return;
    }
    const Duration interval = drain_interval(rtt);
    const bool joins = now + interval / 2 >= next_drain_ && least + target(window_) / 4 < before;
    if (now < next_drain_ && !joins) return;
    next_drain_ = now + interval;
    if (!limited_ || growing_) return;
    drained_window_ = window_;
    drain_end_ = now + std::max(rtt.smoothed(), kShortestEpoch) * 3;
    least_in_drain_ = kUnknown;
    set_window(scaled(window_, least_, rtt.smoothed() * 2));
}

// The path may have become longer: what was not seen for long is forgotten.
void Congestion::end_drain(Time now) noexcept {
    if (now - least_seen_ >= kLongestDrainInterval) {
        least_ = std::min(least_in_drain_, least_in_last_drain_);
        least_seen_ = now;
    }
    least_in_last_drain_ = least_in_drain_;
    set_window(drained_window_);
    drained_window_ = 0;
    skipped_epochs_ = 2;  // this one and the next one measured the drain
}

// Bursts are smoothed, the rate is not limited: at first two windows per round trip, but no more than trains have
// shown, then one and a quarter. What the user said of the link is a limit.
void Congestion::pace() noexcept {
    ns_per_kib_ = 0;
    if (least_ < kPaceAbove) return;
    const std::uint64_t window_4 =
        growing_ ? std::min(window_ * 8, std::max(ceiling_, window_) * 4) : std::max(window_, drained_window_) * 5;
    ns_per_kib_ = count(growing_ ? least_ : least_ + target(window_)) * 4096 / window_4 + 1;
    if (link_bytes_per_s_ == 0) return;
    const std::uint64_t frames_per_s = link_bytes_per_s_ - link_bytes_per_s_ / 64;  // the rest is headers of the link
    ns_per_kib_ = std::max(ns_per_kib_, std::uint64_t{1024'000'000'000} / frames_per_s);
}

void Congestion::restart() noexcept {
    window_ = std::uint64_t{frame_bytes_} * kMinFrames;
    drained_window_ = 0;
    growing_ = true;
    fresh_ = false;
    lost_bytes_ = sample_delivered_ = sample_lost_ = 0;
    ceiling_ = kMaxWindowBytes;
    pulled_trains_ = 0;
    train_arrived_ = Time{};
    least_ = kUnknown;
    epoch_start_ = epoch_end_ = Time{};
}

}  // namespace farlane::proto
