// SPDX-License-Identifier: Apache-2.0
// Many seeds, every fault: each posted write once and in order, each request at most once and
// answered. docs/wire.md, "Exactly once".
#include <gtest/gtest.h>

#include <cstdlib>

#include "proto/traffic.hpp"

namespace farlane::proto::sim {
namespace {

Faults any_faults(Random& r) {
    Faults f;
    f.loss = static_cast<double>(r.below(31)) / 100;
    f.duplicate = static_cast<double>(r.below(11)) / 100;
    f.reorder = static_cast<double>(r.below(31)) / 100;
    f.corrupt = static_cast<double>(r.below(11)) / 100;
    switch (r.below(4)) {
        case 0: f.delay = Duration(static_cast<std::int64_t>(r.below(20'000))); break;
        case 1: f.delay = Duration(static_cast<std::int64_t>(r.below(1'000'000))); break;
        case 2: f.delay = Duration(static_cast<std::int64_t>(r.below(20'000'000))); break;
        default: f.delay = Duration(static_cast<std::int64_t>(r.below(200'000'000))); break;
    }
    if (r.chance(0.5)) f.jitter = f.delay;
    f.reorder_by = f.delay / 4 + 1us;
    if (r.chance(0.2)) f.mtu = 1500;
    return f;
}

void storm(std::uint64_t seed, unsigned paths, unsigned total, bool early = false) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World w(seed, paths);
    w.early = early;
    for (Wire& wire : w.wires) wire.faults = any_faults(w.random);
    ASSERT_TRUE(w.connect());
    Pair p(seed);
    p.bind(w, {.completion_timeout = 600s, .completion_timeout_max = 600s});
    ASSERT_TRUE(p.run(w, total, 600s)) << "not done: " << p.down.outstanding() << " " << p.up.outstanding();
    p.verify();
    EXPECT_EQ(w.initiator().state(), SessionState::open);
    EXPECT_EQ(w.target().state(), SessionState::open);
}

// FARLANE_SEEDS asks for more (or fewer) runs: a soak, or a sanitizer on a slow machine.
std::uint64_t seeds(std::uint64_t usual) {
    const char* env = std::getenv("FARLANE_SEEDS");
    if (env != nullptr) return std::strtoull(env, nullptr, 10);
#ifdef __SANITIZE_ADDRESS__
    usual /= 8;
#endif
    return usual;
}

TEST(Storm, OnePath) {
    for (std::uint64_t seed = 1; seed <= seeds(1600) && !testing::Test::HasFailure(); ++seed) storm(seed, 1, 100);
}

TEST(Storm, OnePathAnsweredBeforeALookAtTheClock) {
    for (std::uint64_t seed = 1; seed <= seeds(800) && !testing::Test::HasFailure(); ++seed)
        storm(3'000'000 + seed, 1, 100, true);
}

// Whatever the clock said when a frame was taken: no round trip is shorter than the path.
TEST(Storm, NoRoundTripIsShorterThanThePath) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        World w(4'000'000 + seed);
        w.early = true;
        ASSERT_TRUE(w.connect());
        Pair p(seed);
        p.bind(w);
        ASSERT_TRUE(p.run(w, 400, 600s));
        p.verify();
        for (const Side& s : w.sides) EXPECT_GE(s.session->paths()[0].min_rtt, 2 * w.wires[0].faults.delay) << seed;
    }
}

TEST(Storm, TwoPaths) {
    for (std::uint64_t seed = 1; seed <= seeds(1200) && !testing::Test::HasFailure(); ++seed)
        storm(1'000'000 + seed, 2, 100);
}

// Fewer, longer ones: windows grow and wrap, credits are used up and come back.
TEST(Storm, Long) {
    for (std::uint64_t seed = 1; seed <= seeds(1600) / 80 && !testing::Test::HasFailure(); ++seed)
        storm(2'000'000 + seed, 1 + seed % 2, 4000);
}

}  // namespace
}  // namespace farlane::proto::sim
