// SPDX-License-Identifier: Apache-2.0
// Receives: lines that come faster than a log should grow. Hands on: proof that few are told, and how many were not.
// Owns: nothing.
#include "backend/log_limit.hpp"

#include <gtest/gtest.h>

namespace farlane::backend {
namespace {

using namespace std::chrono_literals;

struct LogLimitTest : testing::Test {
    LogLimit limit{"lost contexts"};
    LogLimit::Time now = 5s;
    std::string take() { return limit.take(now, "line").value_or(""); }
    std::string rest() { return limit.rest(now).value_or(""); }
};

TEST_F(LogLimitTest, TenAtOnceThenOneASecond) {
    for (int i = 0; i < 10; ++i) EXPECT_EQ(take(), "line");
    for (int i = 0; i < 90; ++i) EXPECT_EQ(take(), "");
    EXPECT_EQ(rest(), "") << "not yet";
    now += 1s;
    EXPECT_EQ(take(), "line; and 90 more lost contexts");
    EXPECT_EQ(take(), "");
    unsigned told = 0;
    for (int ms = 0; ms < 60'000; ++ms) {
        now += 1ms;
        told += take().empty() ? 0 : 1;
    }
    EXPECT_EQ(told, 60U);
}

TEST_F(LogLimitTest, WhatWasLeftOutIsToldWithoutAFurtherLine) {
    EXPECT_EQ(rest(), "");
    for (int i = 0; i < 13; ++i) (void)take();
    now += 1s;
    EXPECT_EQ(rest(), "and 3 more lost contexts");
    now += 1s;
    EXPECT_EQ(rest(), "");
    EXPECT_EQ(take(), "line");
}

TEST_F(LogLimitTest, QuietBringsTenAgainAndNoMore) {
    for (int i = 0; i < 100; ++i) (void)take();
    now += 1h;
    EXPECT_EQ(take(), "line; and 90 more lost contexts");
    for (int i = 0; i < 9; ++i) EXPECT_EQ(take(), "line");
    EXPECT_EQ(take(), "");
}

}  // namespace
}  // namespace farlane::backend
