// SPDX-License-Identifier: Apache-2.0
// One of two paths is cut under load, in simulated time: how long the device stands still, and what is sent twice for
// it. And silence that is no cut: an end that is kept from its work. docs/failures.md; docs/wire.md, "Paths".
#include <gtest/gtest.h>

#include "simulation/load.hpp"

namespace farlane::simulation {
namespace {

constexpr unsigned kPaths = 2;
constexpr unsigned kRounds = 6;

double ms(Duration d) {
    return static_cast<double>(d.count()) * 1e-6;
}

/// A session of two paths, and a device that writes in order as much as goes.
class TwoPaths {
public:
    TwoPaths(std::array<Duration, kPaths> round_trip, std::uint64_t seed) : net(seed) {
        std::vector<PathPlan> plans;
        for (unsigned i = 0; i < kPaths; ++i) {
            down[i] = &net.add_link({});
            up[i] = &net.add_link({});
            plans.emplace_back();  // frames of 8972 bytes
            plans.back().down = down[i];
            plans.back().up = up[i];
            plans.back().delay = round_trip[i] / 2;
        }
        session = net.add_session(plans);
        EXPECT_TRUE(net.run_until([&] { return net.is_open(session); }, 2s));
    }
    void write() {
        bulk = std::make_unique<Bulk>(net, session, 1, true);
        bulk->bound.handler[kInitiator].on_bytes = [this](std::uint64_t) {
            longest_ = std::max(longest_, net.now - latest_);
            latest_ = net.now;
        };
        net.run_for(200ms);
        bulk->start(net);
        net.run_for(200ms);
        (void)take_longest();
    }
    /// The longest time without a write since the last call; one that is not over counts.
    Duration take_longest() { return std::max(std::exchange(longest_, Duration{}), net.now - latest_); }
    void cut(unsigned path, bool to_target, bool to_initiator) {
        down[path]->config.down = to_target;
        up[path]->config.down = to_initiator;
    }
    [[nodiscard]] bool comes_back() {
        return net.run_until([&] { return net.is_open(session); }, 2s);
    }
    [[nodiscard]] bool usable(unsigned side, unsigned path) { return net.session(session, side).paths()[path].usable; }
    [[nodiscard]] std::uint64_t window_bytes() {
        std::uint64_t sum = 0;
        for (const auto& p : net.session(session, kTarget).paths()) sum += p.congestion_window_bytes;
        return sum;
    }
    [[nodiscard]] std::uint64_t written() const { return bulk->bound.function[kTarget]->counters().sent[0]; }
    [[nodiscard]] std::uint64_t twice() const { return bulk->bound.function[kInitiator]->counters().duplicates; }

