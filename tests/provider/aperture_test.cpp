// SPDX-License-Identifier: Apache-2.0
// Receives: each provider. Hands on: proof of bulk transfers through the accelerator's aperture: any size
// and place, strict or relaxed, from ordinary memory or a DMA buffer. Owns: a fabric and a device per test.
#include <algorithm>
#include <cstring>

#include "provider/copier.hpp"
#include "provider/stage.hpp"

namespace farlane::test {
namespace {

class ProviderAperture : public ProviderTest {
protected:
    Fabric fabric_ = open();
    Device device_ = attach(fabric_);
    void SetUp() override { until_ready(device_); }
    static constexpr std::uint64_t kAt = 0x400000;
    std::vector<std::byte> back(std::uint64_t offset, std::size_t bytes) {
        std::vector<std::byte> data(bytes);
        device_.read(2, offset, data);
        return data;
    }
};

TEST_P(ProviderAperture, OddSizesAndPlaces) {
    for (const bool relaxed : {false, true}) {
        for (const std::size_t bytes : {1U, 2U, 3U, 5U, 31U, 32U, 33U, 63U, 65U, 4095U, 4096U, 4097U, 12289U}) {
            for (const std::uint64_t offset : {0U, 1U, 77U, 4093U}) {
                const auto data = pattern(bytes, static_cast<unsigned>(bytes + offset + (relaxed ? 9 : 0)));
                const std::vector<std::byte> zeros(bytes + 64);
                device_.write(2, kAt + offset, zeros, relaxed);
                if (relaxed) device_.flush();  // a relaxed write may pass the one before it
                device_.write(2, kAt + offset + 32, data, relaxed);
                auto got = back(kAt + offset, bytes + 64);
                EXPECT_EQ(std::memcmp(got.data() + 32, data.data(), bytes), 0) << bytes << " at " << offset;
                std::memset(got.data() + 32, 0, bytes);
                ASSERT_EQ(got, zeros) << "beside " << bytes << " at " << offset;
            }
        }
    }
}

TEST_P(ProviderAperture, MuchAtOnce) {
    auto data = pattern(3'000'001, 3);
    for (const bool relaxed : {false, true}) {
        device_.write(2, kAt + 77, data, relaxed);
        ASSERT_EQ(back(kAt + 77, data.size()), data) << relaxed;
        std::ranges::reverse(data);
    }
}

TEST_P(ProviderAperture, DataIsTheCallersAgainWhenWriteReturns) {
    const auto data = pattern(500'000, 4);
    auto scratch = data;
    device_.write(2, kAt, scratch, true);
    std::ranges::fill(scratch, std::byte{0xee});
    EXPECT_EQ(back(kAt, data.size()), data);
}

TEST_P(ProviderAperture, StrictWritesComeBehindRelaxedOnes) {
    for (std::uint32_t round = 1; round <= 50; ++round) {
        const std::vector<std::byte> data(20'000, static_cast<std::byte>(round));
        device_.write(2, kAt, data, true);
        device_.write32(2, kAt + data.size(), round);
        ASSERT_EQ(device_.read32(2, kAt + data.size()), round);
        ASSERT_EQ(back(kAt, data.size()), data) << round;
    }
}

TEST_P(ProviderAperture, FromABufferWithoutACopy) {
    DmaBuffer buffer = device_.domain().allocate(1'000'003);
    const auto data = pattern(buffer.size(), 5);
    std::ranges::copy(data, buffer.data());
    device_.write_from(2, kAt + 5, buffer, 0, buffer.size());
    device_.flush();
    EXPECT_EQ(back(kAt + 5, data.size()), data);
    device_.write_from(2, kAt, buffer, 999, 4099);
    device_.flush();
    const auto part = back(kAt, 4099);
    EXPECT_EQ(std::memcmp(part.data(), data.data() + 999, part.size()), 0);
    const std::size_t size = buffer.size();
    expect_refused(Status::out_of_bounds, "buffer", [&] { device_.write_from(2, kAt, buffer, 1, size); });
    expect_refused(Status::out_of_bounds, "buffer", [&] { device_.write_from(2, kAt, buffer, size + 1, 0); });
    expect_refused(Status::out_of_bounds, "buffer", [&] { device_.write_from(2, kAt, buffer, ~std::size_t{0}, 2); });
    expect_refused(Status::invalid, "empty", [&] { device_.write_from(2, kAt, DmaBuffer(), 0, 1); });
}

TEST_P(ProviderAperture, ABufferMayGoBeforeItHasLeft) {
    const auto data = pattern(1 << 20, 6);
    {
        DmaBuffer buffer = device_.domain().allocate(data.size());
        std::ranges::copy(data, buffer.data());
        device_.write_from(2, kAt, buffer, 0, buffer.size());
    }
    EXPECT_EQ(back(kAt, data.size()), data);
}

TEST_P(ProviderAperture, FlushWaitsForEveryWrite) {
    for (int i = 0; i < 20; ++i) {
        device_.write(2, kAt, pattern(100'000, static_cast<unsigned>(i)), true);
        device_.flush();
    }
    EXPECT_EQ(back(kAt, 100'000), pattern(100'000, 19));
    device_.flush();
}

TEST_P(ProviderAperture, WritesBeforeADetachArrive) {
    // What was written is seen by whoever reads the device's state after the detach: here the device itself,
    // which an orderly detach resets. So it has to be there before the detach answers, not after.
    const auto data = pattern(300'000, 8);
    device_.write(2, kAt, data);
    EXPECT_NO_THROW(device_.detach());
    device_ = attach(fabric_);
    until_ready(device_);
    device_.write(2, kAt, data);
    EXPECT_EQ(back(kAt, data.size()), data);
}

FARLANE_PROVIDER_SUITE(ProviderAperture);

}  // namespace
}  // namespace farlane::test
