// SPDX-License-Identifier: Apache-2.0
// Receives: UDP ports on loopback addresses. Hands on: verdicts. Owns: nothing.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <gmock/gmock.h>

#include "port_test_util.hpp"

namespace farlane::transport::test {
namespace {

using ::testing::HasSubstr;

class Udp : public ::testing::TestWithParam<const char*> {};

TEST_P(Udp, EverySizeAndTheSendersAddress) {
    auto a = must_open(GetParam()), b = must_open(GetParam());
    EXPECT_EQ(a->info().max_frame_bytes, 9600u);
    EXPECT_FALSE(a->info().point_to_point);
    EXPECT_TRUE(a->info().has_interrupt);
    const Address to = *a->resolve(b->info().local);
    std::uint32_t n = 0;
    for (std::uint32_t size = kHeadBytes; size <= 9600; size += size < 200 ? 1 : 511, ++n) {
        ASSERT_TRUE(send_frame(*a, n, size, &to));
        const auto got = take_all(*b, 1);
        ASSERT_EQ(got.size(), 1u);
        EXPECT_EQ(got[0].number, n);
        EXPECT_EQ(got[0].size, size);
        EXPECT_EQ(b->to_string(got[0].from), a->info().local);
        ASSERT_TRUE(send_frame(*b, n, 64, &got[0].from));  // and back to where it came from
        ASSERT_EQ(take_all(*a, 1).size(), 1u);
    }
}

// Runs of one size and of mixed sizes, so that frames travel in groups and alone.
TEST_P(Udp, BurstsInOrder) {
    auto a = must_open(GetParam()), b = must_open(GetParam());
    const Address to = *a->resolve(b->info().local);
    std::vector<std::int64_t> got;
    std::uint32_t n = 0;
    for (int round = 0; round < 60; ++round) {
        std::array<TxFrame, 48> frames;
        const std::size_t room = a->tx_alloc(frames);
        ASSERT_EQ(room, frames.size());
        for (TxFrame& f : frames) {
            f.size_bytes = round % 3 == 0 ? 1200 : round % 3 == 1 ? 60 + (n * 37) % 1400 : (n % 7 < 6 ? 4132 : 92);
            f.to = &to;
            fill(f.data, f.size_bytes, n++);
        }
        a->tx_send(frames);
        for (const Received& r : take_all(*b, frames.size(), [&] { a->flush(); })) got.push_back(r.number);
    }
    ASSERT_EQ(got.size(), n);
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], static_cast<std::int64_t>(i));
    EXPECT_EQ(a->counters().tx_frames, n);
    EXPECT_EQ(b->counters().rx_frames, n);
    EXPECT_EQ(b->counters().rx_dropped, 0u);
}

// Those that come alone are asked for one by one: a crowd behind one must not wait for another.
TEST_P(Udp, AloneAndInCrowdsByTurns) {
    auto a = must_open(GetParam()), b = must_open(GetParam());
    const Address to = *a->resolve(b->info().local);
    std::uint32_t n = 0, next = 0;
    for (const std::uint32_t crowd : {1U, 1U, 20U, 1U, 2U, 40U, 3U, 1U, 1U, 30U}) {
        for (std::uint32_t i = 0; i < crowd; ++i) ASSERT_TRUE(send_frame(*a, n++, 64 + i % 5 * 8, &to));
        std::size_t got = 0;
        for (int look = 0; look < 3; ++look)  // one, all the others, nothing
            for (const Received& r : take(*b, 64)) {
                EXPECT_EQ(r.number, next++);
                ++got;
            }
        EXPECT_EQ(got, crowd);
    }
}

TEST_P(Udp, SeveralPeersInOneBurst) {
    auto a = must_open(GetParam()), b = must_open(GetParam()), c = must_open(GetParam());
    const Address to_b = *a->resolve(b->info().local), to_c = *a->resolve(c->info().local);
    std::array<TxFrame, 20> frames;
    ASSERT_EQ(a->tx_alloc(frames), frames.size());
    for (std::uint32_t n = 0; n < frames.size(); ++n) {
        frames[n].size_bytes = 256;
        frames[n].to = n / 2 % 2 == 0 ? &to_b : &to_c;
        fill(frames[n].data, 256, n);
    }
    a->tx_send(frames);
    for (const Received& r : take_all(*b, 10)) EXPECT_EQ(r.number / 2 % 2, 0);
    for (const Received& r : take_all(*c, 10)) EXPECT_EQ(r.number / 2 % 2, 1);
}

