// SPDX-License-Identifier: Apache-2.0
// Receives: disturbed ports on a fake clock. Hands on: verdicts. Owns: the clock.
#include <algorithm>
#include <set>

#include <gmock/gmock.h>

#include "port_test_util.hpp"
#include "transport/fault/fault_port.hpp"

namespace farlane::transport::test {
namespace {

constexpr std::int64_t kMs = 1'000'000;

// A loop pair whose end `a` is disturbed, in simulated time.
struct Bench {
    explicit Bench(const std::string& keys) {
        static int number = 0;
        const std::string name = "loop:fault" + std::to_string(number++) + "?depth=4096&mtu=512";
        a = must_open("fault+" + name + "&" + keys);
        b = must_open(name);
        fault = dynamic_cast<FaultPort*>(a.get());
        if (fault == nullptr) throw std::runtime_error("no fault port");
        fault->use_clock(&now_ns);
    }
    std::vector<Received> run(std::uint32_t frames, std::int64_t step_ns = 0) {
        std::vector<Received> got;
        for (std::uint32_t n = 0; n < frames; ++n, now_ns += step_ns) {
            EXPECT_TRUE(send_frame(*a, n, 64));
            for (const Received& r : take(*b)) got.push_back(r);
        }
        while (a->next_event_ns() != INT64_MAX) {
            now_ns = std::max(now_ns, a->next_event_ns());
            a->flush();
            for (const Received& r : take(*b, 4096)) got.push_back(r);
        }
        return got;
    }
    std::int64_t now_ns = 1000 * kMs;
    std::unique_ptr<Port> a, b;
    FaultPort* fault = nullptr;
};

std::vector<std::int64_t> numbers(const std::vector<Received>& frames) {
    std::vector<std::int64_t> out;
    for (const Received& r : frames) out.push_back(r.number);
    return out;
}

TEST(Fault, LossFollowsFromTheSeed) {
    Bench one("loss=30%&seed=7"), same("loss=0.3&seed=7"), other("loss=30%&seed=8");
    const auto got = numbers(one.run(3000));
    EXPECT_EQ(got, numbers(same.run(3000)));
    EXPECT_NE(got, numbers(other.run(3000)));
    EXPECT_EQ(got.size() + one.a->counters().faults_lost, 3000u);
    EXPECT_NEAR(static_cast<double>(one.a->counters().faults_lost), 900, 150);
    EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
}

TEST(Fault, BothEndsOfALoopLoseDifferentFrames) {
    auto a = must_open("loop:twins?loss=50%"), b = must_open("loop:twins?loss=50%");
    EXPECT_EQ(a->info().kind, "loop");
    std::vector<std::int64_t> at_a, at_b;
    for (std::uint32_t n = 0; n < 200; ++n) {
        ASSERT_TRUE(send_frame(*a, n, 64) && send_frame(*b, n, 64));
        for (const auto& r : take(*a)) at_a.push_back(r.number);
        for (const auto& r : take(*b)) at_b.push_back(r.number);
    }
    EXPECT_NE(at_a, at_b);
}

TEST(Fault, DelayAndJitterKeepTheOrder) {
    Bench bench("delay=200ms&jitter=5ms");
    ASSERT_TRUE(send_frame(*bench.a, 0, 64));
    EXPECT_TRUE(take(*bench.b).empty());
    EXPECT_GE(bench.a->next_event_ns(), bench.now_ns + 200 * kMs);
    EXPECT_LE(bench.a->next_event_ns(), bench.now_ns + 205 * kMs);
    EXPECT_TRUE(bench.a->arm());  // nothing to do now: the lane may sleep until next_event_ns
    bench.a->disarm();
    bench.now_ns += 199 * kMs;
    bench.a->flush();
    EXPECT_TRUE(take(*bench.b).empty());
    bench.now_ns += 6 * kMs;
    EXPECT_FALSE(bench.a->arm());
    bench.a->flush();
    EXPECT_EQ(numbers(take(*bench.b)), std::vector<std::int64_t>{0});
    const auto got = numbers(bench.run(500, kMs / 10));
    ASSERT_EQ(got.size(), 500u);
    EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
    EXPECT_EQ(bench.a->counters().faults_delayed, 501u);
}

TEST(Fault, ReorderLetsOthersOvertake) {
    Bench bench("reorder=10%&reorder_by=2ms&seed=3");
    auto got = numbers(bench.run(2000, kMs / 10));
    ASSERT_EQ(got.size(), 2000u);
    EXPECT_FALSE(std::is_sorted(got.begin(), got.end()));
    std::sort(got.begin(), got.end());
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], static_cast<std::int64_t>(i));
    EXPECT_NEAR(static_cast<double>(bench.a->counters().faults_reordered), 200, 60);
}

TEST(Fault, DuplicatesAreWhole) {
    Bench bench("dup=20%");
    const auto got = numbers(bench.run(1000));
    EXPECT_EQ(got.size(), 1000 + bench.a->counters().faults_duplicated);
    EXPECT_NEAR(static_cast<double>(bench.a->counters().faults_duplicated), 200, 60);
    EXPECT_EQ(std::set<std::int64_t>(got.begin(), got.end()).size(), 1000u);
    EXPECT_THAT(got, ::testing::Each(::testing::Ge(0)));
}

