// SPDX-License-Identifier: Apache-2.0
// Receives: words counted up, and kills. Hands on: proof that the device for accounts notices each word that is lost,
// repeated or out of order, and takes a kill for no excuse. Owns: nothing.
#include <array>
#include <cstring>
#include <numeric>
#include <vector>

#include "firmware/device_rig.hpp"

namespace farlane::firmware::test {
namespace {

constexpr std::uint32_t kTaken = 0x08, kErrors = 0x10, kRepeats = 0x18, kLives = 0x20, kTicket = 0x28;
constexpr std::uint32_t kWrongOffset = 0x30, kWrongExpected = 0x38, kWrongGot = 0x40, kWindow = 0x8000;

struct Tally : testing::Test {
    DeviceRig rig{"tally", {}};

    void write(std::uint32_t offset, std::uint64_t first, std::size_t count) {
        std::vector<fl_le64> words(count);
        for (std::size_t i = 0; i < count; ++i) words[i].set(first + i);
        EXPECT_EQ(rig.device->bar_write(0, offset, std::as_bytes(std::span(words)), 0), Status::ok);
    }
    std::uint64_t ticket() {
        fl_le64 v;
        EXPECT_EQ(rig.device->bar_read(0, kTicket, std::as_writable_bytes(std::span(&v, 1))), Status::ok);
        return v.get();
    }
    void expect(std::uint64_t taken, std::uint64_t errors, std::uint64_t repeats = 0) {
        EXPECT_EQ(rig.host.read64(kTaken), taken);
        EXPECT_EQ(rig.host.read64(kErrors), errors);
        EXPECT_EQ(rig.host.read64(kRepeats), repeats);
    }
};

TEST_F(Tally, CountsWordsWhereverTheyAreWritten) {
    EXPECT_EQ(rig.host.read32(0), 0x4c544c46U);
    write(kWindow, 1, 1);
    rig.host.write32(0xfffc, 2);
    write(0x9000, 3, 512);
    rig.host.write64(kWindow + 8, 515);
    expect(515, 0);
    rig.host.write64(kTaken, 7);
    expect(515, 0);
    EXPECT_EQ(rig.counter("words_taken"), 515U);
}

TEST_F(Tally, NoticesALostWord) {
    write(kWindow, 1, 4);
    write(kWindow + 64, 6, 1);
    expect(4, 1);
    EXPECT_EQ(rig.host.read64(kWrongOffset), kWindow + 64);
    EXPECT_EQ(rig.host.read64(kWrongExpected), 5U);
    EXPECT_EQ(rig.host.read64(kWrongGot), 6U);
}

TEST_F(Tally, NoticesARepeatedWrite) {
    write(kWindow, 1, 4);
    write(kWindow, 1, 4);
    expect(4, 1);
    write(kWindow, 5, 1);
    expect(5, 1);
}

TEST_F(Tally, NoticesWordsOutOfOrder) {
    write(kWindow, 2, 1);
    write(kWindow, 1, 1);
    expect(1, 1);
    const std::array<fl_le64, 3> twisted{fl_le64{2}, fl_le64{4}, fl_le64{3}};
    EXPECT_EQ(rig.device->bar_write(0, kWindow, std::as_bytes(std::span(twisted)), 0), Status::ok);
    expect(1, 2);
    EXPECT_EQ(rig.counter("words_wrong"), 2U);
}

TEST_F(Tally, NoticesPartsOfWords) {
    const std::array<std::byte, 8> one{std::byte{1}};
    EXPECT_EQ(rig.device->bar_write(0, kWindow, std::span(one).first(2), 0), Status::ok);
    expect(0, 1);
    EXPECT_EQ(rig.device->bar_write(0, kWindow, one, 0x0f), Status::ok);
    expect(0, 2);
    EXPECT_EQ(rig.device->bar_write(0, kWindow, one, 0xff), Status::ok);
    expect(1, 2);
}

TEST_F(Tally, GivesEachTicketOnce) {
    for (std::uint64_t i = 1; i < 10; ++i) EXPECT_EQ(ticket(), i);
    EXPECT_TRUE(rig.kill_and_restore());
    EXPECT_EQ(ticket(), 10U);
    EXPECT_EQ(rig.host.read32(kTicket), 10U) << "half of it is a look";
    EXPECT_EQ(ticket(), 11U);
}

TEST_F(Tally, GoesOnAfterAKill) {
    write(kWindow, 1, 9);
    EXPECT_TRUE(rig.kill_and_restore());
    EXPECT_EQ(rig.host.read64(kLives), 1U);
    write(kWindow, 10, 1);
    expect(10, 0);
    EXPECT_TRUE(rig.kill_and_restore());
    write(kWindow, 12, 1);
    expect(10, 1);
}

// What a kill excuses is the last write, whole, once, before any other.
TEST_F(Tally, KillExcusesTheLastWriteOnly) {
    write(kWindow, 1, 4);
    write(kWindow, 5, 2);
    EXPECT_TRUE(rig.kill_and_restore());
    write(kWindow, 5, 2);
    expect(6, 0, 1);
    write(kWindow, 5, 2);
    expect(6, 1, 1);
    write(kWindow, 7, 1);
    expect(7, 1, 1);
    EXPECT_TRUE(rig.kill_and_restore());
    write(kWindow, 5, 2);
    expect(7, 2, 1);
    EXPECT_TRUE(rig.kill_and_restore());
    write(kWindow, 6, 2);
    expect(7, 3, 1);
}

TEST_F(Tally, ResetClears) {
    write(kWindow, 1, 4);
    (void)ticket();
    rig.device->reset();
    expect(0, 0);
    EXPECT_EQ(ticket(), 1U);
    write(kWindow, 1, 1);
    expect(1, 0);
}

}  // namespace
}  // namespace farlane::firmware::test
