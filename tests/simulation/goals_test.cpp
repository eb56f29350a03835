// SPDX-License-Identifier: Apache-2.0
// Loss, distance, paths and congestion in simulated time, with a margin below what `make bench` states.
#include <gtest/gtest.h>

#include <numeric>

#include "simulation/load.hpp"
#include "simulation/scenarios.hpp"

namespace farlane::simulation {
namespace {

TEST(Goals, LossCostsLittle) {
    Wan w;
    const double without = bulk(w, 1, 50ms, 150ms).goodput_bits_per_s;
    EXPECT_GE(without, 0.94 * w.bits_per_s);
    for (const auto& [loss, at_least] : {std::pair{0.0001, 0.98}, {0.001, 0.95}, {0.01, 0.85}, {0.05, 0.7}}) {
        w.loss = loss;
        EXPECT_GE(bulk(w, 1, 50ms, 150ms).goodput_bits_per_s, at_least * without) << loss;
    }
}

TEST(Goals, LongPathIsFilledInTenRoundTrips) {
    for (const Duration round_trip : {Duration(1ms), Duration(15ms)}) {
        Wan w;
        w.round_trip = round_trip;
        w.buffer_bytes = 4 << 20;
        const BulkResult r = bulk(w, 1, round_trip * 10, round_trip * 15);
        EXPECT_GE(r.goodput_bits_per_s, 0.9 * w.bits_per_s) << round_trip.count();
        EXPECT_GE(r.reached_after_rtt, 0) << round_trip.count();
        EXPECT_LE(r.reached_after_rtt, 10) << round_trip.count();
    }
}

TEST(Goals, RateThatWasToldIsReachedInTwo) {
    Wan w;
    w.round_trip = 15ms;
    w.buffer_bytes = 1 << 20;
    w.link_rate_bits_per_s = 10'000'000'000;
    const BulkResult r = bulk(w, 1, w.round_trip * 2, w.round_trip * 15);
    EXPECT_GE(r.goodput_bits_per_s, 0.9 * w.bits_per_s);
    EXPECT_GE(r.reached_after_rtt, 0);
    EXPECT_LE(r.reached_after_rtt, 2);
    EXPECT_EQ(r.packets_lost, 0u) << "nothing is sent faster than was told";
}

TEST(Goals, SecondPathNearlyDoubles) {
    Wan w;
    const double one = bulk(w, 1, 50ms, 100ms).goodput_bits_per_s;
    w.paths = 2;
    EXPECT_GE(bulk(w, 1, 50ms, 100ms).goodput_bits_per_s, 1.7 * one);
}

TEST(Goals, FlowsShareEvenly) {
    Wan w;
    for (const Duration apart : {Duration(0ms), Duration(100ms)}) {
        const auto r = share(w, 1, 2, apart, 300ms, 500ms);
        const double sum = r.goodput_bits_per_s[0] + r.goodput_bits_per_s[1];
        EXPECT_GE(sum, 0.9 * w.bits_per_s);
        EXPECT_GE(std::min(r.goodput_bits_per_s[0], r.goodput_bits_per_s[1]), 0.85 * sum / 2) << apart.count();
    }
}

TEST(Goals, ReadsBesideBulkStayFast) {
    for (const bool same_session : {false, true}) {
        const LatencyResult r = latency({}, 1, same_session, 150ms);
        EXPECT_LE(r.busy_p99_ns, 3 * r.idle_p99_ns) << same_session;
        EXPECT_GE(r.bulk_bits_per_s, 0.9 * 10e9) << same_session;
        EXPECT_EQ(r.failed, 0u);
    }
}

TEST(Goals, IncastKeepsTheLinkBusy) {
    Wan w;
    const auto r = share(w, 1, 16, 0ms, 0ms, 200ms);
    EXPECT_GE(std::accumulate(r.goodput_bits_per_s.begin(), r.goodput_bits_per_s.end(), 0.0), 0.9 * w.bits_per_s);
}

// A flow that never pauses sees its own queue in every sample. It must not take it for the path.
TEST(Goals, QueueDoesNotGrowOverMinutes) {
    Network net(1);
    Link& down = net.add_link({.bits_per_s = 100e6, .buffer_bytes = 4 << 20});
    Link& up = net.add_link({.bits_per_s = 100e6, .buffer_bytes = 4 << 20});
    const unsigned s = net.add_session({PathPlan{&down, &up, 2ms}});
    ASSERT_TRUE(net.run_until([&] { return net.is_open(s); }, 1s));
    Bulk b(net, s, 1);
    net.run_for(100ms);
    b.start(net);
    net.run_for(90s);
    const Duration round_trip = net.session(s, kTarget).paths()[0].smoothed_rtt;
    EXPECT_GE(round_trip, 4ms);
    EXPECT_LE(round_trip, 10ms) << "4 ms is the way";
    EXPECT_EQ(up.overflowed, 0u);
}

TEST(Goals, SameSeedSameFigures) {
    Wan w;
    w.loss = 0.01;
    const BulkResult a = bulk(w, 7, 10ms, 30ms), b = bulk(w, 7, 10ms, 30ms);
    EXPECT_EQ(a.goodput_bits_per_s, b.goodput_bits_per_s);
    EXPECT_EQ(a.packets_sent, b.packets_sent);
    EXPECT_NE(a.packets_lost, bulk(w, 8, 10ms, 30ms).packets_lost);
}

}  // namespace
}  // namespace farlane::simulation
