// SPDX-License-Identifier: Apache-2.0
// Receives: the ring helper of a channel. Hands on: proof that nothing is lost, reordered or
// missed by a sleeper, and that impossible indices are seen. Owns: memory of a ring.
#include "lib/daemon_ring.hpp"

#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace farlane::channel {
namespace {

constexpr std::uint32_t kEntries = 64;

struct Ring {
    fl_ring words{};
    std::vector<fl_slot> slots{kEntries};
    Producer producer{words, slots.data(), kEntries, 0};
    Consumer consumer{words, slots.data(), kEntries, 0, 0};
};

TEST(Ring, TakesWhatWasGivenAndNoMoreThanFits) {
    Ring r;
    for (std::uint32_t i = 0; i < kEntries; ++i) {
        ASSERT_GT(r.producer.room(), 0U);
        r.producer.at(r.producer.head()).cookie = i;
        r.producer.publish();
    }
    EXPECT_EQ(r.producer.room(), 0U);
    EXPECT_EQ(r.consumer.available(), kEntries);
    EXPECT_EQ(r.consumer.at(r.consumer.tail()).cookie, 0U);
    r.consumer.advance();
    EXPECT_EQ(r.producer.room(), 0U) << "read is not released: the slot is the source of a resend";
    r.consumer.release_to(1);
    EXPECT_EQ(r.producer.room(), 1U);
    EXPECT_FALSE(r.producer.broken() || r.consumer.broken());
}

TEST(Ring, CountsGoRoundTheirEnd) {
    Ring r;
    const std::uint32_t start = ~std::uint32_t{0} - 10;
    r.words.head = r.words.tail = r.words.released = start;
    r.producer = Producer(r.words, r.slots.data(), kEntries, start);
    r.consumer = Consumer(r.words, r.slots.data(), kEntries, start, start);
    for (std::uint32_t i = 0; i < 50; ++i) {
        ASSERT_EQ(r.producer.room(), kEntries);
        r.producer.at(r.producer.head()).cookie = i;
        r.producer.publish();
        ASSERT_EQ(r.consumer.available(), 1U);
        ASSERT_EQ(r.consumer.at(r.consumer.tail()).cookie, i);
        r.consumer.advance();
        r.consumer.release_to(r.consumer.tail());
    }
}

TEST(Ring, ImpossibleHeadIsSeen) {
    Ring r;
    for (const std::uint32_t head : {kEntries + 1, 0x80000000U, 0xffffffffU}) {
        Consumer c(r.words, r.slots.data(), kEntries, 0, 0);
        r.words.head = head;
        EXPECT_EQ(c.available(), 0U);
        EXPECT_TRUE(c.broken());
    }
}

TEST(Ring, ImpossibleReleaseIsSeen) {
    Ring r;
    for (const std::uint32_t released : {1U, 0x80000000U, 0xfffffff0U - kEntries}) {
        Producer p(r.words, r.slots.data(), kEntries, 0);
        r.words.released = released;
        EXPECT_EQ(p.room(), 0U);
        EXPECT_TRUE(p.broken());
    }
}

// A producer that pauses and a consumer that sleeps: every record comes, in order, whole, and
// no wake-up is lost (a lost one would hang the test).
TEST(Ring, TwoThreadsWithSleepLoseNothing) {
    Ring r;
    const int bell = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    constexpr std::uint64_t kRecords = 50'000;
    std::thread consumer([&] {
        std::uint64_t expected = 0;
        while (expected < kRecords) {
            if (r.consumer.available() == 0) {
                announce_sleep(r.words, FL_RING_SLEEPS_HEAD);
                if (r.consumer.available() == 0) {
                    pollfd p{bell, POLLIN, 0};
                    (void)::poll(&p, 1, -1);
                    std::uint64_t count = 0;
                    (void)!::read(bell, &count, sizeof count);
                }
                announce_awake(r.words);
                continue;
            }
            const fl_slot copy = copy_once(r.consumer.at(r.consumer.tail()));
            ASSERT_EQ(copy.cookie, expected);
            ASSERT_EQ(copy.u.payload[0], static_cast<std::uint8_t>(expected));
            ASSERT_EQ(copy.u.payload[63], static_cast<std::uint8_t>(expected));
            ++expected;
            r.consumer.advance();
            if (expected % 3 == 0 || r.consumer.available() == 0) r.consumer.release_to(r.consumer.tail());
        }
    });
    for (std::uint64_t i = 0; i < kRecords; ++i) {
        while (r.producer.room() == 0) std::this_thread::yield();
        fl_slot& slot = r.producer.at(r.producer.head());
        slot.cookie = i;
        std::memset(slot.u.payload, static_cast<int>(i), sizeof slot.u.payload);
        r.producer.publish();
        if (take_sleeper(r.words, FL_RING_SLEEPS_HEAD)) {
            const std::uint64_t one = 1;
            (void)!::write(bell, &one, sizeof one);
        }
        if (i % 1000 == 0) std::this_thread::yield();
    }
    consumer.join();
    EXPECT_FALSE(r.producer.broken() || r.consumer.broken());
    ::close(bell);
}

TEST(Ring, BellOnlyForWhatTheSleeperWaitsFor) {
    fl_ring words{};
    EXPECT_FALSE(take_sleeper(words, FL_RING_SLEEPS_HEAD));
    announce_sleep(words, FL_RING_SLEEPS_HEAD);
    EXPECT_FALSE(take_sleeper(words, FL_RING_SLEEPS_RELEASED));
    EXPECT_TRUE(take_sleeper(words, FL_RING_SLEEPS_HEAD));
    EXPECT_FALSE(take_sleeper(words, FL_RING_SLEEPS_HEAD)) << "once";
    announce_sleep(words, FL_RING_SLEEPS_RELEASED);
    EXPECT_TRUE(take_sleeper(words, FL_RING_SLEEPS_RELEASED));
}

TEST(Geometry, OffsetsFollowFromSizes) {
    const Geometry g;
    ASSERT_TRUE(g.valid());
    EXPECT_EQ(g.submit_offset(), FL_CHANNEL_HEADER_BYTES);
    EXPECT_EQ(g.staging_offset() % 4096, 0U);
    EXPECT_GE(g.staging_offset(), g.complete_offset() + g.complete_entries * sizeof(fl_slot));
    EXPECT_FALSE((Geometry{63, 64, 1 << 20}).valid());
    EXPECT_FALSE((Geometry{64, 1U << 17, 1 << 20}).valid());
    EXPECT_FALSE((Geometry{64, 64, 4097}).valid());
}

}  // namespace
}  // namespace farlane::channel
