// SPDX-License-Identifier: Apache-2.0
// Resumption: a session ends, or one side is killed at each point of function_memory.cpp, and the
// function goes on with a new session. Nothing is executed twice that must not be; every request
// is answered. docs/wire.md, "Resumption" and "Exactly once".
#include <gtest/gtest.h>

#include <deque>

#include "proto/endpoint.hpp"
#include "proto/sim.hpp"

namespace farlane::proto::sim {
namespace {

constexpr FunctionHandle kHandle{3, 1};

std::array<std::uint64_t, kClasses> released_of(const FunctionMemory& m) {
    return {m.counts.released[0], m.counts.released[1], m.counts.released[2]};
}

std::span<const std::byte> bytes_of(const std::uint64_t& v) {
    return std::as_bytes(std::span(&v, 1));
}

/// Two ports whose sessions come and go, as lanes do it.
struct Reconnect {
    explicit Reconnect(std::uint64_t seed) : Reconnect(seed, 0.0) {}
    Reconnect(std::uint64_t seed, bool repeat_reads) : Reconnect(seed, 0.0, repeat_reads) {}
    Reconnect(std::uint64_t seed, double loss, bool repeat_reads = false) : w(seed) {
        limits.repeat_reads = repeat_reads;
        w.wires[0].faults.loss = loss;
        w.wires[0].faults.jitter = 100us;
        connect();
        a.start(limits);
        b.start(limits);
        EXPECT_EQ(w.target().bind(*b.function, {}, w.now), Status::ok);
        EXPECT_EQ(w.initiator().bind(*a.function, {}, w.now), Status::ok);
    }
    void connect() {
        ++w.sides[0].config.nonce;
        ++w.sides[0].config.session_id;
        ++w.sides[1].config.session_id;
        ASSERT_TRUE(w.connect());
    }
    // The sessions go, the functions stay. What is on its way belongs to sessions that are over.
    void drop_sessions() {
        for (unsigned side = 0; side < 2; ++side) {
            Port& p = side == 0 ? a : b;
            if (p.function && p.function->session() != nullptr)
                p.function->session()->unbind(*p.function, Status::ok, w.now);
            w.kill(side);
        }
    }
    // kill -9: the function object goes, its memory stays.
    void kill(unsigned side) {
        Port& p = side == 0 ? a : b;
        p.function.reset();
        killed = true;
        w.kill(side);
        drop_sessions();
    }
    // What attach with `resume` does: each side tells what it has released.
    void resume() {
        connect();
        for (Port* p : {&a, &b}) {
            if (p->function) continue;
            ASSERT_TRUE(p->memory->plausible());
            p->start(limits);
        }
        // The target binds when the request arrives, the initiator with the reply.
        const bool a_lost = a.function->adopted(), b_lost = b.function->adopted();
        // After a kill of either side relaxed writes that were placed early are placed again.
        if (std::exchange(killed, false))
            for (Port* p : {&a, &b}) p->endpoint.rewind_to(p->memory->counts.released[0]);
        const Session::Resume from_a{released_of(*a.memory), a_lost, true};
        const auto said_by_target = released_of(*b.memory);
        ASSERT_EQ(w.target().bind(*b.function, from_a, w.now), Status::ok);
        ASSERT_EQ(w.initiator().bind(*a.function, Session::Resume{said_by_target, b_lost, true}, w.now), Status::ok);
    }
    void resubmitted() const {
        a.function->resubmitted();
        b.function->resubmitted();
    }
    bool until(const std::function<bool()>& done) { return w.run_until(done, 60s); }
    void expect_clean() const {
        EXPECT_EQ(a.endpoint.complaint, "");
        EXPECT_EQ(b.endpoint.complaint, "");
    }

