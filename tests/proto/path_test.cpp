// SPDX-License-Identifier: Apache-2.0
// Paths: spreading, death and return, path MTU and frames that are cut again, congestion.
// docs/wire.md, "Paths", "Path MTU", "Congestion".
#include <gtest/gtest.h>

#include "failures/row.hpp"
#include "proto/traffic.hpp"

namespace farlane::proto::sim {
namespace {

unsigned usable(const Session& s) {
    unsigned n = 0;
    for (const auto& p : s.paths()) n += p.usable;
    return n;
}

TEST(Paths, RecordsAreSpread) {
    World w(1, 2);
    for (Wire& wire : w.wires) wire.faults.bytes_per_us = 1000;
    ASSERT_TRUE(w.connect());
    Pair p(1);
    p.bind(w);
    ASSERT_TRUE(p.run(w, 2000, 60s));
    p.verify();
    const std::uint64_t total = w.wires[0].carried + w.wires[1].carried;
    EXPECT_GT(w.wires[0].carried * 4, total);
    EXPECT_GT(w.wires[1].carried * 4, total);
}

// One of two paths dies: a stall of max(10 ms, 2 round trips), nothing else; it comes back when
// it works again.
TEST(Paths, DeathIsAStallAndReturns) {
    for (const Duration delay : {Duration(100us), Duration(5ms), Duration(30ms)}) {
        World w(2, 2);
        for (Wire& wire : w.wires) wire.faults.delay = delay;
        ASSERT_TRUE(w.connect());
        Pair p(2);
        p.bind(w, {.completion_timeout = 30s, .completion_timeout_max = 60s});
        ASSERT_TRUE(p.run(w, 300, 60s));
        // Records are in flight on both when one dies.
        p.down.submit(40, w.now);
        p.up.submit(40, w.now);
        w.work();
        w.wires[1].faults.down = true;
        const Time cut = w.now;
        const Duration limit = std::max<Duration>(10ms, delay * 4);  // 2 x round trip
        ASSERT_TRUE(w.run_until([&] { return usable(w.initiator()) == 1 && usable(w.target()) == 1; }, 10s));
        EXPECT_LE(w.now - cut, limit + delay * 3 + 5ms) << delay.count();
        ASSERT_TRUE(w.run_until([&] { return p.down.idle() && p.up.idle(); }, 10s));
        EXPECT_LE(w.now - cut, limit + delay * 8 + 20ms) << delay.count();
        ASSERT_TRUE(p.run(w, 100, 30s));
        EXPECT_EQ(usable(w.initiator()), 1u);
        w.wires[1].faults.down = false;
        ASSERT_TRUE(w.run_until([&] { return usable(w.initiator()) == 2 && usable(w.target()) == 2; }, 10s));
        ASSERT_TRUE(p.run(w, 100, 30s));
        p.verify();
        EXPECT_EQ(w.initiator().state(), SessionState::open);
    }
}

// The side whose path is back first sends data on it, and the other one acknowledges there: that is no probe, and
// must not stand in for one.
TEST(Paths, ReturnsOnBothSidesUnderLoadOfOne) {
    World w(2, 2);
    for (Wire& wire : w.wires) wire.faults.delay = 100us;
    ASSERT_TRUE(w.connect());
    Pair p(2);
    p.bind(w, {.completion_timeout = 30s, .completion_timeout_max = 60s});
    ASSERT_TRUE(p.run(w, 300, 60s));
    p.down.submit(40, w.now);
    p.up.submit(40, w.now);
    w.work();
    w.wires[1].faults.down = true;
    ASSERT_TRUE(w.run_until([&] { return usable(w.initiator()) == 1 && usable(w.target()) == 1; }, 10s));
    ASSERT_TRUE(w.run_until([&] { return p.down.idle() && p.up.idle(); }, 10s));
    w.run_for(20ms);  // the probes of the two sides are not due together
    w.wires[1].faults.down = false;
    const auto loaded = [&] {
        if (p.down.idle()) p.down.submit(40, w.now);
        return usable(w.initiator()) == 2 && usable(w.target()) == 2;
    };
    EXPECT_TRUE(w.run_until(loaded, 1s));
    ASSERT_TRUE(w.run_until([&] { return p.down.idle(); }, 10s));
    p.verify();
}

// The two sides ask a dead path at times of their own. As soon as one has it back the other one hears of it, and asks:
// else it would not be used in both ways when the other path dies.
TEST(Paths, ReturnsOnBothSidesTogether) {
    World w(2, 2);
    for (Wire& wire : w.wires) wire.faults.delay = 100us;
    ASSERT_TRUE(w.connect());
    Pair p(2);
    p.bind(w, {.completion_timeout = 30s, .completion_timeout_max = 60s});
    ASSERT_TRUE(p.run(w, 300, 60s));
    for (unsigned n = 0; n < 20; ++n) {
        w.wires[1].faults.down = true;
        const auto both_dead = [&] {
            if (p.down.idle()) p.down.submit(1, w.now);  // the target has little to send: it finds out later
            return usable(w.initiator()) == 1 && usable(w.target()) == 1;
        };
        ASSERT_TRUE(w.run_until(both_dead, 10s));
        w.run_for(Duration(7ms) * (n % 7));
        w.wires[1].faults.down = false;
        ASSERT_TRUE(w.run_until([&] { return usable(w.initiator()) == 2 || usable(w.target()) == 2; }, 1s));
        const Time one = w.now;
        ASSERT_TRUE(w.run_until([&] { return usable(w.initiator()) == 2 && usable(w.target()) == 2; }, 1s));
        EXPECT_LE(w.now - one, 3ms) << n;
    }
    ASSERT_TRUE(w.run_until([&] { return p.down.idle() && p.up.idle(); }, 10s));
    p.verify();
}

TEST(Paths, LossyOneIsLeft) {
    World w(3, 2);
    ASSERT_TRUE(w.connect());
    Pair p(3);
    p.bind(w);
    w.wires[0].faults.loss = 0.8;
    bool left = false;
    for (unsigned i = 0; i < 40 && !left; ++i) {
        ASSERT_TRUE(p.run(w, 50, 60s));
        left = usable(w.initiator()) == 1;
    }
    EXPECT_TRUE(left);
    p.verify();
}

TEST(Paths, AllDeadThenOneReturns) {
    World w(4, 2);
    ASSERT_TRUE(w.connect());
    Pair p(4);
    p.bind(w, {.completion_timeout = 30s, .completion_timeout_max = 60s});
    ASSERT_TRUE(p.run(w, 100, 60s));
    for (Wire& wire : w.wires) wire.faults.down = true;
    p.down.submit(100, w.now);
    p.up.submit(100, w.now);
    w.run_for(8s);
    EXPECT_EQ(w.initiator().state(), SessionState::silent);
    w.wires[1].faults.down = false;
    const Time back = w.now;
    ASSERT_TRUE(w.run_until([&] { return w.initiator().state() == SessionState::open; }, 10s));
    EXPECT_LE(w.now - back, 101ms) << "work goes on within a round trip and 100 ms";
    ASSERT_TRUE(w.run_until([&] { return p.down.idle() && p.up.idle(); }, 10s));
    p.verify();
}

// Posted writes wait for as long as it takes (the window is 16,384 records), reads wait too.
TEST(Outage, WorkContinuesWithinARoundTripAnd100Ms) {
    for (const Duration delay : {Duration(10us), Duration(2ms), Duration(15ms)}) {
        World w(5);
        w.wires[0].faults.delay = delay;
        ASSERT_TRUE(w.connect());
        Port a, b;
        const FunctionLimits l{.completion_timeout = 30s, .completion_timeout_max = 60s};
        ASSERT_EQ(w.target().bind(b.start(l), {}, w.now), Status::ok);
        ASSERT_EQ(w.initiator().bind(a.start(l), {}, w.now), Status::ok);
        w.run_for(1s);
        w.wires[0].faults.down = true;
        const std::uint64_t value = 7;
        for (unsigned i = 0; i < 16384; ++i)
            ASSERT_EQ(a.function->submit(write_tlp(i * 8, 8), std::as_bytes(std::span(&value, 1)), 0, false, w.now),
                      Status::ok);
        EXPECT_EQ(a.function->submit(write_tlp(0, 8), std::as_bytes(std::span(&value, 1)), 0, false, w.now),
                  Status::would_block);
        std::array<std::byte, 8> into{};
        ASSERT_EQ(a.function->request(read_tlp(8, 8), {}, into, 1, w.now), Status::ok);
        w.run_for(9s);
        EXPECT_EQ(b.endpoint.posted, 0u);
        w.wires[0].faults.down = false;
        const Time back = w.now;
        ASSERT_TRUE(w.run_until([&] { return b.endpoint.posted > 0; }, 10s));
        test::simulated_row("outage_work_goes_on_rtt_" + std::to_string(delay * 2 / 1us) + "us", w.now - back,
                            100ms + delay * 2 + 1ms);
        ASSERT_TRUE(w.run_until([&] { return a.function->posted_drained() && a.endpoint.completions == 1; }, 10s));
        EXPECT_EQ(b.endpoint.posted, 16384u);
        EXPECT_EQ(into[0], std::byte{7});
        EXPECT_EQ(b.endpoint.complaint, "");
    }
}

// --- path MTU

TEST(PathMtu, GrowsByProbesToWhatThePathCarries) {
    for (const std::uint32_t mtu : {1200u, 1472u, 3000u, 4096u, 8972u, 9000u}) {
        World w(6);
        w.wires[0].faults.mtu = mtu;
        ASSERT_TRUE(w.connect());
        w.run_for(3s);
        const std::uint32_t expected = mtu < 1472   ? 1200
                                       : mtu < 4096 ? 1472
                                       : mtu < 8972 ? 4096
                                       : mtu < 9000 ? 8972
                                                    : 9000;
        EXPECT_EQ(w.initiator().paths()[0].frame_bytes, expected) << mtu;
        EXPECT_EQ(w.target().paths()[0].frame_bytes, expected) << mtu;
        EXPECT_EQ(w.initiator().counters().packets_lost, 0u) << "a probe that is lost is no loss";
    }
}

TEST(PathMtu, PeersLimitIsKept) {
    World w(7);
    w.sides[1].path.max_frame_bytes = 2000;
    w.sides[0].path.reliable_mtu = true;
    ASSERT_TRUE(w.connect());
    w.run_for(1s);
    EXPECT_EQ(w.initiator().paths()[0].frame_bytes, 2000u);
    EXPECT_LE(w.sides[0].largest_frame, 2000u);
}

TEST(PathMtu, ReliablePortIsUsedAtOnce) {
    World w(8);
    w.sides[0].path.reliable_mtu = w.sides[1].path.reliable_mtu = true;
    ASSERT_TRUE(w.connect());
    EXPECT_EQ(w.initiator().paths()[0].frame_bytes, 9000u);
    EXPECT_EQ(w.target().paths()[0].frame_bytes, 9000u);
}

// The path shrinks under way: records that went out whole are cut again, and arrive once.
TEST(PathMtu, ShrinksAndRecordsAreCutAgain) {
    for (const bool reliable : {false, true}) {
        World w(9);
        w.sides[0].path.reliable_mtu = w.sides[1].path.reliable_mtu = reliable;
        ASSERT_TRUE(w.connect());
        w.run_for(3s);
        Pair p(9);
        p.bind(w, {.completion_timeout = 60s, .completion_timeout_max = 60s});
        ASSERT_TRUE(p.run(w, 100, 60s));
        EXPECT_EQ(w.initiator().paths()[0].frame_bytes, 9000u);
        w.wires[0].faults.mtu = 1500;
        ASSERT_TRUE(p.run(w, 200, 60s));
        EXPECT_LE(w.initiator().paths()[0].frame_bytes, 1500u);
        p.verify();
        w.wires[0].faults.mtu = 9000;
        w.run_for(180s);
        EXPECT_EQ(w.initiator().paths()[0].frame_bytes, 9000u) << "tried again after a while";
        ASSERT_TRUE(p.run(w, 100, 60s));
        p.verify();
    }
}

TEST(PathMtu, TwoPathsOfDifferentSize) {
    World w(10, 2);
    w.wires[0].faults.mtu = 1300;
    ASSERT_TRUE(w.connect());
    Pair p(10);
    p.bind(w);
    w.wires[0].faults.loss = w.wires[1].faults.loss = 0.1;
    ASSERT_TRUE(p.run(w, 500, 60s));
    p.verify();
}

// --- congestion

// A slow link with a deep queue: the delay stays near its target instead of filling the queue. Of any length: where
// pacing begins, at 1 ms there and back, a window that was paced and so never full did not grow.
class Queue : public testing::TestWithParam<Duration> {};

TEST_P(Queue, DelayStaysBounded) {
    World w(11);
    w.wires[0].faults.bytes_per_us = 125;  // 1 Gb/s
    w.wires[0].faults.delay = GetParam();
    w.sides[0].path.reliable_mtu = w.sides[1].path.reliable_mtu = true;
    ASSERT_TRUE(w.connect());
    Port a, b;
    ASSERT_EQ(w.target().bind(b.start(), {}, w.now), Status::ok);
    ASSERT_EQ(w.initiator().bind(a.start(), {}, w.now), Status::ok);
    std::vector<std::byte> data(4096);
    const Time start = w.now;
    std::uint64_t submitted = 0;
    ASSERT_TRUE(w.run_until(
        [&] {
            while (submitted < 20000 && a.function->submit(write_tlp(submitted % 200 * 4096, 4096, true), data, 0,
                                                           false, w.now) == Status::ok)
                ++submitted;
            return submitted == 20000 && a.function->posted_drained();
        },
        60s));
    const double seconds = std::chrono::duration<double>(w.now - start).count();
    const double rate = 20000 * 4096 / seconds / 125e6;
    EXPECT_GT(rate, 0.9) << "share of the link used";
    EXPECT_LT(w.initiator().paths()[0].smoothed_rtt, GetParam() * 2 + 4ms) << "the way, the rest is queue";
    EXPECT_EQ(w.initiator().counters().packets_lost, 0u);
}
INSTANTIATE_TEST_SUITE_P(Way, Queue, testing::Values(100us, 490us, 500us, 505us, 600us, 1000us, 5000us));

// A long path is filled: 30 ms round trip, window far above the first one.
TEST(Congestion, LongPathIsFilled) {
    World w(12);
    w.wires[0].faults.bytes_per_us = 1250;  // 10 Gb/s
    w.wires[0].faults.delay = 15ms;
    w.sides[0].path.reliable_mtu = w.sides[1].path.reliable_mtu = true;
    ASSERT_TRUE(w.connect());
    Port a, b;
    ASSERT_EQ(w.target().bind(b.start(), {}, w.now), Status::ok);
    ASSERT_EQ(w.initiator().bind(a.start(), {}, w.now), Status::ok);
    std::vector<std::byte> data(4096);
    std::uint64_t submitted = 0, base = 0;
    const auto feed = [&] {
        while (a.function->submit(write_tlp(submitted % 200 * 4096, 4096, true), data, 0, false, w.now) == Status::ok)
            ++submitted;
        return false;
    };
    (void)w.run_until(feed, 600ms);  // the window has opened
    base = b.function->counters().executed[0];
    (void)w.run_until(feed, 300ms);
    const double rate = static_cast<double>(b.function->counters().executed[0] - base) * 4096 / 0.3 / 1250e6;
    EXPECT_GT(rate, 0.7) << "share of the link used";
}

}  // namespace
}  // namespace farlane::proto::sim
