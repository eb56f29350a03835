// SPDX-License-Identifier: Apache-2.0
// Receives: vectors a device raises. Hands on: whether messages, masks and pending bits are as PCIe 6.0 says.
// Owns: nothing.
#include <gtest/gtest.h>

#include "firmware/core_device.hpp"

namespace farlane::firmware::test {
namespace {

struct InterruptTest : testing::Test {
    FunctionState state{};
    CoreDevice device{state};
    FakeHost host;
    InterruptTest() { host.attach(device); }
    ~InterruptTest() override { host.detach(); }

    std::uint32_t cap(unsigned id) {
        std::uint32_t at = host.config_read32(0x34) & 0xff;
        while (at != 0 && (host.config_read32(at) & 0xff) != id) at = host.config_read32(at) >> 8 & 0xff;
        return at;
    }
    void mask(unsigned vector, bool on) { host.write32(0x800 + vector * 16 + 12, on ? 1 : 0); }
    std::uint32_t pending() { return host.read32(0xc00); }
};

TEST_F(InterruptTest, NothingIsSentUnlessEnabled) {
    device.raise(0);
    host.settle();
    EXPECT_TRUE(host.interrupts.empty());
    EXPECT_EQ(pending(), 0u);
}

TEST_F(InterruptTest, MessageHasAddressAndDataOfItsVector) {
    host.enable_interrupts(4);
    device.raise(2);
    device.raise(3);
    host.settle();
    EXPECT_EQ(host.interrupts[2], 1u);
    EXPECT_EQ(host.interrupts[3], 1u);
    EXPECT_EQ(device.interrupts().sent(), 2u);
    device.raise(4);  // there is no such vector
    host.settle();
    EXPECT_EQ(device.interrupts().sent(), 2u);
}

TEST_F(InterruptTest, MaskedVectorIsPendingAndRedelivered) {
    host.enable_interrupts(4);
    mask(1, true);
    device.raise(1);
    device.raise(1);
    host.settle();
    EXPECT_EQ(host.interrupts[1], 0u);
    EXPECT_EQ(pending(), 0b10u);
    mask(1, false);
    host.settle();
    EXPECT_EQ(host.interrupts[1], 1u) << "once, however often it was raised";
    EXPECT_EQ(pending(), 0u);
}

TEST_F(InterruptTest, FunctionMaskHoldsAll) {
    host.enable_interrupts(4);
    host.config_write(cap(0x11) + 2, 0xc000, 2);
    device.raise(0);
    device.raise(3);
    host.settle();
    EXPECT_TRUE(host.interrupts.empty());
    EXPECT_EQ(pending(), 0b1001u);
    host.config_write(cap(0x11) + 2, 0x8000, 2);
    host.settle();
    EXPECT_EQ(host.interrupts[0] + host.interrupts[3], 2u);
}

TEST_F(InterruptTest, NoRoomAtThePort) {
    host.enable_interrupts(4);
    host.faults.would_block_percent = 100;
    device.raise(0);
    device.raise(1);
    EXPECT_TRUE(device.busy());
    host.faults.would_block_percent = 0;
    host.settle();
    EXPECT_EQ(host.interrupts[0] + host.interrupts[1], 2u);
    EXPECT_FALSE(device.busy());
}

TEST_F(InterruptTest, WaitsForBusMaster) {
    host.enable_interrupts(4);
    host.config_write(0x04, 0x0002, 2);
    device.raise(0);
    EXPECT_FALSE(device.busy());
    host.settle();
    EXPECT_EQ(host.interrupts[0], 0u);
    host.config_write(0x04, 0x0006, 2);
    host.settle();
    EXPECT_EQ(host.interrupts[0], 1u);
}

TEST_F(InterruptTest, TableIsOfAlignedDwords) {
    host.write32(0x800, 0xffffffff);
    EXPECT_EQ(host.read32(0x800), 0xfffffffcu);
    host.write32(0x80c, 0xffffffff);
    EXPECT_EQ(host.read32(0x80c), 1u);
    host.write64(0x810, 0x1122334455667788);
    EXPECT_EQ(host.read64(0x810), 0x1122334455667788u);
    host.write32(0xc00, 0xffffffff);
    EXPECT_EQ(pending(), 0u) << "the PBA is read-only";
    std::byte b[8];
    EXPECT_EQ(device.bar_read(0, 0x7fc, b), Status::completer_abort) << "across the edge of the table";
    EXPECT_EQ(device.bar_write(0, 0x7fc, b, 0xff), Status::completer_abort);
    EXPECT_EQ(device.bar_write(0, 0x83c, b, 0xff), Status::completer_abort);
}

TEST_F(InterruptTest, RefusedMessageIsCounted) {
    host.enable_interrupts(1);
    host.write32(0x800, 0x1000);  // nobody listens there
    device.raise(0);
    EXPECT_EQ(device.interrupts().dropped(), 1u);
}

TEST_F(InterruptTest, MsiWhenThatIsEnabled) {
    const std::uint32_t msi = cap(0x05);
    host.config_write(msi + 4, 0xfee00000, 4);
    host.config_write(msi + 12, 0x40, 2);
    host.config_write(msi + 2, 0x0001 | 2 << 4, 2);  // four messages
    for (unsigned v = 0; v < 4; ++v) device.raise(v);
    host.settle();
    for (unsigned v = 0; v < 4; ++v) EXPECT_EQ(host.interrupts[0x40 + v], 1u);

    host.config_write(msi + 16, 0x2, 4);  // mask message 1
    device.raise(1);
    host.settle();
    EXPECT_EQ(host.interrupts[0x41], 1u);
    EXPECT_EQ(host.config_read32(msi + 20), 0x2u);
    host.config_write(msi + 16, 0, 4);
    host.settle();
    EXPECT_EQ(host.interrupts[0x41], 2u);
    EXPECT_EQ(host.config_read32(msi + 20), 0u);

    host.config_write(msi + 2, 0x0001, 2);  // one message for all
    device.raise(3);
    host.settle();
    EXPECT_EQ(host.interrupts[0x40], 2u);
}

TEST_F(InterruptTest, ResetMasksEverything) {
    host.enable_interrupts(4);
    mask(0, true);
    device.raise(0);
    device.reset();
    EXPECT_EQ(host.config_read32(cap(0x11)) >> 31, 0u);
    host.config_write(0x04, 0x0006, 2);
    EXPECT_EQ(host.read32(0x80c), 1u);
    EXPECT_EQ(pending(), 0u);
}

TEST_F(InterruptTest, SoftResetOnlyWithoutNoSoftReset) {
    host.config_write(0x40 + 4, 3, 2);
    host.config_write(0x40 + 4, 0, 2);
    EXPECT_EQ(device.resets.size(), 1u);
    FunctionState other_state{};
    CoreDevice other{other_state, false};
    FakeHost other_host;
    other_host.attach(other);
    other_host.config_write(0x40 + 4, 3, 2);
    EXPECT_EQ(other_host.read32(0), 0xffffffffu);
    other_host.config_write(0x40 + 4, 0, 2);
    ASSERT_EQ(other.resets.size(), 2u);
    EXPECT_EQ(other.resets[1], ResetKind::soft);
    EXPECT_EQ(other_host.config_read32(0x04) & 0x6, 0u);
    other_host.detach();
}

TEST_F(InterruptTest, HungFirmwareAnswersNoReadUntilReset) {
    device.faults().hang_after_reads = 2;
    std::byte b[4];
    EXPECT_EQ(device.bar_read(0, 0, b), Status::ok);
    EXPECT_EQ(device.bar_read(0, 0, b), Status::pending);
    EXPECT_EQ(device.bar_read(0, 0, b), Status::pending);
    EXPECT_FALSE(device.busy());
    device.reset();
    EXPECT_EQ(device.bar_read(0, 0, b), Status::ok);
}

}  // namespace
}  // namespace farlane::firmware::test
