// SPDX-License-Identifier: Apache-2.0
// Receives: pairs of loop ports. Hands on: verdicts. Owns: nothing.
#include <poll.h>

#include <set>
#include <thread>

#include <gmock/gmock.h>

#include "port_test_util.hpp"
#include "transport/loop/spsc.hpp"

namespace farlane::transport::test {
namespace {

bool readable(int fd, int wait_ms) {
    pollfd p{fd, POLLIN, 0};
    return ::poll(&p, 1, wait_ms) == 1;
}

TEST(Loop, EverySizeInOrderBothWays) {
    auto a = must_open("loop:sizes?mtu=9600"), b = must_open("loop:sizes?mtu=9600");
    EXPECT_EQ(a->info().kind, "loop");
    EXPECT_TRUE(a->info().point_to_point && a->info().reliable_mtu && a->info().has_interrupt);
    std::uint32_t n = 0;
    for (std::uint32_t size = kHeadBytes; size <= 9600; size += 137, ++n) {
        Port& from = n % 2 == 0 ? *a : *b;
        Port& to = n % 2 == 0 ? *b : *a;
        ASSERT_TRUE(send_frame(from, n, size));
        const auto got = take(to);
        ASSERT_EQ(got.size(), 1u);
        EXPECT_EQ(got[0].number, n);
        EXPECT_EQ(got[0].size, size);
    }
    EXPECT_EQ(a->counters().tx_frames + b->counters().tx_frames, n);
    EXPECT_EQ(a->counters().rx_frames + b->counters().rx_frames, n);
}

TEST(Loop, FullRingPushesBackAndRecovers) {
    auto a = must_open("loop:full?depth=8&mtu=256"), b = must_open("loop:full?depth=8&mtu=256");
    std::uint32_t n = 0;
    while (send_frame(*a, n, 64)) ASSERT_LT(++n, 1000u);
    EXPECT_EQ(n, 8u);
    EXPECT_EQ(take(*b, 3).size(), 3u);
    while (send_frame(*a, n, 64)) ++n;
    EXPECT_EQ(n, 11u);
    const auto got = take(*b);
    ASSERT_EQ(got.size(), 8u);
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i].number, static_cast<std::int64_t>(i + 3));
    EXPECT_EQ(a->counters().tx_dropped, 0u);
}

TEST(Loop, FreedBuffersComeBack) {
    auto a = must_open("loop:freed?depth=4"), b = must_open("loop:freed?depth=4");
    std::array<TxFrame, 8> frames;
    for (int round = 0; round < 3; ++round) {
        ASSERT_EQ(a->tx_alloc(frames), 4u);
        std::array<TxFrame, 1> more;
        EXPECT_EQ(a->tx_alloc(more), 0u);
        a->tx_free(std::span(frames).first(4));
    }
}

TEST(Loop, FewBuffersTakeTurns) {
    auto a = must_open("loop:few?depth=64"), b = must_open("loop:few?depth=64");
    std::set<const std::byte*> used;
    for (std::uint32_t n = 0; n < 200; ++n) {
        std::array<TxFrame, 1> frame;
        ASSERT_EQ(a->tx_alloc(frame), 1u);
        used.insert(frame[0].data);
        frame[0].size_bytes = 64;
        a->tx_send(frame);
        ASSERT_EQ(take(*b).size(), 1u);
    }
    EXPECT_LE(used.size(), 2u) << "one was under way at a time";
}

TEST(Loop, ThirdOpenIsRefusedAndAClosedEndCanBeReplaced) {
    auto a = must_open("loop:third"), b = must_open("loop:third");
    EXPECT_TRUE(a->link_up());
    auto third = open_port("loop:third");
    ASSERT_FALSE(third.ok());
    EXPECT_EQ(third.status(), Status::busy);
    ASSERT_TRUE(send_frame(*a, 1, 64));
    b.reset();
    EXPECT_FALSE(a->link_up());
    ASSERT_TRUE(send_frame(*a, 2, 64));
    EXPECT_EQ(a->counters().tx_dropped, 1u);
    b = must_open("loop:third");
    ASSERT_TRUE(send_frame(*a, 3, 64));
    const auto got = take(*b);
    ASSERT_EQ(got.size(), 1u);  // what the first peer left unread is gone
    EXPECT_EQ(got[0].number, 3);
}

TEST(Loop, BothEndsMustAgree) {
    auto a = must_open("loop:agree?mtu=1500");
    auto b = open_port("loop:agree?mtu=9000");
    ASSERT_FALSE(b.ok());
    EXPECT_THAT(b.failure().detail, ::testing::HasSubstr("mtu=1500"));
}

TEST(Loop, AddressesAreRefused) {
    auto a = must_open("loop:address");
    EXPECT_EQ(a->resolve("127.0.0.1:1").status(), Status::invalid);
}

TEST(Loop, InterruptWakesAndArmRefusesWhenFramesWait) {
    auto a = must_open("loop:wake"), b = must_open("loop:wake");
    ASSERT_GE(b->wait_fd(), 0);
    EXPECT_TRUE(b->arm());
    EXPECT_FALSE(readable(b->wait_fd(), 0));
    ASSERT_TRUE(send_frame(*a, 1, 64));
    EXPECT_TRUE(readable(b->wait_fd(), 20000));
    b->disarm();
    EXPECT_FALSE(readable(b->wait_fd(), 0));
    EXPECT_FALSE(b->arm());  // the frame is still there
    EXPECT_EQ(take(*b).size(), 1u);
    EXPECT_TRUE(b->arm());
    b->disarm();
    ASSERT_TRUE(send_frame(*a, 2, 64));
    EXPECT_FALSE(readable(b->wait_fd(), 0));  // not armed: no system call on the way
}

// For ThreadSanitizer as much as for the result.
TEST(Loop, TwoThreads) {
    constexpr std::uint32_t kFrames = 50000;
    auto a = must_open("loop:threads?depth=32&mtu=128"), b = must_open("loop:threads?depth=32&mtu=128");
    std::thread sender([&] {
        for (std::uint32_t n = 0; n < kFrames;) {
            if (send_frame(*a, n, 64 + n % 64))
                ++n;
            else
                std::this_thread::yield();
        }
    });
    std::uint32_t expected = 0;
    bool in_order = true;
    while (expected < kFrames) {
        if (b->arm()) {
            ASSERT_TRUE(readable(b->wait_fd(), 20000));
            b->disarm();
        }
        for (const Received& r : take(*b)) in_order = in_order && r.number == expected++;
    }
    sender.join();
    EXPECT_TRUE(in_order);
}

TEST(SpscRing, FillsAndEmpties) {
    SpscRing<int> ring(4);
    for (int round = 0; round < 5; ++round) {
        for (int i = 0; i < 4; ++i) EXPECT_TRUE(ring.push(i));
        EXPECT_FALSE(ring.push(9));
        int value = -1;
        for (int i = 0; i < 4; ++i) {
            ASSERT_TRUE(ring.pop(value));
            EXPECT_EQ(value, i);
        }
        EXPECT_FALSE(ring.pop(value));
        EXPECT_TRUE(ring.empty());
    }
}

}  // namespace
}  // namespace farlane::transport::test
