// SPDX-License-Identifier: Apache-2.0
// Frames with one request or one completion: how many are acknowledged together, what follows them, when they came and
// left if that was known only later, and each kind of them. docs/wire.md, "Acknowledgement" and "Frame".
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "proto/bound.hpp"
#include "proto/path.hpp"

namespace farlane::proto::sim {
namespace {

// --- how many wait

constexpr std::uint32_t kSmall = 70;  // bytes: sixteen are less than 1,200

struct Waiting {
    Waiting() { p.ack_sent(now); }
    void take(unsigned packets, Asks asks, std::uint32_t bytes = kSmall) {
        for (unsigned i = 0; i < packets; ++i) p.arrived(true, asks, bytes, now);
    }
    Time now{1s};
    Path p{0, {}, 256, now};
};

TEST(LoneAck, PatientPacketsAreAcknowledgedAlongAtTwelveAndAtOnceAtSixteen) {
    Waiting w;
    w.take(11, Asks::patiently);
    EXPECT_FALSE(w.p.ack_along(w.now));
    w.take(1, Asks::patiently);
    EXPECT_TRUE(w.p.ack_along(w.now));
    w.take(3, Asks::sometime);
    EXPECT_FALSE(w.p.ack_now);
    w.take(1, Asks::patiently);
    EXPECT_TRUE(w.p.ack_now);
}

TEST(LoneAck, OthersAlongAtFourAndAtOnceAtEight) {
    Waiting w;
    w.take(3, Asks::soon);
    EXPECT_FALSE(w.p.ack_along(w.now));
    w.take(1, Asks::soon);
    EXPECT_TRUE(w.p.ack_along(w.now));
    w.take(3, Asks::soon);
    EXPECT_FALSE(w.p.ack_now);
    w.take(1, Asks::soon);
    EXPECT_TRUE(w.p.ack_now);
}

TEST(LoneAck, OneThatMayNotWaitCountsForAll) {
    Waiting few;
    few.take(3, Asks::patiently);
    few.take(1, Asks::soon);
    EXPECT_TRUE(few.p.ack_along(few.now));
    EXPECT_FALSE(few.p.ack_now);
    Waiting many;
    many.take(8, Asks::patiently);
    EXPECT_FALSE(many.p.ack_along(many.now));
    many.take(1, Asks::soon);
    EXPECT_TRUE(many.p.ack_now);
    many.p.ack_sent(many.now);
    many.take(11, Asks::patiently);
    EXPECT_FALSE(many.p.ack_along(many.now)) << "what was acknowledged counts no more";
}

TEST(LoneAck, MoreThanPatientBytesMayNotWait) {
    Waiting w;
    w.take(7, Asks::patiently, 170);
    EXPECT_FALSE(w.p.ack_now);
    EXPECT_FALSE(w.p.ack_along(w.now));
    w.take(1, Asks::patiently, 170);
    EXPECT_TRUE(w.p.ack_now) << "1,360 bytes, and eight packets";
}

TEST(LoneAck, AndAfterALittleWhile) {
    Waiting w;
    w.take(1, Asks::patiently);
    EXPECT_FALSE(w.p.ack_along(w.now + 24us));
    EXPECT_TRUE(w.p.ack_along(w.now + 25us));
}

// --- what goes over the wire

struct Seen {
    unsigned from = 0;
    Time at{};
    std::vector<std::byte> bytes;
    Header header;
    unsigned tlps = 0, acks = 0, credits = 0;
    AckRecord ack;
};

struct Watched : Bound {
    explicit Watched(std::uint64_t seed, Duration delay = 1us) : Bound(seed) {
        w.wires[0].faults.delay = delay;
        w.run_for(20ms);
        w.tap = [this](unsigned from, PathId, std::span<std::byte> frame) {
            note(from, frame);
            return passes;
        };
    }
    void note(unsigned from, std::span<std::byte> frame) {
        Seen s;
        s.from = from;
        s.at = w.now;
        s.bytes.assign(frame.begin(), frame.end());
        ASSERT_EQ(parse_header(s.bytes, s.header), kNoDrop);
        RecordReader reader(records_of(s.bytes, s.header));
        Record r;
        while (reader.next(r) == Next::record) {
            s.tlps += r.family == FL_FAMILY_TLP ? 1 : 0;
            s.credits += r.family == FL_FAMILY_CREDIT ? 1 : 0;
            if (r.family != FL_FAMILY_ACK) continue;
            ++s.acks;
            s.ack = r.ack;
        }
        seen.push_back(std::move(s));
    }
    void read_now() {
        ASSERT_EQ(read(++cookie), Status::ok);
        ASSERT_TRUE(until([&] { return a.endpoint.completions == cookie; }));
    }
    template <class Is>
    [[nodiscard]] std::size_t count(unsigned from, Is is) const {
        return static_cast<std::size_t>(
            std::ranges::count_if(seen, [&](const Seen& s) { return s.from == from && is(s); }));
    }
    /// What `from` sends within a nanosecond, kept from the wire.
    Seen keep_one(unsigned from) {
        seen.clear();
        passes = false;
        w.run_for(1ns);
        passes = true;
        const auto it = std::ranges::find(seen, from, &Seen::from);
        EXPECT_NE(it, seen.end());
        return it == seen.end() ? Seen{} : *it;
    }
    std::optional<Seen> next_ack(unsigned from) {
        seen.clear();
        const auto is = [&](const Seen& s) { return s.from == from && s.acks != 0; };
        (void)w.run_until([&] { return std::ranges::any_of(seen, is); }, 20ms);
        const auto it = std::ranges::find_if(seen, is);
        return it == seen.end() ? std::nullopt : std::optional(*it);
    }

