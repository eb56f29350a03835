// SPDX-License-Identifier: Apache-2.0
// Receives: accesses that come alone. Hands on: proof that a device sees an exact time when it is written to, and that
// what follows an answer leaves although its port took no more at first. Owns: both ends, turned by hand.
#include <array>

#include <gtest/gtest.h>

#include "lane/initiator.hpp"
#include "lane/scratch_device.hpp"
#include "lane/target_thread.hpp"

namespace farlane::lane {
namespace {

using namespace std::chrono_literals;
using D = test::ScratchDevice;

/// Looks at the clock of the lane when it is written to.
struct Watcher final : D {
    explicit Watcher(const Lane& l) : lane(l) {}
    Status bar_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                     std::uint8_t enables) noexcept override {
        written_at = lane.now();
        return D::bar_write(bar, offset, in, enables);
    }
    const Lane& lane;
    Time written_at{};
};

/// Takes a frame every other time.
class StingyPort final : public transport::Port {
public:
    explicit StingyPort(const std::string& url) : inner_(transport::open_port(url).take()) {}
    [[nodiscard]] const transport::PortInfo& info() const noexcept override { return inner_->info(); }
    [[nodiscard]] transport::PortCounters counters() const noexcept override { return inner_->counters(); }
    [[nodiscard]] std::size_t rx_burst(std::span<transport::RxFrame> frames) noexcept override {
        return inner_->rx_burst(frames);
    }
    void rx_release(std::span<transport::RxFrame> frames) noexcept override { inner_->rx_release(frames); }
    [[nodiscard]] std::size_t tx_alloc(std::span<transport::TxFrame> frames) noexcept override {
        if (stingy && ++asked_ % 2 == 0) return 0;
        return inner_->tx_alloc(frames);
    }
    void tx_send(std::span<transport::TxFrame> frames) noexcept override { inner_->tx_send(frames); }
    void tx_free(std::span<transport::TxFrame> frames) noexcept override { inner_->tx_free(frames); }
    [[nodiscard]] Result<transport::Address> resolve(std::string_view text) const override {
        return inner_->resolve(text);
    }
    [[nodiscard]] std::string to_string(const transport::Address& a) const override { return inner_->to_string(a); }

    bool stingy = false;

private:
    std::unique_ptr<transport::Port> inner_;
    unsigned asked_ = 0;
};

struct Completions final : AttachmentSink {
    void on_completion(std::uint64_t, Status s) noexcept override { ++(s == Status::ok ? good : bad); }
    void on_released(std::uint64_t) noexcept override {}
    void on_interrupt(std::uint32_t) noexcept override {}
    void on_event(EventKind, const std::string&) noexcept override {}
    unsigned good = 0, bad = 0;
};

class LoneLane : public testing::Test {
protected:
    void SetUp() override {
        auto owned = std::make_unique<StingyPort>("loop:lone");
        port = owned.get();
        target.listen(target_lane.add_port(std::move(owned)));
        auto owned_device = std::make_unique<Watcher>(target_lane);
        device = owned_device.get();
        ASSERT_EQ(target.add("scratch0", std::move(owned_device)).status(), Status::ok);
        const auto near = lane.add_port(transport::open_port("loop:lone").take());
        initiator.connect(near, {}, "");
        initiator.attach("scratch0", [&](Result<Attachment*> r) { attachment = r.take(); });
        ASSERT_TRUE(turn_until([&] { return attachment != nullptr; }));
        attachment->set_sink(&completions);
        const std::array<std::byte, 2> enable{std::byte{6}, std::byte{0}};
        const proto::Tlp tlp{.type = proto::TlpType::config_write, .length_bytes = 2, .address = 4};
        ASSERT_EQ(attachment->request(tlp, enable, {}, 1), Status::ok);
        ASSERT_TRUE(turn_until([&] { return completions.good == 1; }));
    }
    void TearDown() override {
        if (attachment != nullptr) attachment->set_sink(nullptr);
    }
    bool turn_until(const std::function<bool()>& done) {
        const Time give_up = Lane::clock() + 30s;
        while (!done() && Lane::clock() < give_up) {
            (void)target_lane.turn();
            (void)lane.turn();
        }
        return done();
    }
    void write(std::uint64_t value) {
        const proto::Tlp tlp{.type = proto::TlpType::memory_write, .bar = 0, .length_bytes = 8, .address = D::kCounter};
        ASSERT_EQ(attachment->submit(tlp, std::as_bytes(std::span(&value, 1)), 0, false), Status::ok);
    }
    std::array<std::uint64_t, 2> read() {
        std::array<std::uint64_t, 2> counted{};  // and errors
        const proto::Tlp tlp{.type = proto::TlpType::memory_read, .bar = 0, .length_bytes = 16, .address = D::kCounter};
        const unsigned before = completions.good;
        EXPECT_EQ(attachment->request(tlp, {}, std::as_writable_bytes(std::span(counted)), 2), Status::ok);
        EXPECT_TRUE(turn_until([&] { return completions.good == before + 1; }));
        return counted;
    }