    FunctionLimits limits{.completion_timeout = 100s, .completion_timeout_max = 100s};
    World w;
    Port a{kHandle}, b{kHandle};
    bool killed = false;
};

/// What an application's ring or a device's command memory is to a function: the records that
/// are not released, in order; whoever comes back submits them again.
class Ring {
public:
    explicit Ring(Port& own) : own_(own) {}
    void submit(std::uint64_t value, Time now) {
        records_.push_back(value);
        EXPECT_EQ(send(value, now), Status::ok);
    }
    // After a kill: sequences go on behind what the peer has released.
    void submit_again(Time now) {
        const std::uint64_t first = own_.function->next_sequence(RecordClass::posted);
        while (first_sequence_ < first) {
            ASSERT_FALSE(records_.empty());
            records_.pop_front();
            ++first_sequence_;
        }
        for (const std::uint64_t v : records_) ASSERT_EQ(send(v, now), Status::ok);
    }

private:
    Status send(std::uint64_t value, Time now) {
        const bool relaxed = value % 3 == 0;
        return own_.function->submit(write_tlp(value % 1000 * 8, 8, relaxed), bytes_of(value), value, false, now);
    }
    Port& own_;
    std::deque<std::uint64_t> records_;
    std::uint64_t first_sequence_ = 1;
};

std::uint64_t value_at(const Port& p, std::uint64_t index) {
    std::uint64_t v = 0;
    std::memcpy(&v, p.endpoint.ram.data() + index * 8, 8);
    return v;
}

TEST(Resume, SessionGoesFunctionsStay) {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        SCOPED_TRACE(seed);
        Reconnect r(seed, 0.2);
        std::array<std::byte, 8> into{};
        std::uint64_t sum = 0;
        Ring down(r.a), up(r.b);
        std::uint64_t answered = 0;
        r.a.endpoint.on_completion_do = [&](Function&, std::uint64_t, Status s) {
            EXPECT_EQ(s, Status::ok);
            ++answered;
        };
        for (std::uint64_t round = 0; round < 6; ++round) {
            for (std::uint64_t i = 0; i < 50; ++i, ++sum) {
                down.submit(sum, r.w.now);
                up.submit(sum, r.w.now);
            }
            ASSERT_EQ(r.a.function->request(read_tlp(0, 8), {}, into, round, r.w.now), Status::ok);
            r.w.run_for(Duration(static_cast<std::int64_t>(r.w.random.below(3'000'000))));
            r.drop_sessions();
            r.resume();
        }
        ASSERT_TRUE(
            r.until([&] { return r.a.function->posted_drained() && r.b.function->posted_drained() && answered == 6; }));
        EXPECT_EQ(r.b.endpoint.next_place(), sum + 1);
        EXPECT_EQ(r.a.endpoint.next_place(), sum + 1);
        for (std::uint64_t i = 0; i < sum; ++i) {
            ASSERT_EQ(value_at(r.b, i), i);
            ASSERT_EQ(value_at(r.a, i), i);
        }
        EXPECT_EQ(r.b.endpoint.requests, 6u);
        r.expect_clean();
    }
}

// Either side is killed again and again, at any time between two calls, in the middle of traffic.
void kill_at_random(bool repeat_reads) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        SCOPED_TRACE(seed);
        Reconnect r(seed, 0.15, repeat_reads);
        Ring down(r.a), up(r.b);
        std::uint64_t sum = 0, asked = 0, ok = 0, aborted = 0, lost = 0;
        std::array<std::byte, 8> into{};
        std::uint64_t open = 0;
        r.a.endpoint.on_completion_do = [&](Function&, std::uint64_t, Status s) {
            ++(s == Status::ok ? ok : aborted);
            EXPECT_TRUE(s == Status::ok || (!repeat_reads && s == Status::completer_abort)) << status_name(s);
            --open;
        };
        for (std::uint64_t round = 0; round < 8; ++round) {
            for (std::uint64_t i = 0; i < 30; ++i, ++sum) {
                down.submit(sum, r.w.now);
                up.submit(sum, r.w.now);
                if (i % 3 == 0) {
                    ASSERT_EQ(r.a.function->request(read_tlp(0, 8), {}, into, asked, r.w.now), Status::ok);
                    ++asked;
                    ++open;
                }
            }
            r.w.run_for(Duration(static_cast<std::int64_t>(r.w.random.below(1'500'000))));
            const unsigned victim = static_cast<unsigned>(r.w.random.below(3));
            if (victim == 2) r.kill(1);
            r.kill(victim == 2 ? 0 : victim);
            if (victim != 1) {  // its requests died with the initiator
                lost += open;
                open = 0;
            }
            r.resume();
            // Both rings are asked: a side that was not killed still has its records.
            if (victim != 1) down.submit_again(r.w.now);
            if (victim != 0) up.submit_again(r.w.now);
            r.resubmitted();
        }
        ASSERT_TRUE(
            r.until([&] { return r.a.function->posted_drained() && r.b.function->posted_drained() && open == 0; }));
        EXPECT_EQ(r.b.endpoint.next_place(), sum + 1);
        EXPECT_EQ(r.a.endpoint.next_place(), sum + 1);
        for (std::uint64_t i = 0; i < sum; ++i) {
            ASSERT_EQ(value_at(r.b, i), i);
            ASSERT_EQ(value_at(r.a, i), i);
        }
        EXPECT_EQ(ok + aborted + lost, asked);
        EXPECT_LE(r.b.endpoint.requests, asked);
        r.expect_clean();
    }
}

