// SPDX-License-Identifier: Apache-2.0
// Receives: times without work. Hands on: verdicts on how long is polled the next time. Owns: nothing.
#include "lane/spin.hpp"

#include <gtest/gtest.h>

namespace farlane::lane::test {
namespace {

using namespace std::chrono_literals;

TEST(SpinWindow, WorkThatComesSoonIsPolledFor) {
    SpinWindow window(50us);
    EXPECT_TRUE(window.polls(49us));
    EXPECT_FALSE(window.polls(50us));
    window.found(60us);  // a sleep, and others had to be woken
    EXPECT_EQ(window.length(), 50us);
}

TEST(SpinWindow, WorkThatIsFarApartIsNot) {
    SpinWindow window(50us);
    window.found(1ms);
    EXPECT_EQ(window.length(), 10us);
    window.found(1ms);
    EXPECT_EQ(window.length(), 10us);
    for (const auto length : {20us, 40us, 50us, 50us}) {  // and grows when it comes soon again
        window.found(100us);
        EXPECT_EQ(window.length(), length);
    }
}

TEST(SpinWindow, AWindowThatPaidStays) {
    SpinWindow window(1ms);
    window.found(300us);
    EXPECT_EQ(window.length(), 1ms);
    window.found(2ms);
    EXPECT_EQ(window.length(), 10us);
}

TEST(SpinWindow, NeverLongerThanItMayBe) {
    SpinWindow none(0us), little(4us);
    EXPECT_FALSE(none.polls(0us));
    none.found(1us);
    EXPECT_EQ(none.length(), 0us);
    little.found(1ms);
    EXPECT_EQ(little.length(), 4us);
    little.found(1us);
    EXPECT_EQ(little.length(), 4us);
}

}  // namespace
}  // namespace farlane::lane::test
