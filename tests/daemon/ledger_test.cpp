// SPDX-License-Identifier: Apache-2.0
// Receives: the ledger and the plan of a resume. Hands on: proof that what the target has not
// released is submitted again in the old order, and nothing else. Owns: a saved state.
#include "daemon/ledger.hpp"

#include <memory>

#include <gtest/gtest.h>

#include <farlane/uapi/tlp.h>

namespace farlane::daemon {
namespace {

using Class = proto::RecordClass;

WalkedSlot posted(std::uint32_t count, std::uint64_t sequence, bool done = false) {
    return {count, Class::posted, sequence, done};
}
WalkedSlot request(std::uint32_t count, std::uint64_t sequence, bool done = false) {
    return {count, Class::non_posted, sequence, done};
}

std::string text_of(const std::vector<ResumeStep>& steps) {
    std::string t;
    for (const ResumeStep& s : steps)
        t += (s.kind == ResumeStep::Kind::slot ? "s" : "a") + std::to_string(s.index) + " ";
    return t;
}

struct LedgerTest : testing::Test {
    std::unique_ptr<SavedState> state = std::make_unique<SavedState>();
    Ledger ledger{*state};

    void map(std::uint64_t iova, std::uint64_t before, std::uint64_t after) {
        ledger.begin_announcement(FL_MSG_MAP, iova, 4096, FL_MAP_DEVICE_READS, before);
        SavedMapping* m = ledger.free_mapping();
        m->iova = iova;
        m->bytes = 4096;
        m->direction = FL_MAP_DEVICE_READS;
        ledger.settle(before, after, 0);
    }
    SavedState& saved() { return *state; }
};

TEST_F(LedgerTest, ReleasedIsNotSubmittedAgain) {
    const std::vector<WalkedSlot> slots = {posted(10, 5), request(11, 3), posted(12, 6), posted(13, 7), request(14, 4)};
    const ResumePlan p = plan_resume(saved(), slots, 7, 4);
    EXPECT_EQ(text_of(p.steps), "s13 s14 ");
    EXPECT_EQ(p.finished, (std::vector<std::uint32_t>{10, 12}));
    EXPECT_EQ(p.in_doubt, (std::vector<std::uint32_t>{11})) << "executed there, its answer died here";
}

TEST_F(LedgerTest, DoneSlotsAreLeftAlone) {
    const std::vector<WalkedSlot> slots = {request(1, 1), posted(2, 9, true), request(3, 2, true), request(4, 0, true)};
    const ResumePlan p = plan_resume(saved(), slots, 10, 1);
    EXPECT_EQ(text_of(p.steps), "s1 ");
    EXPECT_TRUE(p.finished.empty());
}

TEST_F(LedgerTest, AnnouncementsKeepTheirPlace) {
    map(0x100000000, 2, 3);  // sequence 2
    map(0x100002000, 4, 5);  // sequence 4
    map(0x100004000, 6, 6);  // found no window
    const std::vector<WalkedSlot> slots = {posted(1, 1), posted(2, 3), posted(3, 5)};
    EXPECT_EQ(text_of(plan_resume(saved(), slots, 1, 1).steps), "s1 a0 s2 a1 s3 a2 ");
    EXPECT_EQ(text_of(plan_resume(saved(), slots, 3, 1).steps), "s2 a1 s3 a2 ");
    EXPECT_EQ(plan_resume(saved(), slots, 3, 1).announced, (std::vector<std::uint32_t>{0}));
    EXPECT_EQ(text_of(plan_resume(saved(), slots, 6, 1).steps), "a2 ");
}

TEST_F(LedgerTest, WaitingAnnouncementsGetTheirSequenceWhenTheyGo) {
    map(0x100000000, 5, 5);
    map(0x100002000, 5, 5);
    EXPECT_EQ(saved().announcements[0].sequence, 0U);
    ledger.settle(5, 8, 1);  // both went out before a record of the ring
    EXPECT_EQ(saved().announcements[0].sequence, 5U);
    EXPECT_EQ(saved().announcements[1].sequence, 6U);
    ledger.released(5);
    EXPECT_EQ(saved().announcements[0].code, 0U);
    EXPECT_NE(saved().announcements[1].code, 0U);
}

TEST_F(LedgerTest, HalfMadeMappingIsNotAnnounced) {
    ledger.begin_announcement(FL_MSG_MAP, 0x100000000, 4096, FL_MAP_DEVICE_READS, 1);  // killed here
    const ResumePlan p = plan_resume(saved(), {}, 1, 1);
    EXPECT_TRUE(p.steps.empty());
    EXPECT_EQ(p.announced.size(), 1U);
}

TEST_F(LedgerTest, TableOfAnnouncementsIsBounded) {
    for (std::uint32_t i = 0; i < kMaxAnnouncements; ++i) {
        ASSERT_TRUE(ledger.can_announce());
        map(0x100000000 + i * 0x2000ULL, i + 1, i + 2);
    }
    EXPECT_FALSE(ledger.can_announce());
    ledger.released(1);
    EXPECT_TRUE(ledger.can_announce());
    Ledger again(*state);
    EXPECT_TRUE(again.can_announce()) << "counted anew by the next daemon";
}

// Whatever an application wrote into its ring: no crash, every slot at most once.
TEST_F(LedgerTest, HostileSequences) {
    std::uint64_t x = 88172645463325252ULL;
    const auto next = [&] {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        return x;
    };
    for (int round = 0; round < 2000; ++round) {
        std::vector<WalkedSlot> slots;
        for (std::uint32_t i = 0; i < 32; ++i)
            slots.push_back({i, next() % 2 == 0 ? Class::posted : Class::non_posted,
                             next() % 3 == 0 ? next() : next() % 40, next() % 4 == 0});
        const ResumePlan p = plan_resume(saved(), slots, next() % 40, next() % 40);
        EXPECT_LE(p.steps.size() + p.finished.size() + p.in_doubt.size(), slots.size());
    }
}

TEST(MergeSteps, EachClassKeepsItsOrder) {
    const auto step = [](Class c, std::uint64_t sequence) {
        return ResumeStep{ResumeStep::Kind::slot, static_cast<std::uint32_t>(sequence), c, sequence, 0};
    };
    // Given once as: P1(a) N1(b) P2(b) N2(a) P3(a) P4(b) N3(b)
    const std::vector<ResumeStep> a{step(Class::posted, 1), step(Class::non_posted, 2), step(Class::posted, 3)};
    const std::vector<ResumeStep> b{step(Class::non_posted, 1), step(Class::posted, 2), step(Class::posted, 4),
                                    step(Class::non_posted, 3)};
    const auto all = merge_steps(a, b);
    ASSERT_EQ(all.size(), 7U);
    std::uint64_t next[2] = {1, 1};
    for (const ResumeStep& s : all) EXPECT_EQ(s.sequence, next[s.record_class == Class::posted ? 0 : 1]++);
    EXPECT_EQ(merge_steps(a, {}).size(), 3U);
    EXPECT_EQ(merge_steps({}, b).size(), 4U);
    // Notes that lie: something comes out, and everything of it.
    EXPECT_EQ(merge_steps({step(Class::posted, 9), step(Class::posted, 1)}, {step(Class::posted, 5)}).size(), 3U);
}

}  // namespace
}  // namespace farlane::daemon
