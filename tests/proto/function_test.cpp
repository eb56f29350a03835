// SPDX-License-Identifier: Apache-2.0
// One function: event -> expectation. Credits, answers of all kinds, completion timeout and
// quarantine, what is refused. docs/wire.md, "Function".
#include <gtest/gtest.h>

#include "proto/bound.hpp"

namespace farlane::proto::sim {
namespace {

// --- answers

TEST(Request, AnswersOfAllKinds) {
    Bound x;
    x.b.endpoint.ram[0] = std::byte{17};
    ASSERT_EQ(x.read(1), Status::ok);  // done
    x.b.endpoint.fetch_longer_than = 100;
    ASSERT_EQ(x.read(2, 4096), Status::ok);  // by fetch, in fragments at this frame size
    ASSERT_TRUE(x.until([&] { return x.a.endpoint.completions == 2; }));
    EXPECT_EQ(x.a.endpoint.completed.at(1), Status::ok);
    EXPECT_EQ(x.a.endpoint.completed.at(2), Status::ok);
    EXPECT_EQ(x.into[0], std::byte{17});
    EXPECT_GE(x.b.endpoint.fetches, 1u);
    // Errors of the device, as a driver may see them.
    const std::pair<Status, Status> codes[] = {{Status::unsupported_request, Status::unsupported_request},
                                               {Status::out_of_bounds, Status::unsupported_request},
                                               {Status::config_retry, Status::config_retry},
                                               {Status::io, Status::completer_abort},
                                               {Status::device_lost, Status::completer_abort}};
    std::uint64_t cookie = 10;
    for (const auto& [said, seen] : codes) {
        x.b.endpoint.on_request_do = [s = said](Function&, const Tlp&, std::span<const std::byte>, RequestId,
                                                std::span<std::byte>, Status& status) {
            status = s;
            return Answer::done;
        };
        ASSERT_EQ(x.read(++cookie, 4), Status::ok);
        ASSERT_TRUE(x.until([&] { return x.a.endpoint.completed.contains(cookie); }));
        EXPECT_EQ(x.a.endpoint.completed.at(cookie), seen);
        for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(x.into[i], std::byte{0xff});
    }
    x.expect_clean();
}

TEST(Request, LaterAnswersInAnyOrder) {
    Bound x;
    std::vector<RequestId> ids;
    x.b.endpoint.on_request_do = [&](Function&, const Tlp&, std::span<const std::byte>, RequestId id,
                                     std::span<std::byte> result, Status&) {
        ids.push_back(id);
        result[0] = static_cast<std::byte>(ids.size());
        return Answer::later;
    };
    std::array<std::array<std::byte, 8>, 5> into{};
    for (std::uint64_t i = 0; i < 5; ++i)
        ASSERT_EQ(x.a.function->request(read_tlp(0, 8), {}, into[i], i, x.w.now), Status::ok);
    ASSERT_TRUE(x.until([&] { return ids.size() == 5; }));
    std::vector<std::uint64_t> order;
    x.a.endpoint.on_completion_do = [&](Function&, std::uint64_t cookie, Status) { order.push_back(cookie); };
    for (const unsigned i : {3u, 0u, 4u, 1u, 2u}) {
        x.b.function->answer(ids[i], Status::ok, x.w.now);
        x.b.function->answer(ids[i], Status::io, x.w.now);  // a second answer means nothing
        ASSERT_TRUE(x.until([&] { return !order.empty() && order.back() == i; }));
        EXPECT_EQ(into[i][0], static_cast<std::byte>(i + 1));
    }
    x.b.function->answer({999, 1}, Status::ok, x.w.now);
    x.b.function->answer({0, 77}, Status::ok, x.w.now);
    x.w.run_for(10ms);
    EXPECT_EQ(order.size(), 5u);
    x.expect_clean();
}

TEST(Request, ConfigurationAndAtomics) {
    Bound x;
    Tlp t;
    t.type = TlpType::config_write;
    t.address = 4;
    t.length_bytes = 4;
    std::vector<std::byte> seen;
    x.b.endpoint.on_request_do = [&](Function&, const Tlp& tlp, std::span<const std::byte> payload, RequestId,
                                     std::span<std::byte> result, Status&) {
        seen.assign(payload.begin(), payload.end());
        EXPECT_EQ(result.size(), tlp.type == TlpType::config_write ? 0u : 8u);
        if (!result.empty()) result[0] = std::byte{9};
        return Answer::done;
    };
    ASSERT_EQ(x.a.function->request(t, {x.data.data(), 4}, {}, 1, x.w.now), Status::ok);
    ASSERT_TRUE(x.until([&] { return x.a.endpoint.completions == 1; }));
    EXPECT_EQ(seen.size(), 4u);
    EXPECT_EQ(x.a.endpoint.completed.at(1), Status::ok);
    t.type = TlpType::compare_swap;
    t.address = 8;
    t.length_bytes = 16;
    ASSERT_EQ(x.a.function->request(t, {x.data.data(), 16}, {x.into.data(), 8}, 2, x.w.now), Status::ok);
    ASSERT_TRUE(x.until([&] { return x.a.endpoint.completions == 2; }));
    EXPECT_EQ(seen.size(), 16u);
    EXPECT_EQ(x.into[0], std::byte{9});
}

TEST(Submit, RefusesWhatMustNotBeSent) {
    Bound x;
    EXPECT_EQ(x.a.function->submit(read_tlp(0, 8), {}, 0, false, x.w.now), Status::invalid);
    EXPECT_EQ(x.a.function->submit(write_tlp(0, 8), {x.data.data(), 7}, 0, false, x.w.now), Status::invalid);
    EXPECT_EQ(x.a.function->submit(write_tlp(0, 5000), {x.data.data(), 4096}, 0, false, x.w.now), Status::invalid);
    EXPECT_EQ(x.a.function->submit(write_tlp(~0ull, 8), {x.data.data(), 8}, 0, false, x.w.now), Status::invalid);
    EXPECT_EQ(x.a.function->request(write_tlp(0, 8), {}, {}, 0, x.w.now), Status::invalid);
    EXPECT_EQ(x.a.function->request(read_tlp(0, 8), {}, {x.into.data(), 4}, 0, x.w.now), Status::invalid);
    Tlp odd = read_tlp(0, 8);
    odd.attr = FL_ATTR_FRAGMENT;
    EXPECT_EQ(x.a.function->request(odd, {}, {x.into.data(), 8}, 0, x.w.now), Status::invalid);
    EXPECT_EQ(x.a.function->posted_submitted(), 0u);
}

TEST(Submit, ShortPayloadsAreCopiedLongOnesAreReadWhenSent) {
    Bound x;
    std::vector<std::byte> source(65, std::byte{1});
    ASSERT_EQ(x.a.function->submit(write_tlp(0, 64), {source.data(), 64}, 0, false, x.w.now), Status::ok);
    ASSERT_EQ(x.a.function->submit(write_tlp(100, 65), source, 0, false, x.w.now), Status::ok);
    source.assign(65, std::byte{2});
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
    EXPECT_EQ(x.b.endpoint.ram[0], std::byte{1});
    EXPECT_EQ(x.b.endpoint.ram[100], std::byte{2});
}

// --- credits

TEST(Credits, ExhaustedHeadersHoldTheSenderNotTheOthers) {
    Bound x(2, {}, {.posted_window = 8});
    // Nothing is executed while the link to the initiator is cut: no more than 8 arrive.
    x.w.tap = [](unsigned from, PathId, std::span<std::byte>) { return from == 0; };
    for (unsigned i = 0; i < 100; ++i) ASSERT_EQ(x.write(i * 8, 8, false, i + 1), Status::ok);
    ASSERT_EQ(x.read(1), Status::ok);
    x.w.run_for(50ms);
    EXPECT_LE(x.b.endpoint.posted, 16u) << "at most what was granted since";
    x.w.tap = nullptr;
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained() && x.a.endpoint.completions == 1; }));
    EXPECT_EQ(x.b.endpoint.posted, 100u);
    EXPECT_EQ(x.a.endpoint.released.size(), 100u);
    EXPECT_EQ(x.drops(1, Drop::sequence_beyond), 0u);
    x.expect_clean();
}