TEST_P(Udp, HeldBuffersDoNotMoveAndComeBack) {
    auto a = must_open(GetParam()), b = must_open(GetParam());
    const Address to = *a->resolve(b->info().local);
    for (std::uint32_t n = 0; n < 8; ++n) ASSERT_TRUE(send_frame(*a, n, 1000, &to));
    std::vector<RxFrame> held;
    ASSERT_TRUE(eventually([&] {
        std::array<RxFrame, 3> some;
        const std::size_t n = b->rx_burst(some);
        held.insert(held.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(n));
        return held.size() >= 8;
    }));
    for (std::uint32_t n = 100; n < 300; ++n) {
        ASSERT_TRUE(send_frame(*a, n, 1000, &to));
        ASSERT_EQ(take_all(*b, 1).size(), 1u);
    }
    for (std::uint32_t n = 0; n < 8; ++n) EXPECT_EQ(check(held[n].data, held[n].size_bytes), n);
    b->rx_release(held);
}

TEST_P(Udp, SleepersWakeAgainAndAgain) {
    auto a = must_open(GetParam()), b = must_open(GetParam()), c = must_open(GetParam());
    const Address to_a = *b->resolve(a->info().local), to_b = *a->resolve(b->info().local);
    for (std::uint32_t n = 0; n < 1500; ++n) {
        ASSERT_TRUE(send_frame(*b, n, 64, &to_a));
        ASSERT_EQ(take_all(*a, 1).size(), 1u);
        ASSERT_TRUE(send_frame(*a, n, 64, &to_b));
        ASSERT_EQ(take_all(*b, 1).size(), 1u);
    }
    for (int i = 0; i < 200; ++i) EXPECT_TRUE(take(*a).empty());
    for (std::uint32_t n = 0; n < 20; ++n) {
        ASSERT_TRUE(a->arm());
        pollfd p{a->wait_fd(), POLLIN, 0};
        ASSERT_EQ(::poll(&p, 1, 0), 0);
        ASSERT_TRUE(send_frame(n % 2 == 0 ? *b : *c, n, 64, &to_a));
        ASSERT_EQ(::poll(&p, 1, 20000), 1);
        a->disarm();
        ASSERT_EQ(take(*a).size(), 1u) << "by the first look: " << n;
    }
}

// Offload is off after the first, and on again with the crowd.
TEST_P(Udp, ACrowdAfterManyThatCameAlone) {
    auto a = must_open(GetParam()), b = must_open(GetParam());
    const Address to_a = *b->resolve(a->info().local);
    std::vector<std::int64_t> got;
    std::uint32_t n = 0;
    const auto send = [&](std::uint32_t count) {
        for (std::uint32_t i = 0; i < count; ++i, ++n) ASSERT_TRUE(send_frame(*b, n, 64 + n / 20 % 5 * 8, &to_a));
        for (const Received& r : take_all(*a, count, [&] { b->flush(); })) got.push_back(r.number);
    };
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 1500; ++i) send(1);
        send(500);
        send(1);
        send(300);
    }
    ASSERT_EQ(got.size(), n);
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], static_cast<std::int64_t>(i));
    EXPECT_EQ(a->counters().rx_dropped, 0u);
}

INSTANTIATE_TEST_SUITE_P(Families, Udp, ::testing::Values("udp:127.0.0.1:0", "udp:[::1]:0"), [](const auto& p) {
    return std::string(p.param).find('[') == std::string::npos ? "v4" : "v6";
});

TEST(UdpPort, OneSocketServesBothFamilies) {
    auto both = must_open("udp:"), v4 = must_open("udp:127.0.0.1:0"), v6 = must_open("udp:[::1]:0");
    const std::string port = both->info().local.substr(both->info().local.rfind(':'));
    EXPECT_EQ(both->info().max_frame_bytes, 1472u);
    const Address to4 = *v4->resolve("127.0.0.1" + port), to6 = *v6->resolve("[::1]" + port);
    ASSERT_TRUE(send_frame(*v4, 4, 100, &to4) && send_frame(*v6, 6, 100, &to6));
    for (const Received& r : take_all(*both, 2)) {
        EXPECT_EQ(both->to_string(r.from), (r.number == 4 ? v4 : v6)->info().local);
        ASSERT_TRUE(send_frame(*both, 7, 100, &r.from));
    }
    EXPECT_EQ(take_all(*v4, 1).size(), 1u);
    EXPECT_EQ(take_all(*v6, 1).size(), 1u);
    EXPECT_EQ(both->to_string(*both->resolve("127.0.0.1:9")), "127.0.0.1:9");
}

TEST(UdpPort, AddressInUseIsSaid) {
    auto a = must_open("udp:127.0.0.1:0");
    auto again = open_port("udp:" + a->info().local);
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.status(), Status::busy);
    EXPECT_THAT(again.failure().detail, HasSubstr("another socket has " + a->info().local));
}

TEST(UdpPort, PeersAddress) {
    auto a = must_open("udp:127.0.0.1:0");
    EXPECT_EQ(a->to_string(*a->resolve("127.0.0.1")), "127.0.0.1:4793");
    EXPECT_EQ(a->to_string(*a->resolve("127.0.0.1:80")), "127.0.0.1:80");
    for (const char* bad : {"", ":80", "127.0.0.1:0", "127.0.0.1:99999", "[::1]:80", "no.such.host.invalid:1"})
        EXPECT_FALSE(a->resolve(bad).ok()) << bad;
}

