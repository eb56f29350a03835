// SPDX-License-Identifier: Apache-2.0
// A link that is cut and comes back, many times at random: work goes on within a round trip and 100 ms, whatever was
// under way, and a flow reaches its rate again. docs/failures.md.
#include <gtest/gtest.h>

#include "simulation/load.hpp"

namespace farlane::simulation {
namespace {

constexpr Duration kBound = 100ms;
constexpr Duration kQueue = 10ms;  // of what else is under way

struct Way {
    Duration delay;
    double bits_per_s;
    double loss;
    std::uint64_t rate_told;
};

class Outage : public testing::TestWithParam<Way> {
protected:
    // Cut for less than three keep-alive intervals: the session stays.
    static Duration random_cut(Network& net) { return random(net, 1ms, 850ms); }
    static Duration random(Network& net, Duration least, Duration most) {
        return least + Duration(static_cast<std::int64_t>(
                           net.random.below(static_cast<std::uint64_t>((most - least).count()))));
    }
};

TEST_P(Outage, WorkGoesOn) {
    const Way way = GetParam();
    Duration worst{}, sum{};
    unsigned cuts = 0;
    for (unsigned seed = 1; seed <= 30; ++seed) {
        Network net(seed);
        Link& down = net.add_link({.bits_per_s = way.bits_per_s, .loss = way.loss});
        Link& up = net.add_link({.bits_per_s = way.bits_per_s, .loss = way.loss});
        PathPlan plan{&down, &up, way.delay};
        plan.config.link_bits_per_s = way.rate_told;
        const unsigned s = net.add_session({plan});
        ASSERT_TRUE(net.run_until([&] { return net.is_open(s); }, 1s));
        Reader reader(net, s, 1);
        std::unique_ptr<Bulk> bulk;
        if (seed % 2 == 0) bulk = std::make_unique<Bulk>(net, s, 2);
        net.run_for(20ms);
        if (bulk) bulk->start(net);
        net.run_for(random(net, 0ms, 300ms));
        for (unsigned n = 0; n < 6; ++n) {
            const bool only_up = net.random.chance(0.2), only_down = net.random.chance(0.2);
            down.config.down = !only_up;
            up.config.down = !only_down || only_up;
            net.run_for(random_cut(net));
            ASSERT_EQ(net.session(s, kInitiator).state(), proto::SessionState::open);
            down.config.down = up.config.down = false;
            const Time healed = net.now;
            for (unsigned reads = 0; reads < 8; ++reads) {
                const std::size_t had = reader.latency_ns.size();
                ASSERT_TRUE(net.run_until([&] { return reader.latency_ns.size() > had; }, 3s))
                    << "seed " << seed << " cut " << n << " read " << reads;
                if (reads == 0) {
                    worst = std::max(worst, net.now - healed);
                    sum += net.now - healed;
                    ++cuts;
                }
            }
            const Duration eight = net.now - healed;
            EXPECT_LE(eight, kBound * 2 + way.delay * 40) << "seed " << seed << " cut " << n;
            if (bulk) {
                const std::uint64_t before = bulk->arrived();
                EXPECT_TRUE(net.run_until([&] { return bulk->arrived() > before; }, 500ms)) << "seed " << seed;
            }
            net.run_for(random(net, 1ms, 200ms));
        }
    }
    std::printf("way %.3f ms: first answer after the link is back: mean %.1f ms, worst %.1f ms of %u cuts\n",
                static_cast<double>(way.delay.count()) * 1e-6, static_cast<double>(sum.count()) * 1e-6 / cuts,
                static_cast<double>(worst.count()) * 1e-6, cuts);
    EXPECT_LE(worst, kBound * (way.loss == 0 ? 1 : 2) + way.delay * 4 + kQueue) << "a lost probe is sent again";
}

INSTANTIATE_TEST_SUITE_P(Ways, Outage,
                         testing::Values(Way{20us, 2e9, 0, 0}, Way{500us, 1e9, 0, 0}, Way{2ms, 100e6, 0, 0},
                                         Way{2ms, 1e9, 0.01, 0}, Way{10ms, 1e9, 0, 0},
                                         Way{500us, 2e9, 0, 2'000'000'000}));

}  // namespace
}  // namespace farlane::simulation