TEST(Resume, KilledAtRandom) {
    kill_at_random(false);
}

// Reads of memory: each is answered with what is there.
TEST(Resume, KilledAtRandomWithRepeatableReads) {
    kill_at_random(true);
}

// --- the crash points of function_memory.cpp, one by one

enum class Point {
    before,        // nothing written
    slot_filled,   // 2: request_sequence
    intent,        // 3
    executed,      // 4: the handler has run
    answered,      // 5: completion_sequence
    next_written,  // 6
    released,      // 7
    done,          // 8
};
constexpr std::array kPoints{Point::before,   Point::slot_filled,  Point::intent,   Point::executed,
                             Point::answered, Point::next_written, Point::released, Point::done};

// Memory as it is at `p`, put together from before, from within the handler, and from after.
void set_point(Point p, const FunctionMemory& before, const FunctionMemory& within, const FunctionMemory& after,
               FunctionMemory& out) {
    std::memcpy(&out, p == Point::before ? &before : &within, sizeof(out));
    if (p <= Point::slot_filled) out.counts.intent = 0;
    if (p >= Point::answered) {
        std::memcpy(out.results, after.results, sizeof(out.results));
        std::memcpy(out.result_data, after.result_data, sizeof(out.result_data));
    }
    if (p >= Point::next_written) out.counts.next[FL_CLASS_COMPLETION] = after.counts.next[FL_CLASS_COMPLETION];
    if (p >= Point::released) out.counts.released[FL_CLASS_NON_POSTED] = after.counts.released[FL_CLASS_NON_POSTED];
    if (p == Point::done) out.counts.intent = 0;
}

void kill_request_at_each_point(bool answer_leaves, bool repeat_reads) {
    for (const Point point : kPoints) {
        SCOPED_TRACE(static_cast<int>(point));
        Reconnect r(7, repeat_reads);
        FunctionMemory before, within, after;
        std::uint64_t executions = 0;
        r.b.endpoint.on_request_do = [&](Function&, const Tlp&, std::span<const std::byte>, RequestId,
                                         std::span<std::byte> result, Status&) {
            std::memcpy(&within, r.b.memory.get(), sizeof(within));
            ++executions;
            result[0] = std::byte{static_cast<unsigned char>(40 + executions)};
            return Answer::done;
        };
        // Some history first, so that numbers are not all zero.
        std::array<std::byte, 8> into{};
        for (std::uint64_t i = 0; i < 3; ++i)
            ASSERT_EQ(r.a.function->request(read_tlp(0, 8), {}, into, 100 + i, r.w.now), Status::ok);
        ASSERT_TRUE(r.until([&] { return r.a.endpoint.completions == 3; }));
        executions = 0;
        std::memcpy(&before, r.b.memory.get(), sizeof(before));
        // The answer may already have reached the initiator when the target dies.
        if (!answer_leaves) r.w.tap = [](unsigned from, PathId, std::span<std::byte>) { return from == 0; };
        ASSERT_EQ(r.a.function->request(read_tlp(0, 8), {}, into, 1, r.w.now), Status::ok);
        ASSERT_TRUE(r.until([&] { return executions == 1; }));
        if (answer_leaves && point >= Point::released) {
            ASSERT_TRUE(r.until([&] { return r.a.endpoint.completions == 4; }));
        }
        r.w.tap = nullptr;
        std::memcpy(&after, r.b.memory.get(), sizeof(after));
        r.kill(1);
        if (!(answer_leaves && point >= Point::released)) set_point(point, before, within, after, *r.b.memory);
        if (point <= Point::slot_filled) executions = 0;  // that life had not begun it
        const bool begun = point == Point::intent || point == Point::executed;
        if (begun && repeat_reads) executions = 0;  // it counts as not begun
        r.b.endpoint.forgive_repeats = point <= Point::slot_filled || (begun && repeat_reads);
        r.resume();
        r.resubmitted();
        ASSERT_TRUE(r.until([&] { return r.a.endpoint.completed.contains(1); }));
        const bool in_doubt = begun && !repeat_reads;
        EXPECT_EQ(r.a.endpoint.completed.at(1), in_doubt ? Status::completer_abort : Status::ok);
        EXPECT_EQ(executions, 1u) << "executed once in all";
        EXPECT_EQ(into[0], in_doubt ? std::byte{0xff} : std::byte{41});
        // And it goes on.
        ASSERT_EQ(r.a.function->request(read_tlp(0, 8), {}, into, 2, r.w.now), Status::ok);
        ASSERT_TRUE(r.until([&] { return r.a.endpoint.completed.contains(2); }));
        EXPECT_EQ(r.a.endpoint.completed.at(2), Status::ok);
        EXPECT_EQ(executions, 2u);
        r.expect_clean();
    }
}

