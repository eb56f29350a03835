// SPDX-License-Identifier: Apache-2.0
// One direction of a link: what each impairment does to frames, by a clock that the test moves.
#include "direction.hpp"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "testbed/frames.hpp"

namespace farlane::link::test {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr Direction::Geometry kGeometry{2000, 7, 1};

struct DirectionTest : ::testing::Test {
    Ear ear{"ear"};
    Direction direction{ear, 3, kGeometry};

    void set(const Impairments& keys) { ASSERT_FALSE(direction.set(keys).has_value()); }
    void send_many(std::uint32_t count, std::int64_t now_ns = 0) {
        for (std::uint32_t i = 0; i < count; ++i) direction.send(numbered(i), now_ns);
    }
    void deliver(std::int64_t now_ns) {
        while (direction.deliver(now_ns, 100)) {
        }
    }
    [[nodiscard]] std::vector<std::uint32_t> numbers() const {
        std::vector<std::uint32_t> out;
        for (const auto& f : ear.frames) out.push_back(number_of(f));
        return out;
    }
};

TEST_F(DirectionTest, PerfectCableHandsOverAllInOrderAtOnce) {
    send_many(1000);
    deliver(0);
    ASSERT_EQ(ear.frames.size(), 1000u);
    EXPECT_TRUE(std::ranges::is_sorted(numbers()));
    EXPECT_EQ(ear.last_plug, 3u);
    EXPECT_EQ(direction.counters().frames, 1000u);
    EXPECT_EQ(direction.counters().delivered, 1000u);
    EXPECT_EQ(direction.counters().delivered_bytes, 64'000u);
    EXPECT_EQ(direction.next_due_ns(), INT64_MAX);
}

TEST_F(DirectionTest, BudgetBoundsOneTurn) {
    send_many(10);
    EXPECT_TRUE(direction.deliver(0, 4));
    EXPECT_EQ(ear.frames.size(), 4u);
    EXPECT_EQ(direction.next_due_ns(), 0);
}

TEST_F(DirectionTest, LossIsSeededAndNearItsProbability) {
    set({{"loss", "10%"}});
    send_many(5000);
    deliver(0);
    const auto first = numbers();
    EXPECT_GT(first.size(), 4300u);
    EXPECT_LT(first.size(), 4700u);
    EXPECT_EQ(direction.stats()["lost"].get<std::size_t>(), 5000 - first.size());

    Ear again{"again"};
    Direction twin{again, 3, kGeometry};
    ASSERT_FALSE(twin.set({{"loss", "0.1"}}).has_value());
    for (std::uint32_t i = 0; i < 5000; ++i) twin.send(numbered(i), 0);
    while (twin.deliver(0, 100)) {
    }
    EXPECT_EQ(again.frames, ear.frames) << "the same seed, the same losses";

    Ear other{"other"};
    Direction salted{other, 3, {2000, 7, 2}};
    ASSERT_FALSE(salted.set({{"loss", "0.1"}}).has_value());
    for (std::uint32_t i = 0; i < 5000; ++i) salted.send(numbered(i), 0);
    while (salted.deliver(0, 100)) {
    }
    EXPECT_NE(other.frames, ear.frames) << "two directions under one seed differ";
}

TEST_F(DirectionTest, DelayHoldsEveryFrameThatLong) {
    set({{"delay", "20ms"}});
    direction.send(numbered(1), 5 * kMs);
    EXPECT_EQ(direction.next_due_ns(), 25 * kMs);
    deliver(25 * kMs - 1);
    EXPECT_TRUE(ear.frames.empty());
    deliver(25 * kMs);
    EXPECT_EQ(ear.frames.size(), 1u);
}

TEST_F(DirectionTest, ReorderingLosesAndDoublesNothing) {
    set({{"reorder", "20%"}, {"reorder_by", "5ms"}});
    for (std::uint32_t i = 0; i < 500; ++i) {
        direction.send(numbered(i), i * kMs / 10);
        deliver(i * kMs / 10);
    }
    deliver(1000 * kMs);
    const auto got = numbers();
    EXPECT_EQ(got.size(), 500u);
    EXPECT_FALSE(std::ranges::is_sorted(got));
    EXPECT_EQ(std::set<std::uint32_t>(got.begin(), got.end()).size(), 500u);
}

TEST_F(DirectionTest, DuplicatesArriveTwice) {
    set({{"dup", "1"}});
    send_many(100);
    deliver(0);
    EXPECT_EQ(ear.frames.size(), 200u);
    EXPECT_EQ(direction.stats()["duplicated"], 100);
}

TEST_F(DirectionTest, CorruptionFlipsOneToFourBits) {
    set({{"corrupt", "1"}});
    direction.send(Frame(256, std::byte{0}), 0);
    deliver(0);
    ASSERT_EQ(ear.frames.size(), 1u);
    unsigned flipped = 0;
    for (const auto b : ear.frames[0])
        flipped += static_cast<unsigned>(__builtin_popcount(std::to_integer<unsigned>(b)));
    EXPECT_GE(flipped, 1u);
    EXPECT_LE(flipped, 4u);
}

TEST_F(DirectionTest, RateSpacesFramesAndTheQueueIsBounded) {
    set({{"rate", "8M"}, {"queue", "640"}});  // a byte a microsecond, ten frames waiting
    send_many(30);
    deliver(1000 * kMs);
    EXPECT_LT(ear.frames.size(), 13u);
    EXPECT_GE(ear.frames.size(), 10u);
    EXPECT_EQ(direction.stats()["lost"].get<std::size_t>(), 30 - ear.frames.size());
}

TEST_F(DirectionTest, CutDropsAlsoWhatIsOnTheWay) {
    set({{"delay", "10ms"}});
    direction.send(numbered(1), 0);
    direction.cut(true);
    direction.send(numbered(2), 0);
    deliver(10 * kMs);
    EXPECT_TRUE(ear.frames.empty());
    EXPECT_EQ(direction.counters().dropped_cut, 2u);
    direction.cut(false);
    direction.send(numbered(3), 20 * kMs);
    deliver(30 * kMs);
    EXPECT_EQ(numbers(), std::vector<std::uint32_t>{3});
}

TEST_F(DirectionTest, FrameAboveTheMtuIsDropped) {
    direction.send(Frame(2001), 0);
    direction.send(Frame(2000), 0);
    deliver(0);
    EXPECT_EQ(ear.frames.size(), 1u);
    EXPECT_EQ(direction.counters().oversize, 1u);
}

TEST_F(DirectionTest, MemoryIsBoundedWhateverIsSent) {
    set({{"delay", "1s"}});
    send_many(20'000);
    EXPECT_GT(direction.counters().no_room, 10'000u);
    deliver(1000 * kMs);
    EXPECT_EQ(ear.frames.size() + direction.counters().no_room, 20'000u);
}

TEST_F(DirectionTest, KeysAddUpAndMistakesChangeNothing) {
    set({{"loss", "1%"}});
    set({{"delay", "5ms"}});
    EXPECT_EQ(direction.stats()["set"]["loss"], "1%");
    EXPECT_EQ(direction.stats()["set"]["delay"], "5ms");
    for (const Impairments& wrong :
         {Impairments{{"loss", "2"}}, Impairments{{"delay", "5"}}, Impairments{{"lass", "0"}},
          Impairments{{"hold", "1"}}, Impairments{{"side", "rx"}}, Impairments{{"rate", ""}}})
        EXPECT_TRUE(direction.set(wrong).has_value()) << wrong.begin()->first;
    EXPECT_EQ(direction.stats()["set"].size(), 2u);
    direction.cut(true);
    direction.reset();
    EXPECT_TRUE(direction.stats()["set"].empty());
    EXPECT_FALSE(direction.is_cut());
}

}  // namespace
}  // namespace farlane::link::test
