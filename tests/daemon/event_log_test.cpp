// SPDX-License-Identifier: Apache-2.0
// Receives: events of peers that do something without end. Hands on: proof that the log and what waits for it stay
// short, and that other events are told meanwhile. Owns: nothing.
#include "daemon/event_log.hpp"
#include "daemon/event_loop.hpp"

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

TEST(EventLog, TheEndLeavesNothingOut) {
    std::vector<std::string> lines;
    EventLog log([&](const std::string& line) { lines.push_back(line); });
    for (int i = 0; i < 20; ++i) log.tell(5s, event("attached"));
    lines.clear();
    log.tell_last();
    EXPECT_EQ(lines, std::vector<std::string>{"and 10 more of 'target attached'"});
    log.tell_last();
    EXPECT_EQ(lines.size(), 1U);
}

TEST(EventLoop, KeepsNoMoreThanItHasRoomFor) {
    EventLoop loop;
    std::size_t ran = 0;
    for (std::size_t i = 0; i < EventLoop::kMaxPosted; ++i) EXPECT_TRUE(loop.post_if_room([&] { ++ran; }));
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(loop.post_if_room([&] { ++ran; }));
    loop.post([&] { ++ran; });  // somebody waits for it
    loop.turn(0ms);
    EXPECT_EQ(ran, EventLoop::kMaxPosted + 1);
    EXPECT_EQ(loop.take_left_out(), 3U);
    EXPECT_EQ(loop.take_left_out(), 0U);
    EXPECT_TRUE(loop.post_if_room([&] { ++ran; }));
    loop.turn(0ms);
    EXPECT_EQ(ran, EventLoop::kMaxPosted + 2);
}

}  // namespace
}  // namespace farlane::daemon
