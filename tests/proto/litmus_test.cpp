// SPDX-License-Identifier: Apache-2.0
// Ordering litmus tests. Each has a list of the outcomes that PCIe (PCIe 6.0, 2.4.1) allows and
// is run with many seeds, over one path and over two with different delays, under reordering,
// loss and duplication. An outcome outside its list fails; where all outcomes that need
// reordering are allowed the test also checks that they are not all the same (the faults work).
#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "proto/endpoint.hpp"
#include "proto/sim.hpp"

namespace farlane::proto::sim {
namespace {

constexpr std::uint64_t kX = 0, kY = 4096, kFlag = 8192;
using Outcome = std::pair<int, int>;

struct Litmus {
    Litmus(std::uint64_t seed, unsigned paths, FunctionHandle second = {0, 0}) : w(seed, paths) {
        for (unsigned i = 0; i < paths; ++i) {
            Faults& f = w.wires[i].faults;
            f.delay = Duration(static_cast<std::int64_t>(5'000 + w.random.below(300'000)));
            f.jitter = Duration(static_cast<std::int64_t>(w.random.below(400'000)));
            f.loss = static_cast<double>(w.random.below(25)) / 100;
            f.reorder = 0.2;
            f.duplicate = 0.1;
        }
        EXPECT_TRUE(w.connect());
        bind(a, b);
        if (second.index != 0) {
            a2 = std::make_unique<Port>(second);
            b2 = std::make_unique<Port>(second);
            bind(*a2, *b2);
        }
        w.run_for(2ms);
    }
    void bind(Port& at_initiator, Port& at_target) {
        EXPECT_EQ(w.target().bind(at_target.start(), {}, w.now), Status::ok);
        EXPECT_EQ(w.initiator().bind(at_initiator.start(), {}, w.now), Status::ok);
    }
    // A write of `bytes` bytes of ones.
    void write(Port& from, std::uint64_t address, std::uint16_t bytes = 8, bool relaxed = false) {
        ASSERT_EQ(from.function->submit(write_tlp(address, bytes, relaxed), {ones.data(), bytes}, 0, false, w.now),
                  Status::ok);
    }
    static int value(const Port& p, std::uint64_t address, std::uint16_t bytes = 8) {
        int first = std::to_integer<int>(p.endpoint.ram[address]);
        for (unsigned i = 1; i < bytes; ++i)
            if (std::to_integer<int>(p.endpoint.ram[address + i]) != first) return -1;  // torn
        return first;
    }
    void pause() { w.run_for(Duration(static_cast<std::int64_t>(w.random.below(200'000)))); }
    bool until(const std::function<bool()>& done) { return w.run_until(done, 30s); }

    World w;
    Port a, b;
    std::unique_ptr<Port> a2, b2;
    std::vector<std::byte> ones = std::vector<std::byte>(4096, std::byte{1});
};

constexpr std::uint64_t kSeeds = 150;

void each_run(const std::function<void(std::uint64_t seed, unsigned paths)>& run) {
    for (const unsigned paths : {1u, 2u})
        for (std::uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
            SCOPED_TRACE("seed " + std::to_string(seed) + " paths " + std::to_string(paths));
            run(seed, paths);
        }
}

void expect_only(const std::set<Outcome>& seen, const std::set<Outcome>& allowed) {
    for (const Outcome& o : seen)
        EXPECT_TRUE(allowed.contains(o)) << "forbidden outcome (" << o.first << ", " << o.second << ")";
}

// Message passing: data, then flag. Whoever sees the flag sees the data, whether the data went
// strict or relaxed, whole or in fragments. Seen: (flag, data) after each step of the target.
TEST(Litmus, MessagePassing) {
    const std::set<Outcome> allowed{{0, 0}, {0, 1}, {1, 1}, {0, -1}};  // -1: data partly there
    each_run([&](std::uint64_t seed, unsigned paths) {
        Litmus l(seed, paths);
        std::set<Outcome> seen;
        l.write(l.a, kX, 4096, seed % 2 == 0);
        if (seed % 3 == 0) l.pause();
        l.write(l.a, kFlag);
        ASSERT_TRUE(l.until([&] {
            seen.insert({Litmus::value(l.b, kFlag), Litmus::value(l.b, kX, 4096)});
            return Litmus::value(l.b, kFlag) == 1;
        }));
        expect_only(seen, allowed);
    });
}

// An interrupt is a posted write like any other: it comes after the data.
TEST(Litmus, InterruptAfterData) {
    each_run([&](std::uint64_t seed, unsigned paths) {
        Litmus l(seed, paths);
        std::set<Outcome> seen;
        l.write(l.b, kX, 2048, true);
        Tlp msi;
        msi.type = TlpType::msi;
        msi.address = 0xfee00000;
        msi.length_bytes = 4;
        ASSERT_EQ(l.b.function->submit(msi, {l.ones.data(), 4}, 0, false, l.w.now), Status::ok);
        ASSERT_TRUE(l.until([&] {
            if (l.a.endpoint.interrupts == 1) seen.insert({1, Litmus::value(l.a, kX, 2048)});
            return l.a.endpoint.interrupts == 1;
        }));
        expect_only(seen, {{1, 1}});
    });
}

// Message passing over two functions: there is no order between functions, all four outcomes
// are allowed, and a lost frame of one function must not hold the other up.
TEST(Litmus, FunctionsDoNotWait) {
    std::set<Outcome> seen;
    each_run([&](std::uint64_t seed, unsigned paths) {
        Litmus l(seed, paths, {4, 1});
        l.write(l.a, kX, 8);
        l.pause();
        l.write(*l.a2, kFlag);
        ASSERT_TRUE(l.until([&] {
            seen.insert({Litmus::value(*l.b2, kFlag), Litmus::value(l.b, kX)});
            return Litmus::value(*l.b2, kFlag) == 1 && Litmus::value(l.b, kX) == 1;
        }));
    });
    expect_only(seen, {{0, 0}, {0, 1}, {1, 0}, {1, 1}});
    EXPECT_TRUE(seen.contains({1, 0})) << "the second function has always waited for the first";
}

// Store buffering with posted writes alone: each side writes into the other's memory, then looks
// at its own. Both may see 0: posted writes are buffered.
TEST(Litmus, StoreBuffering) {
    std::set<Outcome> seen;
    each_run([&](std::uint64_t seed, unsigned paths) {
        Litmus l(seed, paths);
        l.write(l.a, kX);
        if (seed % 2 == 0) l.pause();
        const int r0 = Litmus::value(l.a, kY);
        l.write(l.b, kY);
        if (seed % 3 == 0) l.pause();
        const int r1 = Litmus::value(l.b, kX);
        seen.insert({r0, r1});
    });
    expect_only(seen, {{0, 0}, {0, 1}, {1, 0}, {1, 1}});
    EXPECT_TRUE(seen.contains({0, 0}));
}

// Store buffering where each side reads through the fabric before it looks: the read pushes the
// write, so one of them sees the other's.
TEST(Litmus, StoreBufferingWithReads) {
    const std::set<Outcome> allowed{{0, 1}, {1, 0}, {1, 1}};
    each_run([&](std::uint64_t seed, unsigned paths) {
        Litmus l(seed, paths);
        int r0 = -1, r1 = -1;
        l.a.endpoint.on_completion_do = [&](Function&, std::uint64_t, Status) { r0 = Litmus::value(l.a, kY); };
        l.b.endpoint.on_completion_do = [&](Function&, std::uint64_t, Status) { r1 = Litmus::value(l.b, kX); };
        std::array<std::byte, 4> into_a{}, into_b{};
        l.write(l.a, kX, static_cast<std::uint16_t>(seed % 2 == 0 ? 8 : 4096));
        ASSERT_EQ(l.a.function->request(read_tlp(kFlag, 4), {}, into_a, 0, l.w.now), Status::ok);
        if (seed % 3 == 0) l.pause();
        l.write(l.b, kY);
        ASSERT_EQ(l.b.function->request(read_tlp(kFlag, 4), {}, into_b, 0, l.w.now), Status::ok);
        ASSERT_TRUE(l.until([&] { return r0 != -1 && r1 != -1; }));
        expect_only({{r0, r1}}, allowed);
    });
}

// A read pushes the posted writes before it: it returns what they wrote, strict or relaxed.
// Seen: (value read, value in memory when the answer is there).
TEST(Litmus, ReadPushesWrite) {
    each_run([&](std::uint64_t seed, unsigned paths) {
        Litmus l(seed, paths);
        l.write(l.a, kX, 4096, seed % 2 == 0);
        if (seed % 3 == 0) l.pause();
        std::vector<std::byte> into(4096);
        bool done = false;
        l.a.endpoint.on_completion_do = [&](Function&, std::uint64_t, Status s) { done = s == Status::ok; };
        ASSERT_EQ(l.a.function->request(read_tlp(kX, 4096), {}, into, 0, l.w.now), Status::ok);
        l.write(l.a, kY);  // behind the read: may pass it
        ASSERT_TRUE(l.until([&] { return done; }));
        EXPECT_EQ(into, l.ones);
        expect_only({{1, Litmus::value(l.b, kX, 4096)}}, {{1, 1}});
    });
}

// A completion pushes the posted writes of the completer before it: a driver that reads the
// status register sees the data behind it. Seen: (status, data).
TEST(Litmus, CompletionPushesWrite) {
    each_run([&](std::uint64_t seed, unsigned paths) {
        Litmus l(seed, paths);
        std::set<Outcome> seen;
        RequestId pending{};
        l.b.endpoint.on_request_do = [&](Function& f, const Tlp&, std::span<const std::byte>, RequestId id,
                                         std::span<std::byte> result, Status&) {
            result[0] = std::byte{1};  // "done"
            EXPECT_EQ(f.submit(write_tlp(kX, 4096, seed % 2 == 0), l.ones, 0, false, l.w.now), Status::ok);
            pending = id;
            return seed % 3 == 0 ? Answer::later : Answer::done;
        };
        std::array<std::byte, 4> into{};
        bool done = false;
        l.a.endpoint.on_completion_do = [&](Function&, std::uint64_t, Status) {
            seen.insert({std::to_integer<int>(into[0]), Litmus::value(l.a, kX, 4096)});
            done = true;
        };
        ASSERT_EQ(l.a.function->request(read_tlp(kFlag, 4), {}, into, 0, l.w.now), Status::ok);
        ASSERT_TRUE(l.until([&] {
            if (seed % 3 == 0 && pending.sequence != 0) l.b.function->answer(pending, Status::ok, l.w.now);
            return done;
        }));
        expect_only(seen, {{1, 1}});
    });
}

// Posted writes pass requests and completions that can not move: the deadlock rule. The target
// answers only after it has seen a write that was submitted behind the request.
TEST(Litmus, PostedPassesRequest) {
    each_run([&](std::uint64_t seed, unsigned paths) {
        Litmus l(seed, paths);
        RequestId pending{};
        l.b.endpoint.on_request_do = [&](Function&, const Tlp&, std::span<const std::byte>, RequestId id,
                                         std::span<std::byte>, Status&) {
            pending = id;
            return Answer::later;
        };
        l.b.endpoint.on_posted_do = [&](Function& f, const Tlp&, std::span<const std::byte>) {
            if (pending.sequence != 0) f.answer(pending, Status::ok, l.w.now);
        };
        bool done = false;
        l.a.endpoint.on_completion_do = [&](Function&, std::uint64_t, Status s) { done = s == Status::ok; };
        std::array<std::byte, 4> into{};
        ASSERT_EQ(l.a.function->request(read_tlp(kFlag, 4), {}, into, 0, l.w.now), Status::ok);
        for (unsigned i = 0; i < 8 && !done; ++i) {
            l.write(l.a, kX);
            l.w.run_for(20ms);
        }
        ASSERT_TRUE(l.until([&] {
            if (!done) l.write(l.a, kX);
            return done;
        }));
    });
}

}  // namespace
}  // namespace farlane::proto::sim
