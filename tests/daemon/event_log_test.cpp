// SPDX-License-Identifier: Apache-2.0
// Receives: events of peers that do something without end. Hands on: proof that the log stays short, and that other
// events are told meanwhile. Owns: nothing.
#include "daemon/event_log.hpp"

#include <gtest/gtest.h>

namespace farlane::daemon {
namespace {

using namespace std::chrono_literals;

control::Json event(const char* kind, const char* detail = "") {
    return {{"role", "target"}, {"kind", kind}, {"function", "accel0"}, {"detail", detail}};
}

TEST(EventLog, WhatComesOftenIsToldNowAndThenAndHidesNothingElse) {
    std::vector<std::string> lines;
    EventLog log([&](const std::string& line) { lines.push_back(line); });
    EventLog::Time now = 5s;
    for (int i = 0; i < 1000; ++i) log.tell(now, event("attached"));
    ASSERT_EQ(lines.size(), backend::LogLimit::kAtOnce);
    EXPECT_EQ(lines[0], "target attached accel0 ");
    log.tell(now, event("removed", "by its owner"));
    EXPECT_EQ(lines.back(), "target removed accel0 by its owner");
    lines.clear();
    log.tell_rest(now);
    EXPECT_TRUE(lines.empty()) << "not yet";
    now += 1s;
    log.tell_rest(now);
    EXPECT_EQ(lines, std::vector<std::string>{"and 990 more of 'target attached'"});
}

}  // namespace
}  // namespace farlane::daemon