TEST(Credits, DataLimitHoldsStrictWritesOnly) {
    for (const bool relaxed : {false, true}) {
        Bound x(3, {}, {.posted_window = 1024, .reorder_bytes = 16384});
        // The first record is lost again and again: what follows has to be kept.
        bool first_lost = true;
        x.w.tap = [&](unsigned from, PathId, std::span<std::byte> frame) {
            if (from != 0 || !first_lost) return true;
            Header h;
            EXPECT_EQ(parse_header(frame, h), kNoDrop);
            RecordReader reader(records_of(frame, h));
            Record r;
            while (reader.next(r) == Next::record)
                if (r.family == FL_FAMILY_TLP && r.tlp.tlp.sequence == 1) return false;
            return true;
        };
        ASSERT_EQ(x.write(0, 8), Status::ok);
        x.w.run_for(10us);
        for (unsigned i = 0; i < 64; ++i) ASSERT_EQ(x.write(i * 4096, 4096, relaxed), Status::ok);
        x.w.run_for(300ms);
        EXPECT_EQ(x.b.endpoint.posted, 0u);
        const std::uint64_t sent = x.a.function->counters().sent[0] - x.a.function->counters().resent[0];
        if (relaxed)
            EXPECT_GE(sent, 64u) << "relaxed writes need no room at the receiver";
        else
            EXPECT_LE(sent, 4u * 5 + 5) << "4 records of 4 KiB in 5 fragments each, and the small one";
        first_lost = false;
        ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
        EXPECT_EQ(x.drops(1, Drop::sequence_beyond), 0u);
        x.expect_clean();
    }
}