TEST(Resume, RequestKilledAtEachPoint) {
    for (const bool answer_leaves : {false, true}) kill_request_at_each_point(answer_leaves, false);
}

// Host memory can be read again: no read of a device ends in doubt.
TEST(Resume, RepeatableReadKilledAtEachPoint) {
    for (const bool answer_leaves : {false, true}) kill_request_at_each_point(answer_leaves, true);
}

// A posted record: before `released` it is executed again, after it never.
TEST(Resume, PostedKilledAtEachPoint) {
    enum class At { before, intent, executed, released, done };
    for (const At at : {At::before, At::intent, At::executed, At::released, At::done}) {
        SCOPED_TRACE(static_cast<int>(at));
        Reconnect r(9);
        FunctionMemory before, within, after;
        std::uint64_t executions = 0;
        r.w.run_for(5ms);  // credits are known at both sides
        r.b.endpoint.on_posted_do = [&](Function&, const Tlp&, std::span<const std::byte>) {
            std::memcpy(&within, r.b.memory.get(), sizeof(within));
            ++executions;
        };
        std::memcpy(&before, r.b.memory.get(), sizeof(before));
        r.w.tap = [](unsigned from, PathId, std::span<std::byte>) { return from == 0; };
        const std::uint64_t value = 5;
        ASSERT_EQ(r.a.function->submit(write_tlp(0, 8), bytes_of(value), 1, true, r.w.now), Status::ok);
        ASSERT_TRUE(r.until([&] { return executions == 1; }));
        r.w.tap = nullptr;
        std::memcpy(&after, r.b.memory.get(), sizeof(after));
        r.kill(1);
        switch (at) {
            case At::before: std::memcpy(r.b.memory.get(), &before, sizeof(before)); break;
            case At::intent:
            case At::executed: std::memcpy(r.b.memory.get(), &within, sizeof(within)); break;
            case At::released: r.b.memory->counts.intent = within.counts.intent; break;
            case At::done: break;
        }
        EXPECT_EQ(within.counts.intent, 1u);
        EXPECT_EQ(after.counts.intent, 0u);
        r.resume();
        ASSERT_TRUE(r.until([&] { return r.a.function->posted_drained(); }));
        EXPECT_EQ(executions, at >= At::released ? 1u : 2u);
        EXPECT_EQ(r.a.endpoint.released.size(), 1u);
        ASSERT_EQ(r.a.function->submit(write_tlp(8, 8), bytes_of(value), 2, true, r.w.now), Status::ok);
        ASSERT_TRUE(r.until([&] { return r.a.function->posted_drained(); }));
        EXPECT_EQ(value_at(r.b, 1), 5u);
        r.expect_clean();
    }
}

