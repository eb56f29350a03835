// SPDX-License-Identifier: Apache-2.0
// Receives: the processor's time stamp counter and CLOCK_MONOTONIC. Hands on: CLOCK_MONOTONIC at less than half
// of its price. Owns: what it knows of their ratio. One lane's; no locks.
#pragma once

#include <algorithm>
#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "proto/time.hpp"

namespace farlane::lane {

/// Never goes back. At most a millisecond passes between two looks at CLOCK_MONOTONIC, so a counter that jumps (a
/// virtual machine that moved) or a clock that is slewed is off by less than that for less than that.
class LaneClock {
public:
    LaneClock() noexcept;

    [[nodiscard]] proto::Time now() noexcept {
#if defined(__x86_64__)
        const std::uint64_t ticks = __rdtsc() - base_ticks_;
        if (ticks < most_ticks_) [[likely]] {
            const auto ns = static_cast<std::int64_t>((ticks * ns_2_32_) >> 32);
            return last_ = std::max(last_, base_ + proto::Duration(ns));
        }
#endif
        return look();
    }
    /// CLOCK_MONOTONIC itself.
    [[nodiscard]] static proto::Time exact() noexcept;

private:
    [[nodiscard]] proto::Time look() noexcept;

    std::uint64_t base_ticks_ = 0;  // the counter at base_
    std::uint64_t most_ticks_ = 0;  // how far it is followed from there; 0 = not yet, or never
    std::uint64_t ns_2_32_ = 0;     // nanoseconds of 2^32 ticks
    proto::Time base_{}, last_{};
    proto::Time measured_from_{};  // the ratio is that since then
    std::uint64_t measured_from_ticks_ = 0;
    bool trusted_;
};

}  // namespace farlane::lane