TEST(Credits, PeerWithoutCreditsGetsNothing) {
    World w(4);
    ASSERT_TRUE(w.connect());
    Port a, b;
    ASSERT_EQ(w.initiator().bind(a.start(), {}, w.now), Status::ok);
    const std::uint64_t value = 1;
    ASSERT_EQ(a.function->submit(write_tlp(0, 8), std::as_bytes(std::span(&value, 1)), 0, false, w.now), Status::ok);
    w.run_for(2s);
    EXPECT_EQ(a.function->counters().sent[0], 0u) << "nobody has granted anything";
    EXPECT_EQ(w.initiator().state(), SessionState::open);
    // Whoever binds late has missed nothing.
    ASSERT_EQ(w.target().bind(b.start(), {}, w.now), Status::ok);
    ASSERT_TRUE(w.run_until([&] { return a.function->posted_drained(); }, 1s));
    EXPECT_EQ(b.endpoint.posted, 1u);
}

TEST(Credits, RequestsNeverExceedTheResultSlots) {
    Bound x(5, {.request_window = 1024});
    std::vector<RequestId> ids;
    x.b.endpoint.on_request_do = [&](Function&, const Tlp&, std::span<const std::byte>, RequestId id,
                                     std::span<std::byte>, Status&) {
        ids.push_back(id);
        return Answer::later;
    };
    for (std::uint64_t i = 0; i < 1024; ++i) ASSERT_EQ(x.read(i, 4), Status::ok);
    EXPECT_EQ(x.read(9999, 4), Status::would_block);
    EXPECT_EQ(x.a.function->room(RecordClass::non_posted), 0u);
    x.w.run_for(100ms);
    EXPECT_EQ(ids.size(), kRequestWindow);
    std::size_t answered = 0;
    ASSERT_TRUE(x.until([&] {
        while (answered < ids.size()) x.b.function->answer(ids[answered++], Status::ok, x.w.now);
        return x.a.endpoint.completions == 1024;
    }));
    EXPECT_EQ(x.b.endpoint.requests, 1024u);
    EXPECT_EQ(x.drops(1, Drop::sequence_beyond), 0u);
    x.expect_clean();
}

TEST(Credits, ReadPingPongCarriesNoCreditRecords) {
    Bound x(6);
    unsigned credits = 0, frames = 0;
    x.w.tap = [&](unsigned, PathId, std::span<std::byte> frame) {
        Header h;
        EXPECT_EQ(parse_header(frame, h), kNoDrop);
        RecordReader reader(records_of(frame, h));
        Record r;
        while (reader.next(r) == Next::record) credits += r.family == FL_FAMILY_CREDIT;
        ++frames;
        return true;
    };
    x.w.wires[0].faults.delay = 2us;
    for (std::uint64_t i = 0; i < 500; ++i) {
        ASSERT_EQ(x.read(i), Status::ok);
        ASSERT_TRUE(x.until([&] { return x.a.endpoint.completions == i + 1; }));
    }
    EXPECT_LE(frames, 1000u + 60) << "two frames per read, acknowledgements ride along";
    EXPECT_LE(credits, 60u);
}

