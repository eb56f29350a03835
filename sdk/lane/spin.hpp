// SPDX-License-Identifier: Apache-2.0
// Receives: how long there was nothing to do before there was something. Hands on: how long to poll the next time.
// Owns: nothing more.
#pragma once

#include <algorithm>
#include <chrono>

namespace farlane::lane {

/// Polling pays where the next work comes soon. Where it comes after a kernel of a millisecond the core is better left
/// to that kernel: then only a short look is taken, and a longer one each time that work comes soon again.
class SpinWindow {
public:
    using Duration = std::chrono::nanoseconds;
    explicit SpinWindow(Duration longest) noexcept : longest_(longest), window_(longest) {}

    [[nodiscard]] Duration length() const noexcept { return window_; }
    [[nodiscard]] bool polls(Duration idle) const noexcept { return idle < window_; }
    /// There was nothing to do for this long; not needed where polling was successful.
    void found(Duration idle) noexcept {
        window_ = std::min(longest_, idle > std::max(kSoon, longest_) ? kShort : window_ * 2);
    }

private:
    static constexpr Duration kShort = std::chrono::microseconds(10);  // an answer on the same host still comes in it
    /// What would have come within a window comes within this when both ends sleep and have to be woken: no reason to
    /// poll for less the next time.
    static constexpr Duration kSoon = std::chrono::microseconds(200);

    Duration longest_;
    Duration window_;
};

}  // namespace farlane::lane
