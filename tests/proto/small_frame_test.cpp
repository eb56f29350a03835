// SPDX-License-Identifier: Apache-2.0
// Small frames: those with one transaction, which go a way of their own, and those that may wait for their
// acknowledgement. docs/wire.md, "Acknowledgement" and "Loss".
#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "proto/endpoint.hpp"
#include "proto/sim.hpp"

namespace farlane::proto::sim {
namespace {

/// Does something while data is fetched, as a handler may.
struct Talkative : Endpoint {
    Status fetch(Function& f, std::uint64_t address, std::uint32_t pasid, std::uint32_t offset,
                 std::span<std::byte> out) noexcept override {
        if (const auto act = std::exchange(on_fetch_do, nullptr)) act(f);
        return Endpoint::fetch(f, address, pasid, offset, out);
    }
    std::function<void(Function&)> on_fetch_do;
};

/// Notes which frames were opened. With keys one is decrypted in place: a second time it would not be authentic.
struct NotedSeal final : Seal {
    explicit NotedSeal(std::vector<std::uint64_t>& o) : opened(o) {}
    [[nodiscard]] std::size_t trailer_bytes() const noexcept override { return clear.trailer_bytes(); }
    [[nodiscard]] std::uint8_t frame_flags() const noexcept override { return clear.frame_flags(); }
    void seal(std::span<std::byte> frame, std::uint64_t n) noexcept override { clear.seal(frame, n); }
    [[nodiscard]] bool open(std::span<std::byte> frame, std::uint64_t n) noexcept override {
        opened.push_back(n);
        return clear.open(frame, n);
    }
    ClearSeal clear;
    std::vector<std::uint64_t>& opened;
};

TEST(Lone, WhatIsReadyWhileItIsBuiltGoesAtOnce) {
    World w(1);
    w.wires[0].faults.delay = 1us;  // answers follow each other so closely that not all carry an acknowledgement
    ASSERT_TRUE(w.connect());
    Port a;
    const auto memory = std::make_unique<FunctionMemory>();
    memory->create({3, 1});
    Talkative device;
    Function b(*memory, device, {});
    ASSERT_EQ(w.target().bind(b, {}, w.now), Status::ok);
    ASSERT_EQ(w.initiator().bind(a.start(), {}, w.now), Status::ok);
    w.run_for(50ms);
    RequestId put_off;
    device.on_request_do = [&](Function&, const Tlp& t, auto, RequestId id, auto, Status&) {
        if (t.length_bytes == 8) return Answer::by_fetch;
        put_off = id;
        return Answer::later;
    };
    std::array<std::byte, 8> into;
    std::array<std::byte, 4> later;
    std::uint64_t cookie = 0;
    std::uint64_t written = 0;
    const auto ask = [&](std::span<std::byte> to, Duration limit) {
        ASSERT_EQ(a.function->request(read_tlp(0, static_cast<std::uint16_t>(to.size())), {}, to, ++cookie, w.now),
                  Status::ok);
        const auto all = [&] { return a.endpoint.completions == cookie && a.endpoint.posted == written; };
        EXPECT_EQ(w.run_until(all, limit), to.size() == into.size()) << cookie;
    };
    for (unsigned n = 0; n < 32; ++n) {
        ask(later, 3us);
        device.on_fetch_do = [&](Function& f) { f.answer(put_off, Status::ok, w.now); };
        ask(into, 100us);
    }
    for (unsigned n = 0; n < 32; ++n) {
        for (unsigned i = 0; i < n % 4; ++i) ask(into, 100us);
        device.on_fetch_do = [&](Function& f) {
            written += f.submit(write_tlp(0, 8), into, 0, false, w.now) == Status::ok ? 1 : 0;
        };
        ask(into, 100us);
    }
    EXPECT_EQ(written, 32U);
    EXPECT_EQ(a.endpoint.complaint, "");
}

TEST(Lone, WhatGoesTheLongWayIsOpenedOnce) {
    World w(2);
    for (Side& s : w.sides) s.path.max_frame_bytes = FL_FRAME_BASE_BYTES;
    w.open();
    std::array<std::byte, FL_FRAME_MAX_BYTES> out;
    auto built = w.initiator().build(out, w.now);
    auto hello = parse_hello(std::span(out).first(built.bytes));
    ASSERT_TRUE(hello);
    std::vector<std::uint64_t> opened;
    Side& t = w.sides[1];
    Session target(t.config, t.owner, std::make_unique<NotedSeal>(opened), *hello, t.path, w.now);
    const auto turn = [&](Session& s, Session& other) {
        s.settle();
        if (s.next_timer() <= w.now) s.on_timer(w.now);
        while (s.wants_to_send(w.now)) {
            built = s.build(out, w.now);
            if (built.bytes == 0) return;
            const auto frame = std::span(out).first(built.bytes);
            if (peek_session(frame) != 0U) other.on_frame(frame, 0, w.now);
        }
    };
    const auto talk = [&](Duration d) {
        for (const Time end = w.now + d; w.now < end; w.now += 10us) {
            turn(w.initiator(), target);
            turn(target, w.initiator());
        }
    };
    talk(1ms);
    Port a, b;
    ASSERT_EQ(target.bind(b.start(), {}, w.now), Status::ok);
    ASSERT_EQ(w.initiator().bind(a.start(), {}, w.now), Status::ok);
    talk(20ms);
    const std::vector<std::byte> data(4096);
    for (unsigned n = 0; n < 100; ++n) {
        const std::uint16_t bytes = n % 2 == 0 ? 4096 : 8;
        ASSERT_EQ(a.function->submit(write_tlp(0, bytes), {data.data(), bytes}, 0, false, w.now), Status::ok);
        talk(50us);
    }
    talk(50ms);
    EXPECT_EQ(b.endpoint.posted, 100U);
    EXPECT_EQ(opened.size(), std::set(opened.begin(), opened.end()).size())
        << "a part of a long write is alone as well";
}

// --- frames that may wait

struct FarApart {
    explicit FarApart(std::uint64_t seed, Duration delay) : w(seed) {
        w.wires[0].faults.delay = delay;
        EXPECT_TRUE(w.connect());
        EXPECT_EQ(w.target().bind(b.start(), {}, w.now), Status::ok);
        EXPECT_EQ(w.initiator().bind(a.start(), {}, w.now), Status::ok);
        w.run_for(5ms);
    }
    void write(std::uint16_t bytes) {
        ASSERT_EQ(a.function->submit(write_tlp(0, bytes), {data.data(), bytes}, 0, false, w.now), Status::ok);
    }
    void read(std::uint64_t cookie) {
        ASSERT_EQ(a.function->request(read_tlp(0, 8), {}, into, cookie, w.now), Status::ok);
    }