TEST(Credits, GoingBackwardsIsIgnored) {
    Bound x(7);
    for (unsigned i = 0; i < 20; ++i) ASSERT_EQ(x.write(0, 8), Status::ok);
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
    const auto send = [&](std::uint64_t released) {
        std::array<std::byte, 256> out;
        FrameWriter f;
        const std::uint64_t number = 20'000 + x.injected++;
        f.begin(out, x.w.initiator().session_id(), 0, number, 0, 0, FL_FRAME_CRC_BYTES);
        CreditRecord c;
        c.handle = {3, 1};
        c.released[0] = released;
        ASSERT_TRUE(f.credit(c));
        const std::size_t n = f.finish();
        ClearSeal{}.seal(std::span(out).first(n), number);
        x.w.initiator().on_frame(std::span(out).first(n), 0, x.w.now);
    };
    send(3);
    send(21);  // released what was never submitted
    EXPECT_EQ(x.drops(0, Drop::credit_backwards), 2u);
    EXPECT_EQ(x.a.function->posted_released(), 20u);
    EXPECT_EQ(x.a.function->room(RecordClass::posted), FunctionLimits{}.posted_window);
}

TEST(Credits, HurryBringsTheReleaseInARoundTrip) {
    Bound x(8);
    x.w.wires[0].faults.delay = 5ms;
    ASSERT_EQ(x.write(0, 8, false, 1), Status::ok);
    const Time start = x.w.now;
    x.a.function->hurry();
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
    EXPECT_LE(x.w.now - start, 11ms);
}

TEST(Credits, HurryBesideAnAnswerBringsTheRelease) {
    Bound x(9);
    ASSERT_EQ(x.write(0, 8), Status::ok);
    ASSERT_EQ(x.read(1), Status::ok);
    x.a.function->hurry();
    const Time start = x.w.now;
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
    EXPECT_LE(x.w.now - start, 150us) << "a round trip of 100 us; the credits go with the answer";
    EXPECT_EQ(x.a.endpoint.completions, 1u);
}

TEST(Credits, HurryIsAskedBehindAllThatIsThere) {
    Bound x(10);
    x.w.wires[0].faults.bytes_per_us = 100;
    for (unsigned i = 0; i < 15; ++i) ASSERT_EQ(x.write(i * 4096, 4000), Status::ok);
    for (unsigned i = 0; i < 15; ++i) ASSERT_EQ(x.write(0, 8), Status::ok);
    x.a.function->hurry();
    unsigned keepalives = 0;
    bool behind = false;
    x.w.tap = [&](unsigned from, PathId, std::span<std::byte> frame) {
        Header h;
        EXPECT_EQ(parse_header(frame, h), kNoDrop);
        RecordReader reader(records_of(frame, h));
        Record r;
        while (from == 0 && reader.next(r) == Next::record) {
            if (r.family == FL_FAMILY_TLP) behind = r.tlp.tlp.sequence == 30;
            if (r.family != FL_FAMILY_CONTROL) continue;
            ++keepalives;
            EXPECT_TRUE(behind);
        }
        return true;
    };
    const Time start = x.w.now;
    ASSERT_TRUE(x.until([&] { return x.a.function->posted_drained(); }));
    EXPECT_LE(x.w.now - start, 1ms) << "60,000 bytes need 600 us, and a round trip of 100 us";
    EXPECT_EQ(keepalives, 1u);
}

TEST(Credits, SmallWindowsDoNotWaitForTheTimer) {
    struct Case {
        FunctionLimits host, device;
        std::array<std::uint16_t, 2> bytes;  // of the writes, in turn
        Duration bound;                      // what it takes when no credit waits for others
    };
    const std::array<Case, 6> cases{{{{}, {.posted_window = 1}, {8, 8}, 8ms},
                                     {{}, {.posted_window = 2}, {8, 8}, 4ms},
                                     {{.posted_window = 1}, {}, {8, 8}, 8ms},
                                     {{.posted_window = 2}, {}, {8, 8}, 4ms},
                                     {{.posted_window = 8}, {}, {8, 8}, 1ms},
                                     {{}, {.reorder_bytes = 4096 + 512}, {600, 4096}, 7200us}}};
    for (const Case& c : cases) {
        SCOPED_TRACE(&c - cases.data());
        Bound x(20, c.host, c.device);
        const Function& host = *x.a.function;
        const Time start = x.w.now;
        for (unsigned written = 0; written < 64 || !host.posted_drained();) {
            while (written < 64 && x.write(0, c.bytes[written % 2]) == Status::ok) ++written;
            ASSERT_TRUE(x.until(
                [&] { return host.posted_drained() || (written < 64 && host.room(RecordClass::posted) != 0); }));
        }
        EXPECT_LE(x.w.now - start, c.bound);
        x.expect_clean();
    }
}

