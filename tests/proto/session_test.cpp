// SPDX-License-Identifier: Apache-2.0
// Session: event -> expectation. Opening, version, silence, goodbye, control stream, what is
// dropped and what ends the session. docs/wire.md, "Session".
#include <gtest/gtest.h>

#include <array>

#include "proto/endpoint.hpp"
#include "proto/session_core.hpp"
#include "proto/sim.hpp"

namespace farlane::proto::sim {
namespace {

std::uint64_t drops(const Session& s, Drop d) {
    return s.counters().drops[static_cast<unsigned>(d)];
}

fl_function_desc description(const char* name) {
    fl_function_desc d{};
    write_name(d.name, name);
    return d;
}

// --- opening

TEST(Hello, OpensBothSides) {
    World w(1);
    ASSERT_TRUE(w.connect());
    using S = SessionState;
    EXPECT_EQ(w.sides[0].owner.states,
              (std::vector<std::pair<S, Status>>{{S::hello, Status::ok}, {S::open, Status::ok}}));
    EXPECT_EQ(w.sides[1].owner.states, (std::vector<std::pair<S, Status>>{{S::open, Status::ok}}));
    EXPECT_EQ(w.initiator().peer().name, "target");
    EXPECT_EQ(w.target().peer().name, "initiator");
    EXPECT_EQ(w.target().peer().keepalive, 1s);
}

TEST(Hello, IsRepeatedAtMost100msApart) {
    World w(2);
    std::vector<Time> sent;
    w.tap = [&](unsigned from, PathId, std::span<std::byte>) {
        if (from == 0) sent.push_back(w.now);
        return false;
    };
    w.open();
    w.run_for(3s);
    ASSERT_GE(sent.size(), 30u);
    for (std::size_t i = 1; i < sent.size(); ++i) EXPECT_LE(sent[i] - sent[i - 1], 100ms);
    w.tap = nullptr;
    EXPECT_TRUE(w.run_until([&] { return w.is_open(); }, 200ms));
}

TEST(Hello, RepeatedOneIsAnsweredAgain) {
    World w(3);
    unsigned answers = 0;
    w.tap = [&](unsigned from, PathId, std::span<std::byte>) { return from == 0 || ++answers > 3; };
    ASSERT_TRUE(w.connect());
    EXPECT_GE(answers, 4u);
    EXPECT_EQ(w.sides[1].owner.states.size(), 1u);
    EXPECT_EQ(drops(w.target(), Drop::hello_refused), 0u);
}

TEST(Hello, HighestCommonVersionIsChosen) {
    World w(4);
    w.sides[0].config.version_max = 9;
    w.sides[1].config.version_max = 5;
    std::uint8_t chosen = 0;
    w.tap = [&](unsigned from, PathId, std::span<std::byte> frame) {
        if (from == 1 && chosen == 0) {
            fl_control_hello h;
            std::memcpy(&h, frame.data() + sizeof(fl_frame_header), sizeof(h));
            EXPECT_EQ(h.head.head.type, FL_CONTROL_HELLO_ACK);
            EXPECT_EQ(h.version_min, h.version_max);
            chosen = h.version_max;
        }
        return true;
    };
    ASSERT_TRUE(w.connect());
    EXPECT_EQ(chosen, 5);
}

TEST(Hello, NoCommonVersionIsRefused) {
    World w(5);
    w.sides[0].config.version_min = w.sides[0].config.version_max = 7;
    w.open();
    ASSERT_TRUE(w.run_until([&] { return w.initiator().state() == SessionState::closed; }, 1s));
    EXPECT_EQ(w.initiator().why(), Status::version);
    EXPECT_EQ(w.target().state(), SessionState::closed);
    EXPECT_EQ(w.target().why(), Status::version);
}

TEST(Hello, RefusalClosesTheSession) {
    World w(6);
    std::optional<Hello> hello;
    w.tap = [&](unsigned, PathId, std::span<std::byte> frame) {
        auto h = parse_hello(frame);
        if (h) hello = *h;
        return false;
    };
    w.open();
    w.run_for(1ms);
    ASSERT_TRUE(hello);
    std::array<std::byte, 256> out;
    Hello other = *hello;
    other.nonce ^= 1;
    std::size_t n = build_reject(out, other, Status::denied);
    w.initiator().on_frame(std::span(out).first(n), 0, w.now);
    EXPECT_EQ(w.initiator().state(), SessionState::hello) << "a refusal of somebody else's hello";
    n = build_reject(out, *hello, Status::denied);
    out[3] = out[3];
    fl_frame_header h;
    std::memcpy(&h, out.data(), sizeof(h));
    h.packet_number.set(2);  // the first one was used up
    std::memcpy(out.data(), &h, sizeof(h));
    ClearSeal{}.seal(std::span(out).first(n), 2);
    w.initiator().on_frame(std::span(out).first(n), 0, w.now);
    EXPECT_EQ(w.initiator().state(), SessionState::closed);
    EXPECT_EQ(w.initiator().why(), Status::denied);
}

TEST(Hello, ParserRefusesWhatIsNoHello) {
    World w(7);
    std::vector<std::byte> frame;
    w.tap = [&](unsigned, PathId, std::span<std::byte> f) {
        if (frame.empty()) frame.assign(f.begin(), f.end());
        return false;
    };
    w.open();
    w.run_for(1ms);
    const auto parse = [&](const std::function<void(std::vector<std::byte>&)>& change, bool reseal) {
        auto copy = frame;
        change(copy);
        if (reseal) ClearSeal{}.seal(copy, 1);
        return parse_hello(copy).status();
    };
    EXPECT_EQ(parse([](auto&) {}, true), Status::ok);
    EXPECT_EQ(parse([](auto& f) { f[60] ^= std::byte{1}; }, false), Status::integrity);
    EXPECT_EQ(parse([](auto& f) { f[4] = std::byte{1}; }, true), Status::stale);
    EXPECT_EQ(parse([](auto& f) { f[16] = std::byte{1}; }, true), Status::protocol) << "path of the frame";
    EXPECT_EQ(parse([](auto& f) { f[25] = std::byte{FL_CONTROL_HELLO_ACK}; }, true), Status::protocol);
    EXPECT_EQ(parse([](auto& f) { f[24] = std::byte{9}; }, true), Status::malformed);
    EXPECT_EQ(parse([](auto& f) { f.resize(20); }, false), Status::malformed);
    EXPECT_EQ(peek_session(frame), std::optional<std::uint32_t>(0));
    EXPECT_EQ(peek_session(std::span(frame).first(10)), std::nullopt);
    frame[0] = std::byte{2};
    EXPECT_EQ(peek_session(frame), std::nullopt);
}

TEST(Hello, HalfOpenSessionIsGivenUp) {
    World w(8);
    w.tap = [](unsigned from, PathId, std::span<std::byte>) { return from == 0; };  // no answer arrives
    w.open();
    w.run_for(1s);
    ASSERT_TRUE(w.sides[1].session);
    EXPECT_EQ(w.target().state(), SessionState::hello);
    w.kill(0);
    ASSERT_TRUE(w.run_until([&] { return w.target().state() == SessionState::closed; }, 10s));
    EXPECT_EQ(w.target().why(), Status::unreachable);
}

// --- silence and goodbye

TEST(Silence, ThreeIntervalsThenOpensWithTheNextFrame) {
    World w(9);
    ASSERT_TRUE(w.connect());
    w.run_for(10s);
    EXPECT_EQ(w.initiator().state(), SessionState::open) << "idle sessions stay open";
    w.wires[0].faults.down = true;
    const Time cut = w.now;
    ASSERT_TRUE(w.run_until([&] { return w.initiator().state() == SessionState::silent; }, 10s));
    EXPECT_GE(w.now - cut, 2s - 1ms);
    EXPECT_LE(w.now - cut, 3s);
    w.run_for(5s);
    w.wires[0].faults.down = false;
    const Time back = w.now;
    ASSERT_TRUE(w.run_until([&] { return w.is_open(); }, 10s));
    EXPECT_LE(w.now - back, 101ms);
    const auto& states = w.sides[0].owner.states;
    EXPECT_EQ(states.size(), 4u);
    EXPECT_EQ(states[2].first, SessionState::silent);
    EXPECT_EQ(states[3].first, SessionState::open);
}

TEST(Silence, IdleSessionsAreQuiet) {
    World w(10);
    ASSERT_TRUE(w.connect());
    w.run_for(2s);
    const std::uint64_t before = w.sides[0].frames + w.sides[1].frames;
    w.run_for(10s);
    // One keep-alive and its acknowledgement per second and side, at most.
    EXPECT_LE(w.sides[0].frames + w.sides[1].frames - before, 44u);
    EXPECT_GE(w.sides[0].frames + w.sides[1].frames - before, 10u);
}

TEST(Goodbye, ClosesBothSidesWithTheReason) {
    World w(11);
    ASSERT_TRUE(w.connect());
    Port p;
    ASSERT_EQ(w.initiator().bind(p.start(), {}, w.now), Status::ok);
    w.target().close(Status::canceled, w.now);
    EXPECT_EQ(w.target().state(), SessionState::closed);
    ASSERT_TRUE(w.run_until([&] { return w.initiator().state() == SessionState::closed; }, 1s));
    EXPECT_EQ(w.initiator().why(), Status::canceled);
    EXPECT_FALSE(w.initiator().wants_to_send(w.now));
    EXPECT_FALSE(w.target().wants_to_send(w.now));
    Port q({5, 1});
    EXPECT_EQ(w.initiator().bind(q.start(), {}, w.now), Status::unreachable);
    w.initiator().unbind(*p.function, Status::ok, w.now);
    EXPECT_TRUE(p.endpoint.events.empty()) << "the function can go on with another session";
}

// --- frames that are dropped

struct Captured {
    explicit Captured(std::uint64_t seed) : w(seed) {
        EXPECT_TRUE(w.connect());
        w.run_for(20ms);
        w.tap = [this](unsigned from, PathId, std::span<std::byte> f) {
            if (from == 0) frame.assign(f.begin(), f.end());
            return from != 0;
        };
        w.initiator().send_list(1);
        w.run_for(1us);
        w.tap = nullptr;
        EXPECT_FALSE(frame.empty());
    }
    std::uint64_t dropped(Drop d, const std::function<void(std::vector<std::byte>&)>& change, bool reseal = true,
                          PathId path = 0) {
        auto copy = frame;
        change(copy);
        if (reseal) ClearSeal{}.seal(copy, 0);
        const std::uint64_t before = drops(w.target(), d);
        w.target().on_frame(copy, path, w.now);
        return drops(w.target(), d) - before;
    }
    World w;
    std::vector<std::byte> frame;
};

TEST(Frames, BadOnesAreCountedByReason) {
    Captured c(12);
    EXPECT_EQ(c.dropped(
                  Drop::frame_short, [](auto& f) { f.resize(27); }, false),
              1u);
    EXPECT_EQ(c.dropped(Drop::frame_version, [](auto& f) { f[0] = std::byte{9}; }), 1u);
    EXPECT_EQ(c.dropped(Drop::frame_flags, [](auto& f) { f[1] = std::byte{0x80}; }), 1u);
    EXPECT_EQ(c.dropped(Drop::frame_flags, [](auto& f) { f[1] = std::byte{FL_FRAME_KEY_PHASE}; }), 1u)
        << "keys are not in use";
    EXPECT_EQ(c.dropped(Drop::frame_length, [](auto& f) { f[2] ^= std::byte{0x40}; }), 1u);
    EXPECT_EQ(c.dropped(Drop::frame_session, [](auto& f) { f[4] ^= std::byte{1}; }), 1u);
    EXPECT_EQ(c.dropped(Drop::frame_path, [](auto& f) { f[16] = std::byte{3}; }), 1u);
    EXPECT_EQ(c.dropped(
                  Drop::frame_path, [](auto&) {}, true, 4),
              1u)
        << "not the path it came on";
    EXPECT_EQ(c.dropped(
                  Drop::frame_crc, [](auto& f) { f[40] ^= std::byte{1}; }, false),
              1u);
    EXPECT_TRUE(c.w.sides[1].owner.lists.empty());
    EXPECT_EQ(c.dropped(Drop::packet_duplicate, [](auto&) {}), 0u);
    EXPECT_EQ(c.w.sides[1].owner.lists.size(), 1u) << "none of the bad ones counted as received";
    EXPECT_EQ(c.dropped(Drop::packet_duplicate, [](auto&) {}), 1u);
    EXPECT_EQ(c.w.sides[1].owner.lists.size(), 1u);
    EXPECT_EQ(c.w.target().state(), SessionState::open);
    // A bad record in a good frame: the packet has arrived, the record is gone.
    Captured d(13);
    EXPECT_EQ(d.dropped(Drop::record_family, [](auto& f) { f[24] = std::byte{77}; }), 1u);
    EXPECT_EQ(d.dropped(Drop::packet_duplicate, [](auto&) {}), 1u);
    EXPECT_TRUE(d.w.sides[1].owner.lists.empty());
}

TEST(Frames, AcknowledgementOfWhatWasNeverSentClosesTheSession) {
    World w(13);
    ASSERT_TRUE(w.connect());
    w.run_for(20ms);
    std::array<std::byte, 128> out;
    FrameWriter f;
    f.begin(out, w.target().session_id(), 0, 5000, 0, 0, FL_FRAME_CRC_BYTES);
    AckRecord a;
    a.largest = 4000;
    a.first_length = 1;
    ASSERT_TRUE(f.ack(a, {}));
    const std::size_t n = f.finish();
    ClearSeal{}.seal(std::span(out).first(n), 5000);
    w.target().on_frame(std::span(out).first(n), 0, w.now);
    EXPECT_EQ(w.target().state(), SessionState::closed);
    EXPECT_EQ(w.target().why(), Status::protocol);
    EXPECT_EQ(drops(w.target(), Drop::ack_impossible), 1u);
    ASSERT_TRUE(w.run_until([&] { return w.initiator().state() == SessionState::closed; }, 1s)) << "it is told why";
    EXPECT_EQ(w.initiator().why(), Status::protocol);
}

// --- the table of control records

TEST(ControlTable, EveryPair) {
    using V = Verdict;
    constexpr V T = V::take, I = V::ignore, C = V::close;
    struct Row {
        std::uint8_t type;
        V initiating_hello, initiating_open, accepting_hello, accepting_open;
    };
    constexpr Row rows[] = {
        {0, I, C, C, C},
        {FL_CONTROL_HELLO, I, C, C, C},
        {FL_CONTROL_HELLO_ACK, T, T, C, C},
        {FL_CONTROL_HELLO_REJECT, T, T, C, C},
        {FL_CONTROL_KEEPALIVE, I, T, T, T},
        {FL_CONTROL_PROBE, I, T, T, T},
        {FL_CONTROL_BYE, T, T, T, T},
        {FL_CONTROL_LIST, I, C, T, T},
        {FL_CONTROL_LIST_REPLY, I, T, C, C},
        {FL_CONTROL_ATTACH, I, C, T, T},
        {FL_CONTROL_ATTACH_REPLY, I, T, C, C},
        {FL_CONTROL_DETACH, I, T, T, T},
        {FL_CONTROL_DETACH_REPLY, I, T, T, T},
        {FL_CONTROL_EVENT, I, T, C, C},
        {FL_CONTROL_KEY_PHASE, I, C, C, C},
        {15, I, C, C, C},
        {255, I, C, C, C},
    };
    for (const Row& r : rows) {
        SCOPED_TRACE(int{r.type});
        EXPECT_EQ(control_verdict(true, SessionState::hello, r.type), r.initiating_hello);
        EXPECT_EQ(control_verdict(false, SessionState::hello, r.type), r.accepting_hello);
        for (const SessionState s : {SessionState::open, SessionState::silent}) {
            EXPECT_EQ(control_verdict(true, s, r.type), r.initiating_open);
            EXPECT_EQ(control_verdict(false, s, r.type), r.accepting_open);
        }
        for (const SessionState s : {SessionState::idle, SessionState::closed})
            for (const bool initiating : {true, false}) EXPECT_EQ(control_verdict(initiating, s, r.type), I);
    }
}

TEST(ControlTable, StateEdges) {
    using S = SessionState;
    const std::set<std::pair<S, S>> edges{{S::idle, S::hello},  {S::hello, S::open},   {S::open, S::silent},
                                          {S::silent, S::open}, {S::idle, S::closed},  {S::hello, S::closed},
                                          {S::open, S::closed}, {S::silent, S::closed}};
    for (const S from : {S::idle, S::hello, S::open, S::silent, S::closed})
        for (const S to : {S::idle, S::hello, S::open, S::silent, S::closed})
            EXPECT_EQ(may_enter(from, to), edges.contains({from, to}));
}

// The same through frames: what the table forbids ends the session with a reason.
TEST(ControlTable, ImpossibleRecordsCloseTheSession) {
    struct Case {
        unsigned to;
        std::uint8_t type;
        bool closes;
    };
    for (const Case c : {Case{0, FL_CONTROL_LIST, true}, Case{1, FL_CONTROL_LIST, false},
                         Case{1, FL_CONTROL_HELLO_REJECT, true}, Case{0, FL_CONTROL_KEEPALIVE, false}}) {
        World w(14);
        ASSERT_TRUE(w.connect());
        std::array<std::byte, 128> out;
        FrameWriter f;
        Session& s = *w.sides[c.to].session;
        f.begin(out, s.session_id(), 0, 5000, 0, 0, FL_FRAME_CRC_BYTES);
        const bool written = c.type == FL_CONTROL_KEEPALIVE
                                 ? f.control(c.type, 0, fl_control{})
                                 : f.control(c.type, c.type == FL_CONTROL_LIST ? 1 : 0, fl_control_status{});
        ASSERT_TRUE(written);
        const std::size_t n = f.finish();
        ClearSeal{}.seal(std::span(out).first(n), 5000);
        s.on_frame(std::span(out).first(n), 0, w.now);
        EXPECT_EQ(s.state() == SessionState::closed, c.closes) << int{c.type};
        EXPECT_EQ(s.why(), c.closes ? Status::protocol : Status::ok);
    }
}

// --- control stream

TEST(Control, ReliableAndInOrderOverABadLink) {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        World w(seed);
        w.wires[0].faults = {
            .loss = 0.3, .duplicate = 0.1, .reorder = 0.3, .corrupt = 0.05, .delay = 1ms, .jitter = 2ms};
        ASSERT_TRUE(w.connect());
        for (std::uint32_t i = 1; i <= 200; ++i) w.initiator().send_list(i);
        for (unsigned i = 0; i < 100; ++i) w.target().send_list_reply(1, i, 100, description("fn"));
        ASSERT_TRUE(w.run_until(
            [&] { return w.sides[1].owner.lists.size() == 200 && w.sides[0].owner.list_replies.size() == 100; }, 60s));
        for (std::uint32_t i = 0; i < 200; ++i) EXPECT_EQ(w.sides[1].owner.lists[i], i + 1);
        for (unsigned i = 0; i < 100; ++i) EXPECT_EQ(std::get<0>(w.sides[0].owner.list_replies[i]), i);
    }
}

TEST(Control, AttachCarriesEverything) {
    World w(15);
    ASSERT_TRUE(w.connect());
    AttachRequest r;
    r.request = 7;
    r.name = "accel0";
    r.resume = r.origin_lost = true;
    r.handle = {4, 9};
    r.released = {1, 2, 3};
    r.completion_timeout = 1500ms;
    r.lease_epoch = 12;
    w.initiator().send_attach(r);
    ASSERT_TRUE(w.run_until([&] { return !w.sides[1].owner.attaches.empty(); }, 1s));
    const AttachRequest& got = w.sides[1].owner.attaches[0];
    EXPECT_EQ(got.request, 7u);
    EXPECT_EQ(got.name, "accel0");
    EXPECT_TRUE(got.resume && got.origin_lost);
    EXPECT_EQ(got.handle, (FunctionHandle{4, 9}));
    EXPECT_EQ(got.released, r.released);
    EXPECT_EQ(got.completion_timeout, 1500ms);
    EXPECT_EQ(got.lease_epoch, 12u);

    AttachReply reply;
    reply.request = 7;
    reply.handle = {4, 9};
    reply.kept = true;
    reply.released = {4, 5, 6};
    reply.desc = description("accel0");
    w.target().send_attach_reply(reply);
    w.target().send_detach(8, {4, 9}, Status::device_lost);
    w.target().send_detach_reply(9, {4, 9}, Status::ok);
    w.target().send_event(FL_EVENT_ADDED, {}, description("nvme0"));
    ASSERT_TRUE(w.run_until([&] { return !w.sides[0].owner.events.empty(); }, 1s));
    const AttachReply& back = w.sides[0].owner.attach_replies[0];
    EXPECT_EQ(back.status, Status::ok);
    EXPECT_TRUE(back.kept && !back.origin_lost);
    EXPECT_EQ(back.released, reply.released);
    EXPECT_EQ(read_name(back.desc.name), "accel0");
    EXPECT_EQ(w.sides[0].owner.detaches, std::vector<std::uint32_t>{8});
    EXPECT_EQ(w.sides[0].owner.detach_replies, std::vector<std::uint32_t>{9});
    EXPECT_EQ(w.sides[0].owner.events, std::vector<unsigned>{FL_EVENT_ADDED});
}

// The attach reply tells the target's credits: the initiator's first write leaves in the next
// frame, it does not wait for a credit record.
TEST(Control, AttachReplyGivesCredits) {
    World w(16);
    w.wires[0].faults.delay = 1ms;
    Port a, b;
    w.sides[1].owner.on_attach_do = [&](Session& s, const AttachRequest& r) {
        EXPECT_EQ(s.bind(b.start(), {}, w.now), Status::ok);
        AttachReply reply;
        reply.request = r.request;
        reply.handle = {3, 1};
        reply.desc = description("fn");
        s.send_attach_reply(reply);
    };
    const std::uint64_t value = 3;
    Time sent{};
    w.sides[0].owner.on_attach_reply_do = [&](Session& s, const AttachReply&) {
        EXPECT_EQ(s.bind(a.start(), {}, w.now), Status::ok);
        EXPECT_EQ(a.function->submit(write_tlp(0, 8), std::as_bytes(std::span(&value, 1)), 0, false, w.now),
                  Status::ok);
        sent = w.now;
    };
    ASSERT_TRUE(w.connect());
    w.initiator().send_attach({.request = 1, .name = "fn"});
    ASSERT_TRUE(w.run_until([&] { return b.endpoint.posted == 1; }, 1s));
    EXPECT_LE(w.now - sent, 1100us);
}

// --- resends

// Requests that are not answered are sent again at most 1.5 round trips apart, eight times.
TEST(Time, RequestsAreRepeatedWithin1500PermilleOfTheRoundTrip) {
    World w(17);
    w.wires[0].faults.delay = 10ms;
    ASSERT_TRUE(w.connect());
    Port a, b;
    ASSERT_EQ(w.target().bind(b.start(), {}, w.now), Status::ok);
    ASSERT_EQ(w.initiator().bind(a.start(), {}, w.now), Status::ok);
    std::array<std::byte, 8> into{};
    for (std::uint64_t i = 0; i < 20; ++i) {
        ASSERT_EQ(a.function->request(read_tlp(0, 8), {}, into, i, w.now), Status::ok);
        ASSERT_TRUE(w.run_until([&] { return a.endpoint.completions == i + 1; }, 1s));
    }
    w.run_for(100ms);
    std::vector<Time> sent;
    w.tap = [&](unsigned from, PathId, std::span<std::byte> frame) {
        Header h;
        EXPECT_EQ(parse_header(frame, h), kNoDrop);
        RecordReader reader(records_of(frame, h));
        Record r;
        while (reader.next(r) == Next::record)
            if (from == 0 && r.family == FL_FAMILY_TLP) sent.push_back(w.now);
        return from != 0;
    };
    ASSERT_EQ(a.function->request(read_tlp(0, 8), {}, into, 99, w.now), Status::ok);
    w.run_for(2s);
    ASSERT_GE(sent.size(), 9u);
    for (std::size_t i = 1; i <= 8; ++i) EXPECT_LE(sent[i] - sent[i - 1], 31ms) << i;
    for (std::size_t i = 9; i < sent.size(); ++i) EXPECT_LE(sent[i] - sent[i - 1], 101ms) << i;
}

}  // namespace
}  // namespace farlane::proto::sim
