// SPDX-License-Identifier: Apache-2.0
// Hints that a session is not known: event -> expectation. Anybody can send one, so all a forged
// one may do is to cost a keep-alive. docs/wire.md, "Forgotten sessions".
#include <gtest/gtest.h>

#include "proto/sim.hpp"

namespace farlane::proto::sim {
namespace {

struct HintTest : testing::Test {
    World w{30};
    std::vector<std::byte> last;  ///< frame of the initiator

    HintTest() {
        w.tap = [this](unsigned from, PathId, std::span<std::byte> f) {
            if (from == 0) last.assign(f.begin(), f.end());
            return true;
        };
        EXPECT_TRUE(w.connect());
        w.run_for(20ms);
    }
    /// What a restarted target would answer to the initiator's last frame.
    [[nodiscard]] Hint hint() const {
        std::array<std::byte, FL_FRAME_MIN_BYTES> out;
        EXPECT_EQ(build_hint(out, last), FL_FRAME_MIN_BYTES);
        const auto parsed = parse_hint(out);
        EXPECT_TRUE(parsed.has_value());
        return *parsed;
    }
    [[nodiscard]] std::size_t states() const { return w.sides[0].owner.states.size(); }
};

TEST_F(HintTest, ForgottenSessionIsSilentSoon) {
    w.kill(1);
    const Time then = w.now;
    EXPECT_TRUE(w.initiator().on_hint(hint(), w.now));
    ASSERT_TRUE(w.run_until([&] { return w.initiator().state() == SessionState::silent; }, 60s));
    EXPECT_LE(w.now - then, 60ms) << "and not after 3 keep-alive intervals of 1 s";
    EXPECT_EQ(w.sides[0].owner.states.back().second, Status::stale);
}

TEST_F(HintTest, ForgedHintsCostAKeepaliveNowAndThen) {
    const std::size_t before = states();
    const std::uint64_t frames = w.sides[0].frames;
    const Time end = w.now + 1s;
    unsigned taken = 0;
    while (w.now < end) {
        taken += w.initiator().on_hint(hint(), w.now) ? 1 : 0;
        w.run_for(1ms);
    }
    EXPECT_GT(taken, 900u) << "they are as good as a forger can make them";
    EXPECT_EQ(states(), before) << "the session never noticed";
    EXPECT_EQ(w.initiator().state(), SessionState::open);
    EXPECT_LE(w.sides[0].frames - frames, 40u) << "asked at most 10 times a second";
}

TEST_F(HintTest, LostQuestionDecidesNothing) {
    unsigned lose = 2;
    w.tap = [&](unsigned from, PathId, std::span<std::byte>) { return from != 0 || lose == 0 || lose-- == 0; };
    EXPECT_TRUE(w.initiator().on_hint(hint(), w.now));
    w.run_for(1s);
    EXPECT_EQ(lose, 0u);
    EXPECT_EQ(w.initiator().state(), SessionState::open);
}

TEST_F(HintTest, WhatFitsNothingIsIgnored) {
    const Hint good = hint();
    const std::uint64_t frames = w.sides[0].frames;
    const auto refused = [&](auto change) {
        Hint h = good;
        change(h);
        return !w.initiator().on_hint(h, w.now);
    };
    EXPECT_TRUE(refused([](Hint& h) { h.session_id ^= 1; }));
    EXPECT_TRUE(refused([](Hint& h) { h.path = 1; }));
    EXPECT_TRUE(refused([](Hint& h) { h.packet_number += 1; })) << "never sent";
    EXPECT_TRUE(refused([](Hint& h) { h.packet_number = kMaxPacketNumber; }));
    EXPECT_FALSE(w.target().on_hint({100, 0, 1}, w.now)) << "the accepting side opens no sessions";
    w.work();
    EXPECT_EQ(w.sides[0].frames, frames);
    w.initiator().close(Status::ok, w.now);
    EXPECT_FALSE(w.initiator().on_hint(good, w.now));
}

TEST_F(HintTest, OnlyWholeFramesOfASessionAreAnswered) {
    std::array<std::byte, FL_FRAME_MIN_BYTES> out;
    std::span<const std::byte> frame(last);
    for (std::size_t n = 0; n < frame.size(); ++n) EXPECT_EQ(build_hint(out, frame.first(n)), 0u) << n;
    ASSERT_EQ(build_hint(out, frame), FL_FRAME_MIN_BYTES);
    std::array<std::byte, FL_FRAME_MIN_BYTES> again;
    EXPECT_EQ(build_hint(again, out), 0u) << "a hint is never answered";
    EXPECT_EQ(build_hint(std::span(again).first(27), frame), 0u);
    for (std::size_t i = 0; i < out.size(); ++i) {
        auto bad = out;
        bad[i] ^= std::byte{4};
        EXPECT_FALSE(parse_hint(bad).has_value()) << "byte " << i;
    }
    EXPECT_FALSE(parse_hello(out).ok());
}

}  // namespace
}  // namespace farlane::proto::sim