// --- completion timeout

TEST(Timeout, AllOnesEventAndQuarantine) {
    const FunctionLimits l{.completion_timeout = 300ms, .completion_timeout_max = 1s};
    Bound x(9, l);
    x.w.wires[0].faults.down = true;
    ASSERT_EQ(x.read(1), Status::ok);
    const Time asked = x.w.now;
    ASSERT_TRUE(x.until([&] { return x.a.endpoint.completions == 1; }));
    EXPECT_GE(x.w.now - asked, 300ms);
    EXPECT_LE(x.w.now - asked, 310ms) << "base + 16 round trips";
    EXPECT_EQ(x.a.endpoint.completed.at(1), Status::timeout);
    for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(x.into[i], std::byte{0xff});
    EXPECT_EQ(x.a.endpoint.events, (std::vector{FunctionEvent::timeout, FunctionEvent::quarantined}));
    EXPECT_EQ(x.a.function->counters().timeouts, 1u);
    // A loop that polls does not add timeouts up.
    x.into.assign(8, std::byte{});
    EXPECT_EQ(x.read(2), Status::timeout);
    EXPECT_EQ(x.into[0], std::byte{0xff});
    EXPECT_EQ(x.a.function->room(RecordClass::non_posted), 0u);
    EXPECT_EQ(x.write(0, 8), Status::ok) << "posted writes wait";
    x.w.wires[0].faults.down = false;
    ASSERT_TRUE(x.until([&] { return x.a.endpoint.events.back() == FunctionEvent::answering; }));
    ASSERT_EQ(x.read(3), Status::ok);
    ASSERT_TRUE(x.until([&] { return x.a.endpoint.completed.contains(3); }));
    EXPECT_EQ(x.a.endpoint.completed.at(3), Status::ok);
    x.expect_clean();
}

TEST(Timeout, OneRequestWithoutAnswerDoesNotStopTheOthers) {
    const FunctionLimits l{.completion_timeout = 200ms, .completion_timeout_max = 1s};
    Bound x(10, l);
    RequestId silent{};
    x.b.endpoint.on_request_do = [&](Function&, const Tlp& t, std::span<const std::byte>, RequestId id,
                                     std::span<std::byte> result, Status&) {
        if (t.address == 0) {
            silent = id;
            return Answer::later;
        }
        result[0] = std::byte{7};
        return Answer::done;
    };
    ASSERT_EQ(x.read(1), Status::ok);
    for (std::uint64_t i = 0; i < 20; ++i) {
        std::array<std::byte, 8> other{};
        ASSERT_EQ(x.a.function->request(read_tlp(64, 8), {}, other, 100 + i, x.w.now), Status::ok);
        ASSERT_TRUE(x.until([&] { return x.a.endpoint.completed.contains(100 + i); }));
        EXPECT_EQ(other[0], std::byte{7});
    }
    ASSERT_TRUE(x.until([&] { return x.a.endpoint.completed.contains(1); }));
    EXPECT_EQ(x.a.endpoint.completed.at(1), Status::timeout);
    // The late answer finds nobody.
    x.b.function->answer(silent, Status::ok, x.w.now);
    ASSERT_TRUE(x.until([&] { return x.drops(0, Drop::completion_unexpected) == 1; }));
    x.w.run_for(50ms);
    EXPECT_EQ(x.a.endpoint.completions, 21u);
    ASSERT_EQ(x.read(2, 4), Status::ok);
    x.b.endpoint.on_request_do = nullptr;
    x.w.run_for(50ms);
    x.expect_clean();
}

// Requests that time out again and again, never executed, must not use the table up for ever.
TEST(Timeout, TableComesBack) {
    const FunctionLimits l{.request_window = 16, .completion_timeout = 100ms, .completion_timeout_max = 100ms};
    Bound x(11, l);
    x.b.endpoint.on_request_do = [](Function&, const Tlp&, std::span<const std::byte>, RequestId, std::span<std::byte>,
                                    Status&) { return Answer::later; };
    std::uint64_t cookie = 0;
    for (unsigned round = 0; round < 5; ++round) {
        while (x.read(++cookie, 4) == Status::ok) {
        }
        x.w.run_for(300ms);
        EXPECT_EQ(x.a.function->room(RecordClass::non_posted), 16u) << round;
    }
    EXPECT_EQ(x.a.function->counters().timeouts, 5u * 16);
    x.expect_clean();
}