    bool passes = true;
    std::uint64_t cookie = 0;
    std::vector<Seen> seen;
};

TEST(Lone, OneInTwelveTakesAnAcknowledgementAlong) {
    Watched x(50, 100ns);
    for (unsigned n = 0; n < 32; ++n) x.read_now();
    x.seen.clear();
    for (unsigned n = 0; n < 240; ++n) x.read_now();
    for (const unsigned side : {0U, 1U}) {
        const auto acks = x.count(side, [](const Seen& s) { return s.acks != 0; });
        EXPECT_GE(acks, 20U);
        EXPECT_LE(acks, 24U) << "and some because 25 us were over";
    }
    x.expect_clean();
}

// What the peer may send next goes behind the answer, at once, and not in its frame.
TEST(Lone, CreditsFollowTheAnswer) {
    Watched x(51, 100ns);
    unsigned followed = 0;
    for (unsigned round = 0; round < 50; ++round) {
        for (unsigned n = 0; n < 12; ++n) x.read_now();
        x.seen.clear();
        for (unsigned n = 0; n < 16; ++n) ASSERT_EQ(x.write(0, 8), Status::ok);
        x.read_now();
        for (std::size_t i = 0; i + 1 < x.seen.size(); ++i) {
            const Seen &s = x.seen[i], &next = x.seen[i + 1];
            if (s.from != 1 || s.tlps != 1 || s.acks != 0) continue;
            EXPECT_EQ(s.credits, 0U);
            followed += next.from == 1 && next.at == s.at && next.credits == 1 ? 1 : 0;
        }
    }
    EXPECT_GE(followed, 10U);
    x.expect_clean();
}

TEST(Lone, CreditsFollowAlthoughTheirFrameHasToWait) {
    Watched x(52, 100ns);
    for (unsigned n = 0; n < 12; ++n) x.read_now();
    x.w.frames_per_turn = 1;
    for (unsigned round = 0; round < 200; ++round) {
        for (unsigned n = 0; n < 16; ++n) ASSERT_EQ(x.write(0, 8), Status::ok);
        x.read_now();
    }
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
    x.expect_clean();
}

// --- when they came and left

// The look at the clock was 40 us old when it was taken: it is not held for that much longer.
TEST(LoneStamp, WhatIsTakenBeforeALookIsHeldFromThatLookOn) {
    Watched x(53);
    ASSERT_EQ(x.read(1), Status::ok);
    Seen f = x.keep_one(0);
    const Time was = x.w.now;
    x.w.now += 40us;
    ASSERT_TRUE(x.w.target().on_lone_frame(f.bytes, 0, was));
    x.w.target().stamp(x.w.now);
    const Time came = x.w.now;
    x.w.now += 10us;
    const auto ack = x.next_ack(1);
    ASSERT_TRUE(ack);
    EXPECT_EQ(Duration(ack->ack.hold_ns), ack->at - came);
}

// What was not taken does not make the one before it come later.
TEST(LoneStamp, WhatIsNotTakenIsNotStamped) {
    Watched x(54);
    ASSERT_EQ(x.read(1), Status::ok);
    Seen first = x.keep_one(0);
    ASSERT_EQ(x.read(2), Status::ok);
    Seen second = x.keep_one(0);
    const Time came = x.w.now;
    ASSERT_TRUE(x.w.target().on_lone_frame(first.bytes, 0, came));
    x.w.target().stamp(came);
    x.b.function->hold(true);
    x.w.now += 15us;
    ASSERT_TRUE(x.w.target().on_lone_frame(second.bytes, 0, x.w.now));
    x.w.target().stamp(x.w.now);
    EXPECT_EQ(x.b.endpoint.requests, 1U);
    const auto ack = x.next_ack(1);
    ASSERT_TRUE(ack);
    EXPECT_EQ(ack->ack.largest, first.header.packet_number);
    EXPECT_EQ(Duration(ack->ack.hold_ns), ack->at - came);
    x.b.function->hold(false);
    ASSERT_TRUE(x.until([&] { return x.a.endpoint.completions == 2; })) << "it is sent again";
    x.expect_clean();
}

/// An answer of the target that left when nobody knows, between `was` and 5 ms later.
struct LateAnswer {
    explicit LateAnswer(bool before) : x(55, 50us) {
        for (unsigned n = 0; n < 20; ++n) x.read_now();
        x.w.run_for(20ms);
        probes = x.w.target().counters().tail_probes;
        EXPECT_EQ(x.read(++x.cookie), Status::ok);
        Seen f = x.keep_one(0);
        const Time was = x.w.now;
        EXPECT_TRUE(x.w.target().on_lone_frame(f.bytes, 0, was));
        EXPECT_TRUE(x.w.target().has_lone());
        std::array<std::byte, FL_FRAME_MAX_BYTES> out;
        const auto built = x.w.target().build_lone(out, was);
        EXPECT_NE(built.bytes, 0U);
        const auto arrive = [&] { x.w.initiator().on_frame(std::span(out).first(built.bytes), 0, x.w.now); };
        x.w.now += 4900us;
        if (before) arrive();
        x.w.now += 100us;
        x.w.target().left_lone(was, x.w.now);
        x.w.target().stamp(x.w.now);
        if (!before) x.w.now += 100us;
        if (!before) arrive();
    }
    Watched x;
    std::uint64_t probes = 0;
};

// Either way nothing is learned from it: a round trip that is too short would stay the shortest.
TEST(LoneStamp, AnAnswerThatLeftNobodyKnowsWhenIsNoSample) {
    for (const bool before : {false, true}) {
        LateAnswer l(before);
        ASSERT_TRUE(l.x.until([&] { return l.x.a.endpoint.completions == l.x.cookie; }));
        l.x.w.run_for(10us);
        ASSERT_EQ(l.x.read(++l.x.cookie), Status::ok);  // takes the acknowledgement along
        ASSERT_TRUE(l.x.until([&] { return l.x.w.target().paths()[0].in_flight_bytes == 0; }));
        const auto now = l.x.w.target().paths()[0];
        EXPECT_GE(now.min_rtt, 100us) << before;
        EXPECT_LE(now.smoothed_rtt, 200us) << before;
    }
}

TEST(LoneStamp, AnAnswerThatLeftLateIsNotMissedEarlier) {
    LateAnswer l(false);
    l.x.w.run_for(900us);
    EXPECT_EQ(l.x.w.target().counters().tail_probes, l.probes) << "not before a round trip and 1 ms";
}

// Noted behind what was sent: the frame has a number of its own all the same, and what it carried is sent again if it
// is lost.
TEST(LoneStamp, AFrameThatIsNotedLaterIsMissedAndItsNumberUsedOnce) {
    Watched x(58);
    x.read_now();
    x.w.run_for(20ms);  // nothing is to be acknowledged
    ASSERT_EQ(x.read(++x.cookie), Status::ok);
    ASSERT_TRUE(x.w.initiator().has_lone());
    std::array<std::byte, FL_FRAME_MAX_BYTES> out;
    Header lost, next;
    const auto built = x.w.initiator().build_lone(out, x.w.now);
    ASSERT_NE(built.bytes, 0U);
    ASSERT_EQ(parse_header(std::span(out).first(built.bytes), lost), kNoDrop);
    x.w.initiator().left_lone(x.w.now, x.w.now + 1us);
    EXPECT_FALSE(x.w.initiator().has_lone());
    x.w.now += 1us;
    ASSERT_EQ(x.read(++x.cookie), Status::ok);
    next = x.keep_one(0).header;
    EXPECT_EQ(next.packet_number, lost.packet_number + 1);
    ASSERT_TRUE(x.until([&] { return x.a.endpoint.completions == x.cookie; })) << "both were lost";
    EXPECT_EQ(x.b.endpoint.requests, x.cookie);
    x.expect_clean();
}

// --- each kind

enum class Integrity : bool { off, on };

class EachKind : public testing::TestWithParam<Integrity> {
protected:
    EachKind() {
        for (Side& s : w.sides) s.config.integrity = GetParam() == Integrity::on;
        EXPECT_TRUE(w.connect());
        EXPECT_EQ(w.target().bind(b.start(), {}, w.now), Status::ok);
        EXPECT_EQ(w.initiator().bind(a.start(), {}, w.now), Status::ok);
        w.run_for(20ms);
        w.wires[0].faults.delay = 100ns;
        for (std::size_t i = 0; i < 4096; ++i) b.endpoint.ram[i] = static_cast<std::byte>(i * 7 + 1);
        w.tap = [this](unsigned from, PathId, std::span<std::byte> frame) {
            sizes[from].push_back(frame.size());
            return true;
        };
    }
    static std::size_t lone_bytes(std::size_t payload) {
        return FL_FRAME_MIN_BYTES + sizeof(fl_tlp) + (payload + 7) / 8 * 8;
    }
    Status ask(const Tlp& t, std::span<const std::byte> operand, std::span<std::byte> into) {
        for (auto& s : sizes) s.clear();
        const Status s = a.function->request(t, operand, into, ++cookie, w.now);
        if (s != Status::ok) return s;
        EXPECT_TRUE(w.run_until([&] { return a.endpoint.completions == cookie; }, 1s));
        return a.endpoint.completed[cookie];
    }
    /// Both ways were those of a lone frame: one with an acknowledgement, now and then, is not.
    void expect_lone(std::size_t there, std::size_t back) {
        lone += !sizes[0].empty() && sizes[0].front() == lone_bytes(there) ? 1 : 0;
        lone += !sizes[1].empty() && sizes[1].front() == lone_bytes(back) ? 1 : 0;
    }
    World w{56};
    Port a, b;
    std::array<std::vector<std::size_t>, 2> sizes;
    std::uint64_t cookie = 0;
    unsigned lone = 0;
};

TEST_P(EachKind, ReadsOfEachLength) {
    std::array<std::byte, 64> into;
    for (const unsigned fetch : {0U, 1U}) {
        b.endpoint.fetch_longer_than = fetch;
        for (std::uint16_t n = 1; n <= into.size(); ++n) {
            into.fill(std::byte{0xee});
            ASSERT_EQ(ask(read_tlp(n, n), {}, std::span(into).first(n)), Status::ok);
            ASSERT_EQ(std::memcmp(into.data(), b.endpoint.ram.data() + n, n), 0) << n;
            expect_lone(0, n);
        }
    }
    EXPECT_EQ(b.endpoint.fetches, 63U);
    EXPECT_GE(lone, 200U);
}

TEST_P(EachKind, AnErrorHasNoData) {
    std::array<std::byte, 8> into;
    for (unsigned n = 0; n < 24; ++n) {
        into.fill(std::byte{0xee});
        EXPECT_EQ(ask(read_tlp(b.endpoint.ram.size(), 8), {}, into), Status::unsupported_request);
        EXPECT_TRUE(std::ranges::all_of(into, [](std::byte x) { return x == std::byte{0xff}; }));
        expect_lone(0, 0);
    }
    EXPECT_GE(lone, 36U);
}

TEST_P(EachKind, Operands) {
    std::array<std::byte, 8> operand, old;
    operand.fill(std::byte{});
    operand[0] = std::byte{3};
    std::uint64_t sum = 0;
    std::memcpy(b.endpoint.ram.data(), &sum, sizeof sum);
    Tlp add = read_tlp(0, 8);
    add.type = TlpType::fetch_add;
    for (unsigned n = 0; n < 24; ++n) {
        ASSERT_EQ(ask(add, operand, old), Status::ok);
        EXPECT_EQ(std::memcmp(old.data(), &sum, sizeof sum), 0);
        sum += 3;
        expect_lone(8, 8);
    }
    std::vector<std::byte> written;
    b.endpoint.on_request_do = [&](Function&, const Tlp& t, std::span<const std::byte> data, RequestId, auto, Status&) {
        EXPECT_EQ(t.type, TlpType::config_write);
        written.assign(data.begin(), data.end());
        return Answer::done;
    };
    Tlp config{.type = TlpType::config_write, .length_bytes = 2, .address = 4};
    for (unsigned n = 0; n < 24; ++n) {
        const std::array<std::byte, 2> value{std::byte{6}, static_cast<std::byte>(n)};
        ASSERT_EQ(ask(config, value, {}), Status::ok);
        EXPECT_TRUE(std::ranges::equal(written, value));
        expect_lone(2, 0);
    }
    EXPECT_GE(lone, 72U);
}

TEST_P(EachKind, ABadFrameIsDroppedAndAskedForAgain) {
    unsigned spoilt = 0;
    w.tap = [&](unsigned, PathId, std::span<std::byte> frame) {
        if (frame.size() == lone_bytes(0) && ++spoilt % 8 == 0) frame[frame.size() - 1] ^= std::byte{1};
        return true;
    };
    std::array<std::byte, 8> into;
    for (std::uint64_t n = 0; n < 40; ++n) ASSERT_EQ(ask(read_tlp(n, 8), {}, into), Status::ok);
    const auto dropped = w.target().counters().drops[static_cast<unsigned>(Drop::frame_crc)];
    if (GetParam() == Integrity::on)
        EXPECT_GE(dropped, 5U);
    else
        EXPECT_EQ(dropped, 0U);
    EXPECT_EQ(b.endpoint.requests, 40U);
    EXPECT_EQ(b.endpoint.complaint, "");
}

INSTANTIATE_TEST_SUITE_P(With, EachKind, testing::Values(Integrity::on, Integrity::off));

// --- handlers that end things

TEST(Lone, AHandlerMayCloseTheSessionOrUnbind) {
    for (const bool closes : {false, true}) {
        Watched x(57);
        x.b.endpoint.on_request_do = [&](Function& f, const Tlp&, auto, RequestId, auto, Status&) {
            if (closes)
                x.w.target().close(Status::ok, x.w.now);
            else
                x.w.target().unbind(f, Status::ok, x.w.now);
            return Answer::done;
        };
        ASSERT_EQ(x.read(1), Status::ok);
        Seen f = x.keep_one(0);
        const Time was = x.w.now;
        x.w.now += 1ms;
        ASSERT_TRUE(x.w.target().on_lone_frame(f.bytes, 0, was));
        EXPECT_FALSE(x.w.target().has_lone());
        x.w.target().stamp(x.w.now);
        x.w.run_for(5ms);
        EXPECT_EQ(x.w.target().state(), closes ? SessionState::closed : SessionState::open);
        EXPECT_EQ(x.b.endpoint.requests, 1U);
    }
}

}  // namespace
}  // namespace farlane::proto::sim
