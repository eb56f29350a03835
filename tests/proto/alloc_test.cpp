// SPDX-License-Identifier: Apache-2.0
// No allocation on the hot path: a warm pair of sessions carries reads, writes and completions
// without a single call of operator new.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "proto/endpoint.hpp"
#include "proto/incoming_completions.hpp"
#include "proto/session.hpp"

namespace {
std::uint64_t allocations = 0;
}  // namespace

void* operator new(std::size_t bytes) {
    ++allocations;
    if (void* p = std::malloc(bytes)) return p;
    throw std::bad_alloc();
}
void* operator new(std::size_t bytes, std::align_val_t align) {
    ++allocations;
    const auto step = static_cast<std::size_t>(align);  // the size has to be a multiple of it
    if (void* p = std::aligned_alloc(step, (bytes + step - 1) / step * step)) return p;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
    std::free(p);
}

namespace farlane::proto {
namespace {

using namespace std::chrono_literals;

class Quiet : public FunctionHandler {
public:
    void on_posted(Function&, const Tlp&, std::span<const std::byte> p) noexcept override {
        std::memcpy(memory, p.data(), p.size());
        ++posted;
    }
    void on_relaxed(Function&, const Tlp&, std::uint32_t offset, std::span<const std::byte> p) noexcept override {
        std::memcpy(memory + offset, p.data(), p.size());
        relaxed_bytes += p.size();
    }
    Answer on_request(Function&, const Tlp& t, std::span<const std::byte>, RequestId, std::span<std::byte> result,
                      Status&) noexcept override {
        if (t.length_bytes > 64) return Answer::by_fetch;
        std::memcpy(result.data(), memory, result.size());
        return Answer::done;
    }
    Status fetch(Function&, std::uint64_t, std::uint32_t, std::uint32_t offset,
                 std::span<std::byte> out) noexcept override {
        std::memcpy(out.data(), memory + offset, out.size());
        return Status::ok;
    }
    void on_completion(Function&, std::uint64_t, Status s) noexcept override { completed += s == Status::ok; }
    void on_released(Function&, std::uint64_t) noexcept override { ++released; }
    void on_event(Function&, FunctionEvent, const Tlp*) noexcept override {}
    std::byte memory[4096] = {};
    std::uint64_t posted = 0, relaxed_bytes = 0, completed = 0, released = 0;
};

class Nobody : public SessionHandler {
    void on_state(Session&, SessionState, Status) noexcept override {}
    void on_list(Session&, std::uint32_t) noexcept override {}
    void on_list_reply(Session&, std::uint32_t, unsigned, unsigned, const fl_function_desc&) noexcept override {}
    void on_attach(Session&, const AttachRequest&) noexcept override {}
    void on_attach_reply(Session&, const AttachReply&) noexcept override {}
    void on_detach(Session&, std::uint32_t, FunctionHandle, Status) noexcept override {}
    void on_detach_reply(Session&, std::uint32_t, FunctionHandle, Status) noexcept override {}
    void on_event(Session&, unsigned, FunctionHandle, const fl_function_desc&) noexcept override {}
};

/// Two sessions back to back; every `lose`-th frame is lost, every `swap`-th changes places with
/// the one behind it.
struct BackToBack {
    BackToBack() {
        SessionConfig c;
        c.session_id = 1;
        c.nonce = 9;
        PathConfig path{.max_frame_bytes = 4500, .reliable_mtu = true};
        a = std::make_unique<Session>(c, nobody, nullptr);
        (void)a->add_path(path, now);
        std::size_t n = a->build(frame, now).bytes;
        c.session_id = 2;
        b = std::make_unique<Session>(c, nobody, nullptr, parse_hello(std::span(frame).first(n)).take(), path, now);
        turn();
        ma->create({1, 1});
        mb->create({1, 1});
        fa = std::make_unique<Function>(*ma, ha,
                                        FunctionLimits{.completion_timeout = 600s, .completion_timeout_max = 600s});
        fb = std::make_unique<Function>(*mb, hb,
                                        FunctionLimits{.completion_timeout = 600s, .completion_timeout_max = 600s});
        EXPECT_EQ(b->bind(*fb, {}, now), Status::ok);
        EXPECT_EQ(a->bind(*fa, {}, now), Status::ok);
        turn();
    }
    void turn() {
        for (bool more = true; more;) {
            more = side(*a, *b);
            more = side(*b, *a) || more;
        }
        now += 20us;
    }
    bool side(Session& from, Session& to) {
        if (from.next_timer() <= now) from.on_timer(now);
        bool any = false;
        while (from.wants_to_send(now)) {
            const std::size_t n = from.build(frame, now).bytes;
            if (n == 0) break;
            any = true;
            ++frames;
            if (lose != 0 && frames % lose == 0) continue;
            if (swap != 0 && frames % swap == 0 && held_bytes == 0) {
                std::memcpy(held.data(), frame.data(), n);
                held_bytes = n;
                held_to = &to;
                continue;
            }
            to.on_frame(std::span(frame).first(n), 0, now);
            if (held_bytes != 0 && held_to == &to) {
                to.on_frame(std::span(held).first(std::exchange(held_bytes, 0)), 0, now);
            }
        }
        return any;
    }
    void work(unsigned rounds) {
        for (unsigned i = 0; i < rounds; ++i) {
            for (unsigned k = 0; k < 6; ++k) {
                const std::uint16_t bytes = k % 2 == 0 ? 8 : 4096;
                (void)fa->submit(sim::write_tlp(0, bytes, k == 3), {data, bytes}, k, true, now);
                (void)fb->submit(sim::write_tlp(0, bytes, k == 5), {data, bytes}, k, true, now);
            }
            (void)fa->request(sim::read_tlp(0, 8), {}, {into, 8}, 1, now);
            (void)fa->request(sim::read_tlp(0, 4096), {}, {into, 4096}, 2, now);
            (void)fb->request(sim::read_tlp(0, 64), {}, {into_b, 64}, 3, now);
            turn();
        }
    }

