// SPDX-License-Identifier: Apache-2.0
// When what a host writes is acknowledged, and told released: together, and before its sender probes.
// docs/wire.md, "Acknowledgement" and "Credits".
#include <gtest/gtest.h>

#include "proto/bound.hpp"

namespace farlane::proto::sim {
namespace {

TEST(Patience, FewBytesOfAHostAreAcknowledgedTogether) {
    Bound x(40);
    const std::uint64_t before = x.w.sides[1].frames, records = x.w.target().counters().records_out;
    for (unsigned i = 0; i < 16; ++i) {
        ASSERT_EQ(x.write(0, 64), Status::ok);
        x.w.run_for(100us);
    }
    EXPECT_LE(x.w.sides[1].frames - before, 4u);
    EXPECT_LE(x.w.target().counters().records_out - records, 1u)
        << "16 records are untold at the end, not with each frame";
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
    EXPECT_EQ(x.w.initiator().counters().tail_probes, 0u);
    x.expect_clean();
}

TEST(Patience, ALoneWriteIsAcknowledgedBeforeItsSenderProbes) {
    Bound x(41);
    ASSERT_EQ(x.write(0, 64), Status::ok);
    const Time start = x.w.now;
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
    EXPECT_LE(x.w.now - start, 700us) << "a round trip of 100 us, and 500 us";
    EXPECT_EQ(x.w.initiator().counters().tail_probes, 0u);
}

TEST(Patience, EndsWithMuchDataAndIsNotForDevices) {
    Bound x(42);
    ASSERT_EQ(x.write(0, 4096), Status::ok);
    Time start = x.w.now;
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
    EXPECT_LE(x.w.now - start, 200us);
    ASSERT_EQ(x.b.function->submit(write_tlp(0, 64), std::span(x.data).first(64), 1, true, x.w.now), Status::ok);
    start = x.w.now;
    ASSERT_TRUE(x.until([&] { return x.b.function->posted_drained(); }));
    EXPECT_LE(x.w.now - start, 200us) << "a round trip of 100 us, and 25 us";
}

// Writes some milliseconds apart: the first acknowledgements come alone, then the frames say that they may wait.
void write_far_apart(Bound& x, unsigned writes) {
    for (unsigned i = 0; i < writes; ++i) {
        ASSERT_EQ(x.write(0, 64), Status::ok);
        x.w.run_for(1500us);
    }
}

TEST(Patience, WritesFarApartAreAcknowledgedTogetherAsWell) {
    Bound x(43);
    write_far_apart(x, 4);
    const std::uint64_t written = x.w.sides[0].frames, answered = x.w.sides[1].frames;
    write_far_apart(x, 48);
    EXPECT_LE(x.w.sides[0].frames - written, 52u) << "acknowledgements of credits go with the writes";
    EXPECT_LE(x.w.sides[1].frames - answered, 24u);
    EXPECT_EQ(x.w.initiator().counters().tail_probes, 0u);
    EXPECT_EQ(x.w.target().counters().tail_probes, 0u);
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
    x.expect_clean();
}

// A lone answer that comes soon is no sign that writes are no longer far apart: neither end goes back to an
// acknowledgement, with credits, for each.
TEST(Patience, OneSoonAcknowledgementDoesNotEndIt) {
    Bound x(47);
    write_far_apart(x, 8);
    const std::uint64_t answered = x.w.sides[1].frames, told = x.w.target().counters().records_out;
    for (unsigned i = 0; i < 4; ++i) {
        ASSERT_EQ(x.write(0, 64), Status::ok);
        x.a.function->hurry();
        x.w.run_for(1500us);
        write_far_apart(x, 8);
    }
    EXPECT_LE(x.w.sides[1].frames - answered, 4u + 18u) << "the answers asked for, and one for two writes";
    EXPECT_LE(x.w.target().counters().records_out - told, 4u + 3u) << "as often as asked for, or for 16 records";
    EXPECT_EQ(x.w.initiator().counters().tail_probes, 0u);
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
    x.expect_clean();
}

TEST(Patience, WritesFarApartNeedAPeerThatKnowsOfIt) {
    Bound x(44, {}, {}, FL_FEATURE_RELAXED_ORDERING | FL_FEATURE_MAPS);
    bool said = false;
    x.w.tap = [&](unsigned, PathId, std::span<std::byte> frame) {
        said = said || (frame[1] & std::byte{FL_FRAME_PATIENT}) != std::byte{};
        return true;
    };
    write_far_apart(x, 16);
    EXPECT_FALSE(said);
    x.expect_clean();
}

TEST(Patience, ALostOneFarApartIsSentAgainWithTheNext) {
    Bound x(45);
    write_far_apart(x, 8);
    x.w.wires[0].faults.down = true;
    ASSERT_EQ(x.write(0, 64), Status::ok);
    x.w.run_for(1500us);
    x.w.wires[0].faults.down = false;
    const std::uint64_t executed = x.b.endpoint.posted;
    write_far_apart(x, 2);
    EXPECT_EQ(x.b.endpoint.posted, executed + 3);
    // The last one: nothing comes after it.
    x.w.wires[0].faults.down = true;
    ASSERT_EQ(x.write(0, 64), Status::ok);
    x.w.run_for(1500us);
    x.w.wires[0].faults.down = false;
    x.w.run_for(6ms);
    EXPECT_EQ(x.b.endpoint.posted, executed + 4) << "a probe after a round trip, 1 ms and 6 ms";
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
    x.expect_clean();
}

TEST(Patience, WhoAsksForAReleaseOfWritesFarApartDoesNotWait) {
    Bound x(46);
    write_far_apart(x, 8);
    ASSERT_EQ(x.write(0, 64), Status::ok);
    x.a.function->hurry();
    const Time start = x.w.now;
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
    EXPECT_LE(x.w.now - start, 200us) << "a round trip of 100 us";
}

// Somebody waits for the answer: its sender does not wait longer than otherwise before it probes.
TEST(Patience, ALostAnswerToWhoAsksForAReleaseCanNotWait) {
    Bound x(48);
    write_far_apart(x, 9);
    unsigned lost = 0;
    x.w.tap = [&](unsigned from, PathId, std::span<std::byte> frame) {
        if (from != 1 || lost++ != 0) return true;
        EXPECT_EQ(frame[1] & std::byte{FL_FRAME_PATIENT}, std::byte{});
        return false;
    };
    ASSERT_EQ(x.write(0, 64), Status::ok);
    x.a.function->hurry();
    const Time start = x.w.now;
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
    EXPECT_GE(lost, 2u);
    EXPECT_LE(x.w.now - start, 2ms) << "two round trips of 100 us, and 1 ms";
    x.expect_clean();
}

}  // namespace
}  // namespace farlane::proto::sim