TEST(Timeout, UnboundFunctionKeepsTime) {
    Bound x(12, {.completion_timeout = 100ms, .completion_timeout_max = 100ms});
    x.w.wires[0].faults.down = true;
    ASSERT_EQ(x.read(1), Status::ok);
    const Time asked = x.w.now;
    x.w.initiator().unbind(*x.a.function, Status::ok, x.w.now);
    EXPECT_EQ(x.a.function->next_timer(), asked + 100ms);
    x.a.function->on_timer(asked + 99ms);
    EXPECT_EQ(x.a.endpoint.completions, 0u);
    x.a.function->on_timer(asked + 100ms);
    EXPECT_EQ(x.a.endpoint.completed.at(1), Status::timeout);
    EXPECT_EQ(x.a.function->next_timer(), kNever);
}

// --- the end

TEST(Unbind, LostCompletesWhatIsOutstanding) {
    Bound x(13);
    x.w.wires[0].faults.down = true;
    ASSERT_EQ(x.read(1), Status::ok);
    ASSERT_EQ(x.write(0, 8, false, 2), Status::ok);
    x.w.initiator().unbind(*x.a.function, Status::device_lost, x.w.now);
    EXPECT_EQ(x.a.endpoint.completed.at(1), Status::device_lost);
    EXPECT_EQ(x.into[0], std::byte{0xff});
    EXPECT_EQ(x.a.endpoint.events, std::vector{FunctionEvent::lost});
    EXPECT_TRUE(x.a.endpoint.released.empty());
    EXPECT_EQ(x.read(2), Status::device_lost);
    EXPECT_EQ(x.write(0, 8), Status::device_lost);
    EXPECT_EQ(x.a.function->session(), nullptr);
}

// A handler may take its function away while it is called.
TEST(Unbind, FromWithinAHandler) {
    Bound x(14);
    x.b.endpoint.on_posted_do = [&](Function& f, const Tlp&, std::span<const std::byte>) {
        if (f.session() != nullptr) f.session()->unbind(f, Status::ok, x.w.now);
    };
    for (unsigned i = 0; i < 10; ++i) ASSERT_EQ(x.write(0, 8), Status::ok);
    x.w.run_for(50ms);
    EXPECT_EQ(x.b.endpoint.posted, 1u);
    EXPECT_EQ(x.w.target().state(), SessionState::open);
    EXPECT_EQ(x.w.target().find({3, 1}), nullptr);
    EXPECT_GT(x.drops(1, Drop::late_after_detach), 0u);
}

TEST(Bind, RefusesWhatCanNotBe) {
    Bound x(15);
    EXPECT_EQ(x.w.initiator().bind(*x.a.function, {}, x.w.now), Status::busy);
    Port same;
    EXPECT_EQ(x.w.initiator().bind(same.start(), {}, x.w.now), Status::busy);
    Port far({60000, 1});
    EXPECT_EQ(x.w.initiator().bind(far.start(), {}, x.w.now), Status::limit);
    EXPECT_EQ(x.w.initiator().find({3, 1}), x.a.function.get());
    EXPECT_EQ(x.w.initiator().find({3, 2}), nullptr);
    EXPECT_EQ(x.w.initiator().find({4, 1}), nullptr);
}

// A packet of an earlier function of the same index is acknowledged late: it says nothing of the
// records of the function that is bound now, although their sequences are the same.
TEST(Bind, LatePacketsOfAnEarlierFunctionMeanNothing) {
    Bound x(20);
    enum { hold, lose, pass } stage = hold;
    std::vector<std::byte> held;
    x.w.tap = [&](unsigned from, PathId, std::span<std::byte> frame) {
        Header h;
        EXPECT_EQ(parse_header(frame, h), kNoDrop);
        RecordReader reader(records_of(frame, h));
        Record r;
        bool write = false;
        while (reader.next(r) == Next::record) write = write || (from == 0 && r.family == FL_FAMILY_TLP);
        if (!write || stage == pass) return true;
        if (stage == hold && held.empty()) held.assign(frame.begin(), frame.end());
        return false;
    };
    ASSERT_EQ(x.write(0, 8), Status::ok);
    x.w.work();
    ASSERT_FALSE(held.empty());
    x.w.initiator().unbind(*x.a.function, Status::ok, x.w.now);
    x.w.target().unbind(*x.b.function, Status::ok, x.w.now);
    Port a({3, 2}), b({3, 2});
    ASSERT_EQ(x.w.target().bind(b.start(), {}, x.w.now), Status::ok);
    ASSERT_EQ(x.w.initiator().bind(a.start(), {}, x.w.now), Status::ok);
    x.w.run_for(500us);
    stage = lose;
    ASSERT_EQ(a.function->submit(write_tlp(8, 8), {x.data.data(), 8}, 0, false, x.w.now), Status::ok);
    x.w.work();
    stage = pass;
    x.w.target().on_frame(held, 0, x.w.now);
    EXPECT_EQ(x.drops(1, Drop::late_after_detach), 1u);
    ASSERT_TRUE(x.until([&] { return a.function->posted_drained(); }));
    EXPECT_EQ(b.endpoint.posted, 1u);
    EXPECT_EQ(x.b.endpoint.posted, 0u);
}