// The device owed an answer (Answer::later) and died: CA, and the request is not executed again.
TEST(Resume, LateAnswerIsLost) {
    Reconnect r(3);
    r.b.endpoint.on_request_do = [&](Function&, const Tlp&, std::span<const std::byte>, RequestId, std::span<std::byte>,
                                     Status&) { return Answer::later; };
    std::array<std::byte, 8> into{};
    ASSERT_EQ(r.a.function->request(read_tlp(0, 8), {}, into, 1, r.w.now), Status::ok);
    ASSERT_TRUE(r.until([&] { return r.b.endpoint.requests == 1; }));
    r.kill(1);
    r.resume();
    ASSERT_TRUE(r.until([&] { return r.a.endpoint.completed.contains(1); }));
    EXPECT_EQ(r.a.endpoint.completed.at(1), Status::completer_abort);
    EXPECT_EQ(r.b.endpoint.requests, 1u);
    r.expect_clean();
}

// A read's answer that follows DMA writes which the killed target had not got through: the writes
// are gone, so the answer must not show that they were made.
TEST(Resume, AnswerBehindLostWritesIsAborted) {
    Reconnect r(4);
    r.w.run_for(5ms);  // credits are known at both sides
    r.b.endpoint.on_request_do = [&](Function& f, const Tlp&, std::span<const std::byte>, RequestId,
                                     std::span<std::byte> result, Status&) {
        const std::uint64_t data = 1;
        EXPECT_EQ(f.submit(write_tlp(64, 8), bytes_of(data), 0, false, r.w.now), Status::ok);
        result[0] = std::byte{1};
        return Answer::done;
    };
    r.w.tap = [](unsigned from, PathId, std::span<std::byte>) { return from == 0; };
    std::array<std::byte, 8> into{};
    ASSERT_EQ(r.a.function->request(read_tlp(0, 8), {}, into, 1, r.w.now), Status::ok);
    ASSERT_TRUE(r.until([&] { return r.b.endpoint.requests == 1; }));
    r.w.tap = nullptr;
    r.kill(1);
    r.resume();
    ASSERT_TRUE(r.until([&] { return r.a.endpoint.completed.contains(1); }));
    EXPECT_EQ(r.a.endpoint.completed.at(1), Status::completer_abort);
    EXPECT_EQ(value_at(r.a, 8), 0u);
    r.expect_clean();
}

// ... but what was read of memory waits for them, and passes none of them. So does what is read meanwhile.
TEST(Resume, AnswerOfMemoryWaitsForLostWrites) {
    for (const bool killed_again : {false, true}) {
        SCOPED_TRACE(killed_again);
        Reconnect r(4, true);
        r.w.run_for(5ms);  // credits are known at both sides
        const std::uint64_t data = 7;
        r.b.endpoint.on_request_do = [&](Function& f, const Tlp&, std::span<const std::byte>, RequestId,
                                         std::span<std::byte> result, Status&) {
            for (int i = 0; i < 3 && r.b.endpoint.requests == 1; ++i) {
                EXPECT_EQ(f.submit(write_tlp(64, 8), bytes_of(data), 0, false, r.w.now), Status::ok);
            }
            result[0] = std::byte{1};
            return Answer::done;
        };
        r.w.tap = [](unsigned from, PathId, std::span<std::byte>) { return from == 0; };
        std::array<std::byte, 8> first{}, second{};
        ASSERT_EQ(r.a.function->request(read_tlp(0, 8), {}, first, 1, r.w.now), Status::ok);
        ASSERT_TRUE(r.until([&] { return r.b.endpoint.requests == 1; }));
        r.w.tap = nullptr;
        r.kill(1);
        if (killed_again) {
            r.resume();
            r.kill(1);
        }
        r.resume();
        ASSERT_EQ(r.a.function->request(read_tlp(0, 8), {}, second, 2, r.w.now), Status::ok);
        r.w.run_for(50ms);
        EXPECT_EQ(r.a.endpoint.completions, 0u) << "an answer passed the writes before it";
        r.a.endpoint.on_completion_do = [&](Function&, std::uint64_t, Status) { EXPECT_EQ(value_at(r.a, 8), data); };
        // One write less than there had been: nobody waits for it.
        for (int i = 0; i < 2; ++i)
            ASSERT_EQ(r.b.function->submit(write_tlp(64, 8), bytes_of(data), 0, false, r.w.now), Status::ok);
        r.resubmitted();
        ASSERT_TRUE(r.until([&] { return r.a.endpoint.completions == 2; }));
        EXPECT_EQ(r.a.endpoint.completed.at(1), Status::ok);
        EXPECT_EQ(r.a.endpoint.completed.at(2), Status::ok);
        EXPECT_EQ(first[0], std::byte{1});
        EXPECT_EQ(r.b.endpoint.requests, 2u);
        r.expect_clean();
    }
}

