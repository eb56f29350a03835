// SPDX-License-Identifier: Apache-2.0
// Receives: seeds. Hands on: proof that a plan follows from seed and round alone, that faults of one daemon or link
// never overlap, and that all kinds come up. Owns: nothing.
#include "chaos/plan.hpp"

#include <set>

#include <gtest/gtest.h>

namespace farlane::chaos {
namespace {

std::string text(const Plan& plan) {
    std::string all;
    for (const Fault& f : plan.faults) all += std::to_string(f.begins.count()) + " " + f.text() + "\n";
    return all;
}

TEST(ChaosPlan, FollowsFromSeedAndRound) {
    std::set<std::string> different;
    for (unsigned round = 1; round <= 50; ++round) {
        EXPECT_EQ(text(make_plan(7, round)), text(make_plan(7, round)));
        different.insert(text(make_plan(7, round)));
        different.insert(text(make_plan(8, round)));
    }
    EXPECT_GT(different.size(), 95U);
}

bool of_initiator(const Fault& f) {
    return f.kind == FaultKind::kill_initiator || f.kind == FaultKind::restart_initiator ||
           f.kind == FaultKind::freeze_initiator || f.kind == FaultKind::kill_both;
}
bool of_target(const Fault& f) {
    return f.kind == FaultKind::kill_target || f.kind == FaultKind::restart_target ||
           f.kind == FaultKind::freeze_target || f.kind == FaultKind::kill_both;
}
bool of_link(const Fault& f) {
    return f.kind == FaultKind::cut || f.kind == FaultKind::cut_one;
}

TEST(ChaosPlan, FaultsOfOneDaemonOrLinkFollowEachOther) {
    for (unsigned round = 1; round <= 2000; ++round) {
        const Plan plan = make_plan(99, round);
        ASSERT_FALSE(plan.faults.empty());
        for (const auto mine : {of_initiator, of_target, of_link}) {
            Milliseconds over{-1};
            for (const Fault& f : plan.faults) {
                if (!mine(f)) continue;
                ASSERT_GT(f.begins, over) << "round " << round << "\n" << text(plan);
                over = f.begins + f.lasts;
            }
        }
    }
}

TEST(ChaosPlan, AllKindsComeUpWithinBounds) {
    std::set<FaultKind> kinds;
    std::set<bool> anew, second;
    for (unsigned round = 1; round <= 200; ++round) {
        const Plan plan = make_plan(3, round);
        anew.insert(plan.attach_anew);
        for (const Fault& f : plan.faults) {
            kinds.insert(f.kind);
            if (f.kind == FaultKind::kill_both) second.insert(f.second);
            EXPECT_LE(f.lasts, kLongestFault);
            EXPECT_LE(f.weather.loss, 30U) << "docs/failures.md promises nothing beyond";
            EXPECT_FALSE(f.text().empty());
        }
    }
    EXPECT_EQ(kinds.size(), kFaultKinds);
    EXPECT_EQ(anew.size(), 2U);
    EXPECT_EQ(second.size(), 2U);
}

}  // namespace
}  // namespace farlane::chaos