    World w;
    Port a, b;
    std::vector<std::byte> data = std::vector<std::byte>(512);
    std::array<std::byte, 8> into;
};

// What may not wait is probed for as soon as ever, whatever was sent before it.
TEST(FarApart, ARequestBehindAWriteIsProbedForInTime) {
    FarApart x(3, 50us);
    for (unsigned n = 0; n < 9; ++n) {
        x.w.run_for(1500us);
        x.write(64);
    }
    x.w.run_for(200us);
    x.w.wires[0].faults.down = true;
    x.read(1);
    const Time start = x.w.now;
    x.w.run_for(10us);
    x.w.wires[0].faults.down = false;
    ASSERT_TRUE(x.w.run_until([&] { return x.a.endpoint.completions == 1; }, 1s));
    EXPECT_LE(x.w.now - start, 1500us) << "a round trip of 100 us, 1 ms, and a round trip";
}

// When all that wait may, none is probed for, although the first of them was sent beside one that may not.
TEST(FarApart, OnALongPathNoneIsProbedFor) {
    FarApart x(4, 5ms);
    for (std::uint64_t n = 1; n <= 50; ++n) {
        x.read(n);
        x.w.run_for(20ms);
    }
    const std::uint64_t before = x.w.initiator().counters().tail_probes;
    for (unsigned n = 0; n < 20; ++n) {
        for (unsigned i = 0; i < 12; ++i) {
            x.write(i < 4 ? 512 : 64);
            x.w.run_for(4ms);
        }
        x.w.run_for(30ms);
    }
    EXPECT_EQ(x.w.initiator().counters().tail_probes, before);
    EXPECT_EQ(x.b.endpoint.posted, 240U);
}

}  // namespace
}  // namespace farlane::proto::sim