// Without kept state nothing is replayed: requests end with CA, posted writes are dropped, the
// numbers begin again.
TEST(Resume, NotKeptIsReset) {
    Reconnect r(5);
    std::array<std::byte, 8> into{};
    ASSERT_EQ(r.a.function->request(read_tlp(0, 8), {}, into, 1, r.w.now), Status::ok);
    ASSERT_TRUE(r.until([&] { return r.a.endpoint.completions == 1; }));
    r.w.tap = [](unsigned, PathId, std::span<std::byte>) { return false; };
    const std::uint64_t value = 5;
    ASSERT_EQ(r.a.function->submit(write_tlp(0, 8), bytes_of(value), 7, true, r.w.now), Status::ok);
    ASSERT_EQ(r.a.function->request(read_tlp(0, 8), {}, into, 2, r.w.now), Status::ok);
    r.w.run_for(1ms);
    r.w.tap = nullptr;
    r.kill(1);
    r.b.memory->create({3, 2});  // a new attachment at the target
    r.connect();
    r.b.start(r.limits);
    r.b.endpoint.rewind_to(0);
    r.b.endpoint.forgive_repeats = true;
    ASSERT_EQ(r.w.target().bind(*r.b.function, {}, r.w.now), Status::ok);
    r.a.memory->create({3, 2});
    ASSERT_EQ(r.w.initiator().bind(*r.a.function, Session::Resume{{}, true, false}, r.w.now), Status::ok);
    EXPECT_EQ(r.a.endpoint.completed.at(2), Status::completer_abort);
    EXPECT_EQ(into[0], std::byte{0xff});
    EXPECT_EQ(r.a.endpoint.events, std::vector{FunctionEvent::reset});
    EXPECT_TRUE(r.a.endpoint.released.empty());
    EXPECT_TRUE(r.a.function->posted_drained());
    ASSERT_EQ(r.a.function->submit(write_tlp(16, 8), bytes_of(value), 8, true, r.w.now), Status::ok);
    ASSERT_EQ(r.a.function->request(read_tlp(16, 8), {}, into, 3, r.w.now), Status::ok);
    ASSERT_TRUE(r.until([&] { return r.a.endpoint.completed.contains(3); }));
    EXPECT_EQ(std::to_integer<int>(into[0]), 5);
    EXPECT_EQ(value_at(r.b, 0), 0u) << "a posted write of the time before the reset was replayed";
    r.expect_clean();
}

// Adopted memory must be resumed; a peer that claims what can not be is refused.
TEST(Resume, ImpossibleClaimsAreRefused) {
    Reconnect r(6);
    const std::uint64_t value = 5;
    ASSERT_EQ(r.a.function->submit(write_tlp(0, 8), bytes_of(value), 7, true, r.w.now), Status::ok);
    ASSERT_TRUE(r.until([&] { return r.a.function->posted_drained(); }));
    r.drop_sessions();
    r.connect();
    auto& s = r.w.initiator();
    EXPECT_EQ(s.bind(*r.a.function, Session::Resume{{2, 0, 0}, false, true}, r.w.now), Status::protocol);
    EXPECT_EQ(s.bind(*r.a.function, Session::Resume{{1, 1, 0}, false, true}, r.w.now), Status::protocol);
    EXPECT_EQ(s.bind(*r.a.function, Session::Resume{{1, 0, 1}, false, true}, r.w.now), Status::protocol);
    EXPECT_EQ(s.bind(*r.a.function, Session::Resume{{0, 0, 0}, false, true}, r.w.now), Status::protocol);
    r.a.function.reset();
    Function adopted(*r.a.memory, r.a.endpoint, {});
    EXPECT_TRUE(adopted.adopted());
    EXPECT_EQ(s.bind(adopted, {}, r.w.now), Status::invalid);
    EXPECT_EQ(s.bind(adopted, Session::Resume{{1, 0, 0}, false, true}, r.w.now), Status::ok);
    EXPECT_FALSE(adopted.adopted());
    s.unbind(adopted, Status::ok, r.w.now);
}

