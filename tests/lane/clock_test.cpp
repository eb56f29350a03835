// SPDX-License-Identifier: Apache-2.0
// The lane's clock beside CLOCK_MONOTONIC: never back, never far off, over busy and quiet times.
#include <gtest/gtest.h>

#include <thread>

#include "lane/clock.hpp"

namespace farlane::lane {
namespace {

using namespace std::chrono_literals;
using proto::Time;

// Read between two looks at the real one, it lies between them; a counter that is read early, and a slewed clock, are
// why there is a little room.
TEST(LaneClock, IsClockMonotonic) {
    LaneClock clock;
    const Time end = LaneClock::exact() + 300ms;
    Time before = clock.now();
    std::uint64_t reads = 0;
    while (LaneClock::exact() < end) {
        const Time low = LaneClock::exact();
        const Time t = clock.now();
        const Time high = LaneClock::exact();
        ASSERT_GE(t, before);
        ASSERT_GE(t, low - 5us) << reads;
        ASSERT_LE(t, high + 5us) << reads;
        before = t;
        ++reads;
    }
    EXPECT_GT(reads, 1000u);
}

TEST(LaneClock, AfterASleepAtOnce) {
    LaneClock clock;
    const Time busy = LaneClock::exact() + 30ms;  // long enough to have measured the counter
    while (clock.now() < busy) {
    }
    for (const auto nap : {500us, 3000us, 50000us}) {
        const Time before = LaneClock::exact();
        std::this_thread::sleep_for(nap);
        EXPECT_GE(clock.now(), before + nap - 5us);
        EXPECT_LE(clock.now(), LaneClock::exact() + 5us);
    }
}

}  // namespace
}  // namespace farlane::lane