// What is still on its way when a function goes is counted apart: nobody has done anything wrong.
TEST(Unbind, LateCreditsAreNoFault) {
    Bound x(21);
    for (unsigned i = 0; i < 40; ++i) ASSERT_EQ(x.write(0, 8), Status::ok);
    ASSERT_TRUE(x.until([&] { return x.b.endpoint.posted >= 20; }));  // its credits are on their way
    x.w.initiator().unbind(*x.a.function, Status::ok, x.w.now);
    x.w.run_for(20ms);
    x.w.target().unbind(*x.b.function, Status::ok, x.w.now);
    x.w.run_for(100ms);
    EXPECT_GT(x.drops(0, Drop::late_after_detach), 0u);
    for (const unsigned side : {0u, 1u})
        for (unsigned d = 0; d < kDrops; ++d)
            if (drop_is_odd(static_cast<Drop>(d))) {
                EXPECT_EQ(x.drops(side, static_cast<Drop>(d)), 0u) << drop_name(static_cast<Drop>(d));
            }
    EXPECT_EQ(x.w.target().counters().packets_lost, 0u) << "they are acknowledged";
}

// --- hostile records

// The type of every transaction of function 3 is one that nobody knows, however often it is sent.
void spoil_function_3(std::span<std::byte> frame) {
    Header h;
    ASSERT_EQ(parse_header(frame, h), kNoDrop);
    std::size_t at = sizeof(fl_frame_header);
    const std::size_t end = h.frame_bytes - h.trailer_bytes;
    while (at < end) {
        fl_tlp t;
        std::memcpy(&t, frame.data() + at, std::min(sizeof t, end - at));
        if (t.family == FL_FAMILY_TLP && t.function_index.get() == 3) frame[at + 1] = std::byte{200};
        at += t.record_bytes.get();
    }
    ClearSeal{}.seal(frame.first(h.frame_bytes), h.packet_number);
}

// One bad record in a good frame: it is counted, its packet has arrived, and neither the path nor
// another function suffers.
TEST(Hostile, MalformedRecordDoesNotPoisonThePath) {
    Bound x(22);
    Port a({4, 1}), b({4, 1});
    ASSERT_EQ(x.w.target().bind(b.start(), {}, x.w.now), Status::ok);
    ASSERT_EQ(x.w.initiator().bind(a.start(), {}, x.w.now), Status::ok);
    x.w.run_for(5ms);
    x.w.tap = [](unsigned from, PathId, std::span<std::byte> frame) {
        if (from == 0) spoil_function_3(frame);
        return true;
    };
    ASSERT_EQ(x.write(0, 8), Status::ok);
    for (unsigned i = 0; i < 100; ++i)
        ASSERT_EQ(a.function->submit(write_tlp(i * 8, 8), {x.data.data(), 8}, 0, false, x.w.now), Status::ok);
    x.w.run_for(5s);
    EXPECT_EQ(x.drops(1, Drop::record_type), 1u) << "sent once";
    EXPECT_EQ(x.b.endpoint.posted, 0u);
    EXPECT_EQ(b.endpoint.posted, 100u);
    EXPECT_TRUE(a.function->posted_drained());
    EXPECT_EQ(x.w.initiator().counters().packets_lost, 0u);
    EXPECT_EQ(x.w.initiator().counters().tail_probes, 0u);
    EXPECT_EQ(x.w.initiator().paths()[0].in_flight_bytes, 0u);
    EXPECT_EQ(x.w.initiator().state(), SessionState::open);
    EXPECT_EQ(x.w.target().state(), SessionState::open);
}