TEST(Memory, PlausibleRefusesWhatCanNotBe) {
    const auto fresh = std::make_unique<FunctionMemory>();
    fresh->create(kHandle);
    const auto broken = [&](const std::function<void(FunctionMemory&)>& change) {
        auto m = std::make_unique<FunctionMemory>(*fresh);
        change(*m);
        return !m->plausible();
    };
    EXPECT_TRUE(fresh->plausible());
    EXPECT_TRUE(broken([](FunctionMemory& m) { m.magic ^= 1; }));
    EXPECT_TRUE(broken([](FunctionMemory& m) { m.in_use = 2; }));
    EXPECT_TRUE(broken([](FunctionMemory& m) { m.counts.next[0] = 0; }));
    EXPECT_TRUE(broken([](FunctionMemory& m) { m.counts.released[1] = ~0ull; }));
    EXPECT_TRUE(broken([](FunctionMemory& m) { m.counts.intent = std::uint64_t{2} << 62 | 1; }));
    EXPECT_TRUE(broken([](FunctionMemory& m) { m.counts.intent = 7; }));
    EXPECT_TRUE(broken([](FunctionMemory& m) { m.counts.intent = std::uint64_t{1} << 62 | 1; }))
        << "in doubt without a slot";
    EXPECT_TRUE(broken([](FunctionMemory& m) { m.results[3].request_sequence = 2; }));
    const auto answered = [](FunctionMemory& m, unsigned slot, std::uint64_t c) {
        m.counts.released[1] = 500;
        m.results[slot] = ResultSlot{};
        m.results[slot].request_sequence = 400 + slot;
        m.results[slot].completion_sequence = c;
    };
    EXPECT_FALSE(broken([&](FunctionMemory& m) { m.counts.next[2] = 10, answered(m, 0, 9), answered(m, 1, 8); }));
    EXPECT_FALSE(broken([&](FunctionMemory& m) { m.counts.next[2] = 10, answered(m, 0, 10), answered(m, 1, 9); }));
    EXPECT_TRUE(broken([&](FunctionMemory& m) { m.counts.next[2] = 10, answered(m, 0, 9), answered(m, 1, 9); }))
        << "twice";
    EXPECT_TRUE(broken([&](FunctionMemory& m) { m.counts.next[2] = 10, answered(m, 0, 9), answered(m, 1, 7); }))
        << "a hole";
    EXPECT_TRUE(broken([&](FunctionMemory& m) { m.counts.next[2] = 10, answered(m, 0, 11); })) << "never given";
    EXPECT_TRUE(broken([&](FunctionMemory& m) { m.counts.next[2] = 10, answered(m, 0, 8); })) << "the last is missing";
    EXPECT_TRUE(broken([&](FunctionMemory& m) { m.counts.next[2] = 2, answered(m, 0, 1), m.results[0].status = 3; }));
    EXPECT_TRUE(
        broken([&](FunctionMemory& m) { m.counts.next[2] = 2, answered(m, 0, 1), m.results[0].length_bytes = 4097; }));
    EXPECT_TRUE(
        broken([&](FunctionMemory& m) { m.counts.next[2] = 2, answered(m, 0, 1), m.results[0].follows_posted = 1; }));
    EXPECT_TRUE(broken([](FunctionMemory& m) { m.map_slots = 10, m.maps[9] = {~0ull, 16, 1, 0}; }));
    EXPECT_TRUE(broken([](FunctionMemory& m) { m.map_slots = 10, m.maps[9] = {4096, 16, 8, 0}; }));
    EXPECT_FALSE(broken([](FunctionMemory& m) { m.map_slots = 10, m.maps[10] = {~0ull, 16, 1, 0}; })) << "not in use";
    EXPECT_TRUE(broken([](FunctionMemory& m) { m.map_slots = kMapSlots + 1; }));
}