    static constexpr auto kTimeout = 1s;
    static proto::FunctionLimits limits() {
        proto::FunctionLimits l;
        l.completion_timeout = kTimeout;
        return l;
    }
    static proto::SessionConfig side(const std::string& name, std::uint8_t id) {
        auto c = test::session_config(name, id);
        c.keepalive = 10s;  // nobody is silent in a pause
        return c;
    }
    /// The caller has what was written last, or a status.
    Status ask(std::uint64_t& value) {
        const proto::Tlp tlp{.type = proto::TlpType::memory_read, .bar = 0, .length_bytes = 8, .address = D::kCounter};
        return attachment->ask(tlp, std::as_writable_bytes(std::span(&value, 1)), 3);
    }

    std::unique_ptr<backend::Memory> target_memory = backend::process_memory(), memory = backend::process_memory();
    Lane target_lane, lane;
    Target target{target_lane, {side("target", 0x7a), {}, 64}, *target_memory};
    Initiator initiator{lane, InitiatorConfig{side("initiator", 1), limits(), 60s, 10ms}, *memory};
    Completions completions;
    StingyPort* port = nullptr;
    Watcher* device = nullptr;
    Attachment* attachment = nullptr;
};

// What it then asks for has a deadline from that time on.
TEST_F(LoneLane, AWriteComesAfterALookAtTheClock) {
    (void)read();
    const Time before_write = device->written_at;
    target_lane.tick();
    const Time start = Lane::clock();
    while (Lane::clock() - start < 5ms) continue;
    write(1);
    for (int i = 0; i < 4 && device->written_at == before_write; ++i) {
        (void)lane.turn();
        (void)target_lane.receive();
    }
    EXPECT_GT(device->written_at, start + 4ms);
    (void)target_lane.work();
}

TEST_F(LoneLane, WhatFollowsAnAnswerLeavesAlthoughThePortTookNoMore) {
    port->stingy = true;
    std::uint64_t written = 0;
    for (int round = 0; round < 300; ++round) {
        for (int i = 0; i < 16; ++i) write(++written);
        const auto counted = read();
        ASSERT_EQ(counted[0], written);
        ASSERT_EQ(counted[1], 0U);
        for (int i = 0; i < 16; ++i) {
            (void)target_lane.turn();
            (void)lane.turn();
        }
        ASSERT_TRUE(attachment->posted_drained()) << "sixteen are told at once, not when a timer is due";
    }
}

// Each leaves without a turn of this end, and has one answer; every twelfth takes an acknowledgement along.
TEST_F(LoneLane, WhatIsAskedLeavesAtOnce) {
    write(7);
    ASSERT_TRUE(turn_until([&] { return attachment->posted_drained(); }));
    for (int i = 0; i < 1000; ++i) {
        std::uint64_t value = 0;
        const unsigned before = completions.good;
        (void)lane.work();
        ASSERT_EQ(ask(value), Status::ok);
        (void)target_lane.turn();
        (void)lane.receive();
        ASSERT_EQ(completions.good, before + 1) << i;
        ASSERT_EQ(value, 7U);
    }
    EXPECT_EQ(completions.bad, 0U);
}

TEST_F(LoneLane, WhatIsAskedBehindAWriteComesBehindIt) {
    for (std::uint64_t i = 1; i <= 300; ++i) {
        const unsigned before = completions.good;
        std::uint64_t value = 0;
        write(i);
        ASSERT_EQ(ask(value), Status::ok);
        ASSERT_TRUE(turn_until([&] { return completions.good == before + 1; }));
        ASSERT_EQ(value, i);
    }
}

// The first one after a pause is sent before a look at the clock: the pause is not taken off its time.
TEST_F(LoneLane, APauseIsNotTheTimeOfWhatIsAskedBehindIt) {
    std::uint64_t value = 0;
    for (int i = 0; i < 20; ++i) {
        const unsigned before = completions.good;
        ASSERT_EQ(ask(value), Status::ok);
        ASSERT_TRUE(turn_until([&] { return completions.good == before + 1; }));
    }
    const Time start = Lane::clock();
    while (Lane::clock() - start < kTimeout + 10ms) continue;
    const unsigned before = completions.good;
    ASSERT_EQ(ask(value), Status::ok);
    (void)lane.work();
    EXPECT_EQ(completions.bad, 0U);
    ASSERT_TRUE(turn_until([&] { return completions.good + completions.bad == before + 1; }));
    EXPECT_EQ(completions.bad, 0U);
}

}  // namespace
}  // namespace farlane::lane