TEST(Hostile, RecordsAreCountedByReasonAndDropped) {
    Bound x(16);
    Tlp w8 = write_tlp(0, 8);
    w8.sequence = 1;
    x.inject(1, w8, {3, 2}, {x.data.data(), 8});
    EXPECT_EQ(x.drops(1, Drop::function_stale), 1u);
    x.inject(1, w8, {9, 1}, {x.data.data(), 8});
    EXPECT_EQ(x.drops(1, Drop::function_unknown), 1u);
    w8.sequence = 100'000;
    x.inject(1, w8, {3, 1}, {x.data.data(), 8});
    EXPECT_EQ(x.drops(1, Drop::sequence_beyond), 1u);
    Tlp r8 = read_tlp(0, 8);
    r8.sequence = kRequestWindow + 1;
    x.inject(1, r8, {3, 1});
    EXPECT_EQ(x.drops(1, Drop::sequence_beyond), 2u);
    // Completions that answer nothing.
    Tlp c;
    c.type = TlpType::completion_data;
    c.length_bytes = 8;
    c.tag = 12345;
    c.sequence = 1;
    x.inject(0, c, {3, 1}, {x.data.data(), 8});
    EXPECT_EQ(x.drops(0, Drop::completion_unexpected), 1u);
    x.inject(0, c, {3, 1}, {x.data.data(), 8});
    EXPECT_EQ(x.drops(0, Drop::retransmit_duplicate), 1u);
    // Fragments of one record that disagree.
    Tlp f = write_tlp(0, 4096);
    f.sequence = 2;
    x.inject(1, f, {3, 1}, {x.data.data(), 1024}, 0);
    f.address = 8;
    x.inject(1, f, {3, 1}, {x.data.data(), 1024}, 1024);
    EXPECT_EQ(x.drops(1, Drop::fragment_mismatch), 1u);
    EXPECT_EQ(x.b.endpoint.posted, 0u);
    EXPECT_EQ(x.w.target().state(), SessionState::open);
    EXPECT_EQ(x.w.initiator().state(), SessionState::open);
}

// A completion whose length is not what was asked for: the request fails, nothing is written
// outside `into`.
TEST(Hostile, CompletionOfAnotherLength) {
    Bound x(17);
    x.w.tap = [](unsigned from, PathId, std::span<std::byte>) { return from == 0; };
    ASSERT_EQ(x.read(1, 8), Status::ok);
    x.w.run_for(1ms);
    Tlp c;
    c.type = TlpType::completion_data;
    c.length_bytes = 4096;
    c.tag = 1u << 8;  // sequence 1, slot 0 of 256
    c.sequence = 1;
    x.into[8] = std::byte{0x11};
    x.inject(0, c, {3, 1}, {x.data.data(), 4096});
    EXPECT_EQ(x.a.endpoint.completed.at(1), Status::completer_abort);
    EXPECT_EQ(x.into[8], std::byte{0x11});
}

// Strict fragments up to the limit are kept, more are not, and nothing grows beyond it.
TEST(Hostile, ReorderMemoryIsBounded) {
    Bound x(18, {}, {.reorder_bytes = 65536});
    for (std::uint64_t s = 2; s < 2000; ++s) {
        Tlp t = write_tlp(0, 4096);
        t.sequence = s;
        x.inject(1, t, {3, 1}, {x.data.data(), 64}, 0);
    }
    EXPECT_EQ(x.drops(1, Drop::sequence_beyond), 1998u - 16);
    EXPECT_EQ(x.b.endpoint.posted, 0u);
}

TEST(Relaxed, FeatureNotAgreedMeansStrict) {
    World w(19);
    w.sides[1].config.features = 0;
    ASSERT_TRUE(w.connect());
    Port a, b;
    ASSERT_EQ(w.target().bind(b.start(), {}, w.now), Status::ok);
    ASSERT_EQ(w.initiator().bind(a.start(), {}, w.now), Status::ok);
    std::vector<std::byte> data(4096, std::byte{1});
    ASSERT_EQ(a.function->submit(write_tlp(0, 4096, true), data, 0, false, w.now), Status::ok);
    ASSERT_TRUE(w.run_until([&] { return a.function->posted_drained(); }, 1s));
    EXPECT_EQ(b.endpoint.posted, 1u) << "given as a strict write";
    EXPECT_EQ(b.endpoint.complaint, "");
}

}  // namespace
}  // namespace farlane::proto::sim