TEST(Memory, GivesMapsOutWithoutTouchingTheOthers) {
    auto m = std::make_unique<FunctionMemory>();
    std::memset(m->maps, 0xa5, sizeof m->maps);  // of an earlier life
    m->create({0, 1});
    EXPECT_TRUE(m->plausible());
    for (std::uint32_t i = 0; i < kMapSlots; ++i) {
        MapSlot* slot = m->free_map();
        ASSERT_EQ(slot, &m->maps[i]);
        ASSERT_EQ(slot->length_bytes, 0U);
        *slot = {0, 4096, FL_MAP_DEVICE_READS, 0};
    }
    EXPECT_EQ(m->free_map(), nullptr);
    m->maps[7].length_bytes = 0;
    EXPECT_EQ(m->free_map(), &m->maps[7]);
    EXPECT_TRUE(m->plausible());
}

// Memory of an earlier version has its counts in it; they are moved once, and that version refuses what is left.
TEST(Memory, CountsMoveOutOnce) {
    const auto m = std::make_unique<FunctionMemory>();
    m->create(kHandle);
    m->counts.released[0] = 5;
    m->counts.next[0] = 9;
    FunctionCounts apart{};
    FunctionPlace place(*m, apart);
    EXPECT_FALSE(place.plausible());
    place.take_over();
    EXPECT_TRUE(place.plausible());
    EXPECT_FALSE(m->plausible());
    EXPECT_EQ(apart.released[0], 5u);
    EXPECT_EQ(apart.next[0], 9u);
    apart.next[0] = 10;
    place.take_over();
    EXPECT_EQ(apart.next[0], 10u);
    apart = {};  // their line was lost
    EXPECT_FALSE(place.plausible());
}

TEST(Memory, FunctionsKeepTheirCountsWhereThePlaceSays) {
    const auto m = std::make_unique<FunctionMemory>();
    FunctionCounts apart{};
    FunctionPlace place(*m, apart);
    place.create(kHandle);
    EXPECT_TRUE(place.plausible());
    Endpoint e(64);
    Function f(place, e, {});
    const std::uint64_t value = 1;
    ASSERT_EQ(f.submit(write_tlp(0, 8), bytes_of(value), 1, false, Time{}), Status::ok);
    EXPECT_EQ(apart.next[0], 2u);
    EXPECT_EQ(m->counts.next[0], 0u);
}

// Random bytes instead of memory: either refused or harmless.
TEST(Memory, AdoptsOnlyWhatItCanHandle) {
    Random random(99);
    auto m = std::make_unique<FunctionMemory>();
    unsigned adopted = 0;
    for (unsigned i = 0; i < 20000; ++i) {
        m->create(kHandle);
        m->counts.released[1] = random.below(300);
        m->counts.next[2] = 1 + random.below(300);
        m->counts.next[0] = 1 + random.below(4);
        m->counts.intent = random.chance(0.5) ? 0 : random.below(3) << 62 | random.below(300);
        const std::uint64_t slots = random.below(4);
        for (unsigned s = 0; s < slots; ++s) {
            ResultSlot& r = m->results[random.below(kRequestWindow)];
            r.request_sequence = random.below(300);
            r.completion_sequence = random.chance(0.5) ? m->counts.next[2] - random.below(3) : 0;
            r.follows_posted = random.below(4);
            r.status = static_cast<std::uint8_t>(random.below(6));
            r.length_bytes = static_cast<std::uint16_t>(random.below(5000));
            r.flags = static_cast<std::uint8_t>(random.below(3));
        }
        if (!m->plausible()) continue;
        ++adopted;
        Endpoint e(64);
        Function f(*m, e, {});
        EXPECT_TRUE(m->plausible()) << "what it left behind can be adopted again";
        EXPECT_EQ(m->counts.intent, 0u);
    }
    EXPECT_GT(adopted, 100u);
}

}  // namespace
}  // namespace farlane::proto::sim