    Time now{1s};
    Nobody nobody;
    Quiet ha, hb;
    std::unique_ptr<FunctionMemory> ma = std::make_unique<FunctionMemory>(), mb = std::make_unique<FunctionMemory>();
    std::unique_ptr<Session> a, b;
    std::unique_ptr<Function> fa, fb;
    std::array<std::byte, FL_FRAME_MAX_BYTES> frame{}, held{};
    std::size_t held_bytes = 0;
    Session* held_to = nullptr;
    std::uint64_t frames = 0;
    unsigned lose = 0, swap = 0;
    std::byte data[4096] = {}, into[4096] = {}, into_b[64] = {};
};

TEST(Allocation, NoneWhenWarm) {
    BackToBack x;
    x.work(2000);
    const std::uint64_t before = allocations, done = x.ha.completed;
    x.work(5000);
    EXPECT_EQ(allocations - before, 0u);
    EXPECT_EQ(x.ha.completed - done, 10'000u);
    EXPECT_GT(x.hb.posted, 20'000u);
    EXPECT_GT(x.ha.released, 20'000u);
}

TEST(Allocation, NoneUnderLossWhenWarm) {
    BackToBack x;
    x.lose = 37;
    x.swap = 11;
    x.work(4000);
    const std::uint64_t before = allocations, done = x.ha.completed;
    x.work(5000);
    EXPECT_EQ(allocations - before, 0u);
    EXPECT_GT(x.ha.completed - done, 9'000u);
}

// The peer chooses when one comes early: then nothing may fail.
TEST(Allocation, NoneForTheFirstEarlyCompletion) {
    CompletionsIn in(0);
    const std::uint64_t before = allocations;
    in.open(in.at(2), 2);
    EXPECT_EQ(allocations - before, 0u);
}

TEST(Allocation, CounterWorks) {
    const std::uint64_t before = allocations;
    delete new int(3);
    auto* volatile p = new std::byte[10];
    delete[] p;
    EXPECT_GE(allocations - before, 1u);
}

}  // namespace
}  // namespace farlane::proto