    Network net;
    std::array<Link*, kPaths> down{}, up{};
    unsigned session = 0;
    std::unique_ptr<Bulk> bulk;

private:
    Time latest_{};
    Duration longest_{};
};

struct Cut {
    std::array<Duration, kPaths> round_trip;
    Duration bound;  ///< of the mean stall; of the longest one, half as much again
};

class PathCut : public testing::TestWithParam<Cut> {};

// Both ways of a path, or only one of them: when acknowledgements do not come back there is nothing to see but silence.
TEST_P(PathCut, UnderLoadIsAStall) {
    const Cut c = GetParam();
    for (const auto& [to_target, to_initiator] : {std::pair{true, true}, {false, true}, {true, false}}) {
        TwoPaths t(c.round_trip, 1);
        t.write();
        Duration worst{}, sum{};
        for (unsigned n = 0; n < kRounds; ++n) {
            t.net.run_for(50ms + Duration(static_cast<std::int64_t>(t.net.random.below(10'000'000))));
            (void)t.take_longest();
            t.cut(n % kPaths, to_target, to_initiator);
            t.net.run_for(100ms);
            const Duration stall = t.take_longest();
            worst = std::max(worst, stall);
            sum += stall;
            t.cut(n % kPaths, false, false);
            ASSERT_TRUE(t.comes_back()) << n;
        }
        std::printf("%.1f and %.1f ms, cut%s%s: stall mean %.1f ms, worst %.1f ms; written %lu, twice %lu\n",
                    ms(c.round_trip[0]), ms(c.round_trip[1]), to_target ? " down" : "", to_initiator ? " up" : "",
                    ms(sum) / kRounds, ms(worst), static_cast<unsigned long>(t.written()),
                    static_cast<unsigned long>(t.twice()));
        EXPECT_LE(sum / kRounds, c.bound);
        EXPECT_LE(worst, c.bound * 3 / 2);
        // What had arrived and could not be acknowledged any more is sent twice, and little else.
        EXPECT_LE(t.twice(), kRounds * 128);
    }
}

INSTANTIATE_TEST_SUITE_P(Ways, PathCut,
                         testing::Values(Cut{{100us, 100us}, 3ms}, Cut{{500us, 500us}, 4ms}, Cut{{5ms, 5ms}, 12ms},
                                         Cut{{100us, 30ms}, 45ms}));

// With little under way, nothing would show that the other path works: it is asked.
TEST(OnePath, CutUnderSingleReadsIsAStall) {
    TwoPaths t({100us, 100us}, 2);
    Reader reader(t.net, t.session, 1);
    t.net.run_for(100ms);
    reader.latency_ns.clear();
    for (unsigned n = 0; n < kRounds; ++n) {
        t.cut(n % kPaths, true, true);
        t.net.run_for(50ms + Duration(static_cast<std::int64_t>(t.net.random.below(10'000'000))));
        t.cut(n % kPaths, false, false);
        ASSERT_TRUE(t.comes_back()) << n;
    }
    std::printf("single reads: longest %.1f ms of %zu\n", reader.percentile(1) * 1e-6, reader.latency_ns.size());
    EXPECT_LE(reader.percentile(1), 5e6);
    EXPECT_EQ(reader.failed, 0U);
}

struct Pause {
    std::array<Duration, kPaths> round_trip;
    unsigned side;
    Duration length;
};

class PathPause : public testing::TestWithParam<Pause> {};

// An end that the scheduler keeps from its work is silent on all paths: none of them dies, and little is sent twice.
TEST_P(PathPause, IsNoCut) {
    const Pause p = GetParam();
    TwoPaths t(p.round_trip, 3);
    t.write();
    const std::uint64_t written = t.written(), window = t.window_bytes();
    for (unsigned n = 0; n < kRounds; ++n) {
        t.net.stand_still(p.side, p.length);
        const bool one_died = t.net.run_until([&] { return !t.net.is_open(t.session); }, p.length + 50ms);
        EXPECT_FALSE(one_died) << "round " << n;
        ASSERT_TRUE(t.comes_back());
    }
    std::printf("%.1f and %.1f ms, %s away for %.0f ms, %u times: written %lu, twice %lu; window %lu, was %lu\n",
                ms(p.round_trip[0]), ms(p.round_trip[1]), p.side == kInitiator ? "receiver" : "sender", ms(p.length),
                kRounds, static_cast<unsigned long>(t.written() - written), static_cast<unsigned long>(t.twice()),
                static_cast<unsigned long>(t.window_bytes()), static_cast<unsigned long>(window));
    EXPECT_LE(t.twice(), kRounds * 64);
    EXPECT_GE(t.window_bytes(), window / 2);
}

std::vector<Pause> pauses() {
    std::vector<Pause> all;
    for (const auto& round_trip : {std::array<Duration, kPaths>{100us, 100us}, {500us, 500us}, {5ms, 5ms}})
        for (const unsigned side : {kInitiator, kTarget})
            for (const Duration length : {Duration(4ms), Duration(10ms), Duration(16ms)})
                all.push_back({round_trip, side, length});
    return all;
}

INSTANTIATE_TEST_SUITE_P(Ways, PathPause, testing::ValuesIn(pauses()));

// Silence of all paths says nothing of any of them. When one answers, what waits on the other goes over that one.
TEST(BothPaths, SilentNoneDiesUntilOneAnswers) {
    TwoPaths t({100us, 100us}, 4);
    t.write();
    for (unsigned n = 0; n < kRounds; ++n) {
        const unsigned first = n % kPaths, second = 1 - first;
        t.cut(first, true, true);
        t.cut(second, true, true);
        t.net.run_for(30ms + Duration(static_cast<std::int64_t>(t.net.random.below(300'000'000))));
        EXPECT_TRUE(t.usable(kTarget, first) && t.usable(kTarget, second)) << n;
        t.cut(first, false, false);
        const std::uint64_t before = t.bulk->arrived();
        EXPECT_TRUE(t.net.run_until([&] { return t.bulk->arrived() > before; }, 103ms)) << n;
        EXPECT_TRUE(t.net.run_until([&] { return !t.usable(kTarget, second); }, 103ms)) << n;
        t.cut(second, false, false);
        ASSERT_TRUE(t.comes_back()) << n;
        t.net.run_for(50ms);
    }
}

}  // namespace
}  // namespace farlane::simulation
