// SPDX-License-Identifier: Apache-2.0
// Receives: each provider. Hands on: proof of registers of every width, bounds and configuration space.
// Owns: a fabric and a device per test.
#include <array>
#include <cstring>

#include <farlane/uapi/accel.h>

#include "provider/copier.hpp"
#include "provider/stage.hpp"

namespace farlane::test {
namespace {

class ProviderRegister : public ProviderTest {
protected:
    Fabric fabric_ = open();
    Device device_ = attach(fabric_);
    void SetUp() override { until_ready(device_); }
    static constexpr std::uint64_t kQueue = FL_ACCEL_QUEUE_OFFSET;
    static constexpr std::uint64_t kWord = kQueue + offsetof(fl_accel_queue_registers, cq_iova);
    static constexpr std::uint64_t kMemory = 0x300000;  // of BAR 2: memory that nothing uses
};

TEST_P(ProviderRegister, EveryWidth) {
    const std::uint64_t value = 0x0123456789abcdc0;
    device_.write64(0, kWord, value);
    EXPECT_EQ(device_.read64(0, kWord), value);
    EXPECT_EQ(device_.read32(0, kWord), static_cast<std::uint32_t>(value));
    EXPECT_EQ(device_.read32(0, kWord + 4), static_cast<std::uint32_t>(value >> 32));
    device_.write32(0, kWord + 4, 0xfeedbeef);
    EXPECT_EQ(device_.read64(0, kWord), 0xfeedbeef89abcdc0);
    for (std::size_t bytes = 1; bytes <= 8; ++bytes) {  // reads of any size and place
        for (std::size_t at = 0; at + bytes <= 8; ++at) {
            std::array<std::byte, 8> got{};
            device_.read(0, kWord + at, std::span(got).first(bytes));
            const std::uint64_t whole = 0xfeedbeef89abcdc0;
            EXPECT_EQ(std::memcmp(got.data(), reinterpret_cast<const std::byte*>(&whole) + at, bytes), 0)
                << bytes << " at " << at;
        }
    }
}

TEST_P(ProviderRegister, WritesOfEveryWidthReachMemory) {
    const auto data = pattern(64, 1);
    std::vector<std::byte> expected(64), got(64);
    device_.write(2, kMemory, expected);
    for (std::size_t bytes = 1; bytes <= 8; ++bytes) {
        const std::size_t at = bytes * 7 % 56;
        device_.write(2, kMemory + at, std::span(data).first(bytes));
        std::memcpy(expected.data() + at, data.data(), bytes);
        device_.read(2, kMemory, got);
        ASSERT_EQ(got, expected) << bytes;
    }
    device_.write32(2, kMemory + 4, 0x01020304);
    device_.write64(2, kMemory + 8, 0x1112131415161718);
    EXPECT_EQ(device_.read64(2, kMemory + 8), 0x1112131415161718U);
    EXPECT_EQ(device_.read32(2, kMemory + 4), 0x01020304U);
}

TEST_P(ProviderRegister, AReadPushesTheWritesBeforeIt) {
    for (std::uint64_t i = 1; i < 300; ++i) {
        device_.write64(0, kWord, i * 64);
        ASSERT_EQ(device_.read64(0, kWord), i * 64);
    }
    for (std::uint64_t i = 1; i < 2000; ++i) device_.write64(0, kWord, i * 64);  // more than any ring holds
    EXPECT_EQ(device_.read64(0, kWord), 1999U * 64);
}

TEST_P(ProviderRegister, OutsideABarIsRefused) {
    const std::uint64_t end0 = device_.info().bars[0].size_bytes, end2 = device_.info().bars[2].size_bytes;
    std::vector<std::byte> some(16);
    expect_refused(Status::out_of_bounds, kAccelerator, [&] { (void)device_.read32(0, end0); });
    expect_refused(Status::out_of_bounds, kAccelerator, [&] { (void)device_.read64(0, end0); });
    expect_refused(Status::out_of_bounds, kAccelerator, [&] { device_.write32(0, end0, 1); });
    expect_refused(Status::out_of_bounds, kAccelerator, [&] { device_.read(2, end2 - 8, some); });
    expect_refused(Status::out_of_bounds, kAccelerator, [&] { device_.write(2, end2 - 8, some); });
    expect_refused(Status::out_of_bounds, kAccelerator, [&] { device_.read(2, ~0ULL - 7, some); });
    expect_refused(Status::out_of_bounds, kAccelerator, [&] { device_.write(2, ~0ULL - 7, some, true); });
    for (const unsigned bar : {1U, 3U, 5U, 6U, 7U, 255U, 4096U, ~0U}) {
        expect_refused(Status::out_of_bounds, kAccelerator, [&] { (void)device_.read32(bar, 0); });
        expect_refused(Status::out_of_bounds, kAccelerator, [&] { device_.write32(bar, 0, 1); });
    }
    expect_refused(Status::invalid, "multiple of 4", [&] { (void)device_.read32(0, 2); });
    expect_refused(Status::invalid, "multiple of 8", [&] { device_.write64(0, kWord + 4, 0); });
    DmaBuffer buffer = device_.domain().allocate(8192);
    expect_refused(Status::out_of_bounds, kAccelerator,
                   [&] { device_.write_from(2, end2 - 4096, buffer, 0, buffer.size()); });
    device_.read(2, end2 - 16, some);  // the last bytes are inside
    device_.write(2, end2 - 16, some);
    EXPECT_EQ(device_.read32(0, 0), FL_ACCEL_MAGIC);
}

TEST_P(ProviderRegister, WhatIsRefusedIsNotDoneInPart) {
    const std::uint64_t end = device_.info().bars[2].size_bytes;
    const std::vector<std::byte> zeros(16);
    device_.write(2, end - 8, std::span(zeros).first(8));
    EXPECT_EQ(refusal_of([&] { device_.write(2, end - 8, pattern(8192, 5)); }).status, Status::out_of_bounds);
    EXPECT_EQ(device_.read64(2, end - 8), 0U);
}

TEST_P(ProviderRegister, NothingMoved) {
    device_.read(2, 0, std::span<std::byte>());
    device_.write(2, 0, std::span<const std::byte>());
    EXPECT_EQ(device_.read32(0, 0), FL_ACCEL_MAGIC);
}

TEST_P(ProviderRegister, ConfigurationSpace) {
    const std::uint32_t id = device_.config_read32(0);
    EXPECT_EQ(id, device_.info().vendor_id | std::uint32_t{device_.info().device_id} << 16);
    EXPECT_EQ(device_.config_read16(0), static_cast<std::uint16_t>(id));
    EXPECT_EQ(device_.config_read16(2), id >> 16);
    for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(device_.config_read8(i), id >> 8 * i & 0xff);
    EXPECT_EQ(device_.config_read32(8) >> 8, 0x120000U);
    EXPECT_NE(device_.config_read16(6) & 0x10, 0) << "it has capabilities";
    (void)device_.config_read32(4092);
    EXPECT_EQ(device_.config_read16(4) & 6, 6) << "enabled by the fixture";
    device_.config_write32(0, 0x12345678);  // read only
    EXPECT_EQ(device_.config_read32(0), id);
    device_.config_write8(0x3c, 0x5a);  // interrupt line: the host's to keep
    EXPECT_EQ(device_.config_read8(0x3c), 0x5a);
    device_.config_write16(0x3c, 0x0012);
    EXPECT_EQ(device_.config_read32(0x3c) & 0xff, 0x12U);
}

TEST_P(ProviderRegister, ConfigurationOutsideOrAcrossIsRefused) {
    for (const std::uint32_t offset : {2U, 4094U, 4096U, 5000U, ~0U})
        expect_refused(Status::invalid, "below 4096", [&] { (void)device_.config_read32(offset); });
    for (const std::uint32_t offset : {1U, 3U, 4095U, 4096U})
        expect_refused(Status::invalid, "below 4096", [&] { (void)device_.config_read16(offset); });
    expect_refused(Status::invalid, "below 4096", [&] { (void)device_.config_read8(4096); });
    expect_refused(Status::invalid, "below 4096", [&] { device_.config_write32(4093, 0); });
    expect_refused(Status::invalid, "below 4096", [&] { device_.config_write8(4096, 0); });
}

TEST_P(ProviderRegister, WithoutMemoryDecodingNothingAnswers) {
    device_.config_write16(4, 0);
    EXPECT_NE(refusal_of([&] { (void)device_.read32(0, 0); }).status, Status::ok);
    device_.enable();
    EXPECT_EQ(device_.read32(0, 0), FL_ACCEL_MAGIC);
}

TEST_P(ProviderRegister, ResetsTheFunction) {
    device_.write64(0, kWord, 0x1000);
    device_.write64(2, kMemory, 0x77);
    device_.reset();
    EXPECT_EQ(device_.config_read16(4) & 6, 0) << "as after power-on";
    device_.enable();
    until_ready(device_);
    EXPECT_EQ(device_.read64(0, kWord), 0U);
    EXPECT_EQ(device_.read64(2, kMemory), 0U);
}

FARLANE_PROVIDER_SUITE(ProviderRegister);

}  // namespace
}  // namespace farlane::test