TEST(Fault, EveryCorruptedFrameIsChanged) {
    Bench bench("corrupt=25%");
    std::uint64_t changed = 0;
    for (std::uint32_t n = 0; n < 1000; ++n) {
        std::array<TxFrame, 1> tx;
        ASSERT_EQ(bench.a->tx_alloc(tx), 1u);
        std::memset(tx[0].data, 0x5a, 64);
        tx[0].size_bytes = 64;
        bench.a->tx_send(tx);
        std::array<RxFrame, 1> rx;
        ASSERT_EQ(bench.b->rx_burst(rx), 1u);
        EXPECT_EQ(rx[0].size_bytes, 64u);
        changed += std::any_of(rx[0].data, rx[0].data + 64, [](std::byte b) { return b != std::byte{0x5a}; });
        bench.b->rx_release(rx);
    }
    EXPECT_EQ(changed, bench.a->counters().faults_corrupted);
    EXPECT_NEAR(static_cast<double>(changed), 250, 70);
}

TEST(Fault, RateSpacesFramesAndItsQueueDropsTheTail) {
    // 64 bytes at 512 kbit/s: one frame a millisecond
    Bench slow("rate=512k&queue=64M");
    for (std::uint32_t n = 0; n < 10; ++n) ASSERT_TRUE(send_frame(*slow.a, n, 64));
    for (int i = 1; i <= 10; ++i) {
        slow.now_ns += kMs;
        slow.a->flush();
        EXPECT_EQ(take(*slow.b).size(), 1u) << i;
    }
    Bench small("rate=512k&queue=640");
    EXPECT_EQ(small.run(100).size(), 10u);
    EXPECT_EQ(small.a->counters().faults_lost, 90u);
}

TEST(Fault, HoldIsBoundedAndPushesBack) {
    Bench bench("delay=1s&hold=16");
    std::uint32_t n = 0;
    while (send_frame(*bench.a, n, 64)) ASSERT_LT(++n, 100u);
    EXPECT_EQ(n, 16u);
    bench.now_ns += 1000 * kMs;
    bench.a->flush();
    EXPECT_EQ(take(*bench.b).size(), 16u);
    EXPECT_TRUE(send_frame(*bench.a, n, 64));
}

TEST(Fault, FullInnerPortLosesNothing) {
    auto a = must_open("fault+loop:tight?depth=4&hold=64"), b = must_open("loop:tight?depth=4");
    std::vector<std::int64_t> got;
    for (std::uint32_t n = 0; n < 40; ++n) ASSERT_TRUE(send_frame(*a, n, 64));
    for (int i = 0; i < 20; ++i) {
        for (const auto& r : take(*b)) got.push_back(r.number);
        a->flush();
    }
    ASSERT_EQ(got.size(), 40u);
    EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
}

TEST(Fault, CutAndHealBySet) {
    Bench bench("seed=1");
    EXPECT_EQ(bench.run(10).size(), 10u);
    FaultSpec cut = bench.fault->faults();
    cut.loss = 1;
    cut.sent = cut.received = true;
    bench.fault->set(cut);
    EXPECT_EQ(bench.run(10).size(), 0u);
    for (std::uint32_t n = 0; n < 10; ++n) ASSERT_TRUE(send_frame(*bench.b, n, 64));
    EXPECT_TRUE(take(*bench.a).empty());
    EXPECT_EQ(bench.a->counters().faults_lost, 20u);
    bench.fault->set(FaultSpec{});
    EXPECT_EQ(bench.run(10).size(), 10u);
    ASSERT_TRUE(send_frame(*bench.b, 5, 64));
    EXPECT_EQ(take(*bench.a).size(), 1u);
}

TEST(Fault, ReceivedSideIsDisturbedAndDelayed) {
    Bench bench("side=rx&delay=10ms&loss=50%&seed=5");
    std::uint32_t sent = 0;
    for (; sent < 200; ++sent) ASSERT_TRUE(send_frame(*bench.b, sent, 64));
    std::size_t got = 0;
    for (int i = 0; i < 20; ++i) got += take(*bench.a, 64).size();
    EXPECT_EQ(got, 0u);
    EXPECT_EQ(bench.a->next_event_ns(), bench.now_ns + 10 * kMs);
    bench.now_ns += 10 * kMs;
    for (int i = 0; i < 20; ++i) got += take(*bench.a, 64).size();
    EXPECT_EQ(got + bench.a->counters().faults_lost, 200u);
    EXPECT_GT(got, 50u);
    EXPECT_EQ(bench.run(10).size(), 10u);  // what it sends is not touched
}

TEST(Fault, WrapsUdpWithItsAddresses) {
    auto b = must_open("udp:127.0.0.1:0");
    auto a = must_open("fault+udp:127.0.0.1:0?delay=1ms&mtu=2000&seed=4");
    EXPECT_EQ(a->info().kind, "fault+udp");
    EXPECT_EQ(a->info().max_frame_bytes, 2000u);
    const Address to = *a->resolve(b->info().local);
    ASSERT_TRUE(send_frame(*a, 3, 100, &to));
    const auto got = take_all(*b, 1, [&] { a->flush(); });
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].number, 3);
    EXPECT_EQ(b->to_string(got[0].from), a->info().local);
}

}  // namespace
}  // namespace farlane::transport::test
