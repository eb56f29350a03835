// SPDX-License-Identifier: Apache-2.0
// A link and a peer that lie: bounded memory, bounded time, a named error, and work goes on when they behave.
#include <gtest/gtest.h>

#include "proto/codec.hpp"
#include "proto/seal.hpp"
#include "simulation/load.hpp"

namespace farlane::simulation {
namespace {

constexpr std::uint64_t kWrites = 2000;

class Lies : public testing::Test {
protected:
    void SetUp() override {
        s = net.add_session({PathPlan{&down, &up, 50us}});
        ASSERT_TRUE(net.run_until([&] { return net.is_open(s); }, 1s));
        b = std::make_unique<Bulk>(net, s, 1);
        b->total = kWrites;
        net.run_for(10ms);
    }
    /// Everything written so far arrives, each byte once, within `limit`.
    void expect_all(Duration limit) {
        b->start(net);
        ASSERT_TRUE(net.run_until([&] { return b->done(); }, limit));
        EXPECT_EQ(b->arrived(), b->total * Bulk::kWriteBytes);
    }
    void expect_recovery() {
        up.config = down.config = LinkConfig{};
        b->total += kWrites;
        expect_all(1s);
    }
    [[nodiscard]] std::uint64_t drops(unsigned side, proto::Drop d) {
        return net.session(s, side).counters().drops[static_cast<unsigned>(d)];
    }

