// SPDX-License-Identifier: Apache-2.0
// Receives: addresses of a driver. Hands on: proof that the device for DMA tests copies where it is told, says what
// was refused, and forgets with a reset. Owns: nothing.
#include <algorithm>
#include <cstring>

#include "firmware/device_rig.hpp"

namespace farlane::firmware::test {
namespace {

constexpr std::uint32_t kSource = 0x10, kTarget = 0x18, kBytes = 0x20, kVector = 0x24, kGo = 0x28, kStatus = 0x2c;
constexpr std::uint32_t kIdle = 0, kBusy = 1, kDone = 2, kRefused = 3;

struct DmaDevice : testing::Test {
    DeviceRig rig{"dma_test", {}};
    nvme_user::Memory a = rig.host.allocate(1 << 20), b = rig.host.allocate(1 << 20);

    DmaDevice() {
        std::mt19937 r(1);
        std::ranges::generate(a.bytes, [&] { return static_cast<std::byte>(r()); });
    }
    void go(std::uint64_t source, std::uint64_t target, std::uint32_t bytes, std::uint32_t vector = 255) {
        rig.host.write64(kSource, source);
        rig.host.write64(kTarget, target);
        rig.host.write32(kBytes, bytes);
        rig.host.write32(kVector, vector);
        rig.host.write32(kGo, 1);
    }
    std::uint32_t copy(std::uint64_t source, std::uint64_t target, std::uint32_t bytes, std::uint32_t vector = 255) {
        go(source, target, bytes, vector);
        EXPECT_EQ(rig.host.read32(kStatus), kBusy);
        rig.host.settle();
        return rig.host.read32(kStatus);
    }
};

TEST_F(DmaDevice, CopiesBytesWhereItIsTold) {
    EXPECT_EQ(rig.host.read32(0), 0x54534c46U);
    rig.host.faults.answer_reads_in_any_order = true;
    for (const std::uint32_t n : {1U, 63U, 4096U, 10'000U, 1U << 19}) {
        std::ranges::fill(b.bytes, std::byte{0});
        ASSERT_EQ(copy(a.iova + 7, b.iova + 100, n), kDone);
        EXPECT_EQ(std::memcmp(a.bytes.data() + 7, b.bytes.data() + 100, n), 0);
        EXPECT_EQ(b.bytes[99], std::byte{0});
        EXPECT_EQ(b.bytes[100 + n], std::byte{0});
    }
}

TEST_F(DmaDevice, TriesWhatIsNotMapped) {
    const std::uint64_t nowhere = b.iova + (std::uint64_t{1} << 40);
    EXPECT_EQ(copy(nowhere, b.iova, 64), kRefused) << "a read is answered";
    EXPECT_EQ(rig.host.refused, 1U);
    EXPECT_EQ(copy(a.iova, nowhere, 64), kRefused) << "and this host says at once what it thinks of a write";
    EXPECT_EQ(rig.host.refused, 2U);
    EXPECT_EQ(copy(a.iova, b.iova, 0), kRefused);
    EXPECT_EQ(copy(a.iova, b.iova, (1U << 20) + 1), kRefused);
    EXPECT_EQ(rig.counter("copies"), 4U);
}

TEST_F(DmaDevice, InterruptsWhenItIsDone) {
    rig.host.enable_interrupts(16);
    EXPECT_EQ(copy(a.iova, b.iova, 64, 5), kDone);
    EXPECT_EQ(rig.host.interrupts[5], 1U);
    EXPECT_EQ(copy(a.iova, b.iova, 64, 16), kDone);
    EXPECT_EQ(rig.host.interrupts.size(), 1U);
}

TEST_F(DmaDevice, AResetForgetsTheCopy) {
    rig.host.hold_reads = true;
    go(a.iova, b.iova, 4096);
    for (int i = 0; i < 10; ++i) (void)rig.host.step();
    ASSERT_GT(rig.host.reads_on_their_way(), 0U);
    rig.device->reset();
    EXPECT_EQ(rig.host.read32(kStatus), kIdle);
    rig.host.hold_reads = false;
    rig.host.settle();
    EXPECT_EQ(rig.host.read32(kStatus), kIdle);
    EXPECT_EQ(b.bytes[0], std::byte{0});
    rig.host.config_write(4, 6, 2);
    EXPECT_EQ(copy(a.iova, b.iova, 4096), kDone);
    EXPECT_EQ(std::memcmp(a.bytes.data(), b.bytes.data(), 4096), 0);
}

TEST_F(DmaDevice, StartsAnewAfterAKill) {
    go(a.iova, b.iova, 64);
    EXPECT_FALSE(rig.kill_and_restore()) << "it keeps nothing, and says so";
    EXPECT_EQ(rig.host.read32(kStatus), kIdle);
}

}  // namespace
}  // namespace farlane::firmware::test