TEST(UdpPort, NobodyListensAndNothingBreaks) {
    auto a = must_open("udp:127.0.0.1:0"), gone = must_open("udp:127.0.0.1:0"), b = must_open("udp:127.0.0.1:0");
    const Address nobody = *a->resolve(gone->info().local), to = *a->resolve(b->info().local);
    gone.reset();
    for (std::uint32_t n = 0; n < 100; ++n) {
        ASSERT_TRUE(send_frame(*a, n, 200, &nobody));
        EXPECT_TRUE(take(*a).empty());
    }
    ASSERT_TRUE(send_frame(*a, 7, 200, &to));
    EXPECT_EQ(take_all(*b, 1).size(), 1u);
}

TEST(UdpPort, FramesTheKernelRefusesAreCounted) {
    auto a = must_open("udp:127.0.0.1:0");
    auto unspecific = a->resolve("255.255.255.255:9");  // broadcast without SO_BROADCAST: EACCES
    ASSERT_TRUE(unspecific.ok());
    ASSERT_TRUE(send_frame(*a, 1, 64, &*unspecific));
    EXPECT_EQ(a->counters().tx_dropped, 1u);
    EXPECT_EQ(a->counters().tx_frames, 0u);
    EXPECT_EQ(a->next_event_ns(), INT64_MAX);
}

// A stranger's frames of an odd size, sent as one message, still arrive aligned and whole.
TEST(UdpPort, OddSegmentsAreAligned) {
    auto b = must_open("udp:127.0.0.1:0");
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ASSERT_GE(fd, 0);
    const int segment = 101;
    constexpr int kSolUdp = 17, kUdpSegment = 103;
    if (::setsockopt(fd, kSolUdp, kUdpSegment, &segment, sizeof segment) != 0) {
        ::close(fd);
        GTEST_SKIP() << "this kernel has no UDP_SEGMENT";
    }
    std::array<std::byte, 101 * 9 + 50> message;
    for (std::uint32_t n = 0; n < 10; ++n) fill(message.data() + n * 101, n < 9 ? 101 : 50, n);
    const Address to = *b->resolve(b->info().local);
    ASSERT_EQ(::sendto(fd, message.data(), message.size(), 0, reinterpret_cast<const sockaddr*>(to.bytes), to.size),
              static_cast<ssize_t>(message.size()));
    ::close(fd);
    const auto got = take_all(*b, 10);
    ASSERT_EQ(got.size(), 10u);
    for (std::uint32_t n = 0; n < 10; ++n) {
        EXPECT_EQ(got[n].number, n);
        EXPECT_EQ(got[n].size, n < 9 ? 101u : 50u);
    }
}

TEST(UdpPort, OversizedAndEmptyDatagramsAreDropped) {
    auto b = must_open("udp:127.0.0.1:0"), a = must_open("udp:127.0.0.1:0");
    const Address to = *b->resolve(b->info().local);
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const std::vector<char> big(20000);
    for (const std::size_t size : {big.size(), std::size_t{0}})
        ASSERT_EQ(::sendto(fd, big.data(), size, 0, reinterpret_cast<const sockaddr*>(to.bytes), to.size),
                  static_cast<ssize_t>(size));
    ::close(fd);
    ASSERT_TRUE(send_frame(*a, 1, 64, &to));
    const auto got = take_all(*b, 1);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].number, 1);
    EXPECT_EQ(b->counters().rx_dropped, 2u);
}

TEST(UdpPort, SocketWakesTheLane) {
    auto a = must_open("udp:127.0.0.1:0"), b = must_open("udp:127.0.0.1:0");
    const Address to = *a->resolve(b->info().local);
    EXPECT_TRUE(b->arm());
    pollfd p{b->wait_fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&p, 1, 0), 0);
    for (std::uint32_t n = 0; n < 4; ++n) ASSERT_TRUE(send_frame(*a, n, 64, &to));
    EXPECT_EQ(::poll(&p, 1, 20000), 1);
    b->disarm();
    EXPECT_EQ(take_all(*b, 4).size(), 4u);
}

// More frames than the port has buffers, with a send buffer smaller than one group of them.
TEST(UdpPort, SmallSendBufferLosesNothing) {
    auto a = must_open("udp:127.0.0.1:0?buffer=4096&mtu=9600"), b = must_open("udp:127.0.0.1:0?mtu=9600");
    const Address to = *a->resolve(b->info().local);
    std::vector<std::int64_t> got;
    std::uint32_t n = 0;
    ASSERT_TRUE(eventually([&] {
        while (n < 2000 && n < got.size() + 100 && send_frame(*a, n, 9000, &to)) ++n;
        a->flush();
        for (const Received& r : take(*b)) got.push_back(r.number);
        return got.size() == 2000;
    }));
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], static_cast<std::int64_t>(i));
}

}  // namespace
}  // namespace farlane::transport::test
