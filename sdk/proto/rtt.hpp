// SPDX-License-Identifier: Apache-2.0
// Receives: round-trip samples of one path. Hands on: smoothed figures. Owns: them.
// The estimator of RFC 6298 with the minimum of the last 10..20 s. docs/wire.md, "Time".
#pragma once

#include <algorithm>

#include "proto/time.hpp"

namespace farlane::proto {

class Rtt {
public:
    void sample(Duration rtt, Time now) noexcept {
        rtt = std::clamp<Duration>(rtt, Duration(1), kLongest);
        latest_ = rtt;
        if (smoothed_ == Duration::zero()) {
            smoothed_ = rtt;
            variance_ = rtt / 2;
            min_ = min_next_ = rtt;
            bucket_end_ = now + kBucket;
            return;
        }
        if (now >= bucket_end_) {
            min_ = min_next_;
            min_next_ = rtt;
            bucket_end_ = now + kBucket;
        }
        min_ = std::min(min_, rtt);
        min_next_ = std::min(min_next_, rtt);
        const auto off = smoothed_ > rtt ? smoothed_ - rtt : rtt - smoothed_;
        variance_ = Duration(variance_.count() - (variance_.count() >> 2) + (off.count() >> 2));
        smoothed_ = std::max(Duration(1), Duration(smoothed_.count() + ((rtt - smoothed_).count() >> 3)));
    }

    [[nodiscard]] bool known() const noexcept { return smoothed_ != Duration::zero(); }
    /// Before the first sample: a guess that suits a building.
    [[nodiscard]] Duration smoothed() const noexcept { return known() ? smoothed_ : kGuess; }
    [[nodiscard]] Duration variance() const noexcept { return known() ? variance_ : kGuess / 2; }
    [[nodiscard]] Duration latest() const noexcept { return known() ? latest_ : kGuess; }
    [[nodiscard]] Duration min() const noexcept { return known() ? min_ : kGuess; }

private:
    static constexpr Duration kGuess = std::chrono::milliseconds(10);
    static constexpr Duration kBucket = std::chrono::seconds(10);
    static constexpr Duration kLongest = std::chrono::seconds(4);  ///< more is a clock that jumped

    Duration latest_{}, smoothed_{}, variance_{}, min_{}, min_next_{};
    Time bucket_end_{};
};

}  // namespace farlane::proto