    Network net{1};
    Link& down = net.add_link({});
    Link& up = net.add_link({});
    unsigned s = 0;
    std::unique_ptr<Bulk> b;
};

TEST_F(Lies, MtuSmallerThanAnnounced) {
    ASSERT_EQ(net.session(s, kTarget).paths()[0].frame_bytes, 8972u);
    up.config.mtu_bytes = down.config.mtu_bytes = 1500;
    expect_all(5s);
    EXPECT_LE(net.session(s, kTarget).paths()[0].frame_bytes, 1500u);
    up.config.mtu_bytes = down.config.mtu_bytes = ~0u;
    net.run_for(130s);
    EXPECT_EQ(net.session(s, kTarget).paths()[0].frame_bytes, 8972u) << "tried again";
    expect_recovery();
}

TEST_F(Lies, ReorderingOfSeconds) {
    up.config.reorder = down.config.reorder = 0.05;
    up.config.reorder_by = down.config.reorder_by = 2s;
    expect_all(30s);
    expect_recovery();
    net.run_for(3s);  // the last ones arrive now
    EXPECT_EQ(b->arrived(), b->total * Bulk::kWriteBytes);
    EXPECT_EQ(net.session(s, kTarget).state(), proto::SessionState::open);
}

TEST_F(Lies, DuplicatedFloods) {
    up.config.duplicate = down.config.duplicate = 1;
    up.config.copies = down.config.copies = 30;
    expect_all(30s);
    EXPECT_GT(drops(kInitiator, proto::Drop::packet_duplicate), kWrites);
    expect_recovery();
}

// CLOCK_MONOTONIC never goes back, but a machine that was stopped may find it far ahead.
TEST_F(Lies, ClockJumpsForward) {
    for (const unsigned side : {kTarget, kInitiator}) {
        b->total += kWrites;
        b->start(net);
        net.run_for(1ms);
        ASSERT_FALSE(b->done());
        net.clock_offset[side] += 1h;
        expect_all(10s);
        ASSERT_TRUE(net.run_until([&] { return net.is_open(s); }, 5s));
    }
    expect_recovery();
}

TEST_F(Lies, AcknowledgesWhatWasNeverSent) {
    b->start(net);
    net.run_for(1ms);
    ASSERT_FALSE(b->done());
    alignas(8) std::array<std::byte, 128> out{};
    proto::FrameWriter f;
    f.begin(out, net.session(s, kTarget).session_id(), 0, 1'000'000, 0, 0, FL_FRAME_CRC_BYTES);
    proto::AckRecord lie;
    lie.largest = 900'000;
    lie.first_length = 900'000;
    ASSERT_TRUE(f.ack(lie, {}));
    const std::size_t bytes = f.finish();
    proto::ClearSeal{}.seal(std::span(out).first(bytes), 1'000'000);
    net.session(s, kTarget).on_frame(std::span(out).first(bytes), 0, net.now);
    EXPECT_EQ(net.session(s, kTarget).state(), proto::SessionState::closed);
    EXPECT_EQ(net.session(s, kTarget).why(), Status::protocol);
    EXPECT_EQ(drops(kTarget, proto::Drop::ack_impossible), 1u);
    net.run_for(100ms);
    EXPECT_EQ(net.session(s, kInitiator).why(), Status::protocol) << "it is told why";
    EXPECT_FALSE(b->done());

    // the function goes on in another session where it was
    const unsigned again = net.add_session({PathPlan{&down, &up, 50us}});
    ASSERT_TRUE(net.run_until([&] { return net.is_open(again); }, 1s));
    for (const unsigned side : {kTarget, kInitiator}) {
        proto::Session::Resume r;
        const auto& there = b->bound.memory[1 - side]->counts.released;
        std::copy(std::begin(there), std::end(there), r.released.begin());
        net.session(s, side).unbind(*b->bound.function[side], Status::ok, net.now);
        ASSERT_EQ(net.session(again, side).bind(*b->bound.function[side], r, net.now), Status::ok);
    }
    net.add_load(again, kTarget, *b);
    expect_all(1s);
}

// The peer attaches and never lets this side send: what is written waits, and no more than fits the window.
TEST(Credits, NoneForEver) {
    Network net(1);
    Link& down = net.add_link({});
    Link& up = net.add_link({});
    const unsigned s = net.add_session({PathPlan{&down, &up, 50us}});
    ASSERT_TRUE(net.run_until([&] { return net.is_open(s); }, 1s));
    std::array<std::unique_ptr<proto::FunctionMemory>, 2> memory;
    std::array<Counter, 2> handler;
    std::array<std::unique_ptr<proto::Function>, 2> function;
    for (const unsigned side : {kTarget, kInitiator}) {
        memory[side] = std::make_unique<proto::FunctionMemory>();
        memory[side]->create({1, 1});
        function[side] = std::make_unique<proto::Function>(*memory[side], handler[side], proto::FunctionLimits{});
    }
    ASSERT_EQ(net.session(s, kTarget).bind(*function[kTarget], {}, net.now), Status::ok);
    std::vector<std::byte> data(4096);
    proto::Tlp t;
    t.type = proto::TlpType::memory_write;
    t.length_bytes = 4096;
    std::uint64_t accepted = 0;
    while (function[kTarget]->submit(t, data, 0, false, net.now) == Status::ok) ++accepted;
    EXPECT_EQ(accepted, proto::FunctionLimits{}.posted_window);
    std::vector<Status> answers;
    handler[kTarget].on_answer = [&](std::uint64_t, Status status) { answers.push_back(status); };
    std::array<std::byte, 8> into{};
    proto::Tlp read;
    read.type = proto::TlpType::memory_read;
    read.length_bytes = 8;
    ASSERT_EQ(function[kTarget]->request(read, {}, into, 1, net.now), Status::ok);
    net.run_for(10s);
    ASSERT_EQ(answers.size(), 1u) << "within the completion timeout";
    EXPECT_EQ(answers[0], Status::timeout);
    EXPECT_EQ(into[0], std::byte{0xff});
    EXPECT_EQ(handler[kInitiator].bytes, 0u);
    EXPECT_EQ(function[kTarget]->submit(t, data, 0, false, net.now), Status::would_block);
    EXPECT_LT(up.carried, 30'000u) << "what is asked again is asked once per probe interval, 1 ms or more";

    ASSERT_EQ(net.session(s, kInitiator).bind(*function[kInitiator], {}, net.now), Status::ok);
    ASSERT_TRUE(net.run_until([&] { return function[kTarget]->posted_drained(); }, 5s));
    EXPECT_EQ(handler[kInitiator].bytes, accepted * 4096);
}

}  // namespace
}  // namespace farlane::simulation
