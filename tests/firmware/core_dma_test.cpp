// SPDX-License-Identifier: Apache-2.0
// Receives: transfers. Hands on: whether they arrive, in order, and end once. Owns: nothing.
#include <cstring>

#include <gtest/gtest.h>

#include "firmware/core_device.hpp"

namespace farlane::firmware::test {
namespace {

using Done = CoreDevice::Done;

struct DmaTest : testing::Test {
    FunctionState state{};
    CoreDevice device{state};
    FakeHost host;
    std::vector<std::byte> local = std::vector<std::byte>(1u << 20);
    nvme_user::Memory remote;
    DmaTest() {
        host.attach(device);
        remote = host.allocate(local.size());
        std::mt19937 r(3);
        for (auto& b : local) b = static_cast<std::byte>(r());
    }
    ~DmaTest() override {
        if (host.device() != nullptr) host.detach();
    }
    std::span<std::byte> part(std::size_t at, std::size_t n) { return std::span(local).subspan(at, n); }
};

TEST_F(DmaTest, WritesOfEveryLengthAndAlignment) {
    std::mt19937 r(1);
    for (unsigned i = 0; i < 300; ++i) {
        const std::size_t at = r() % 20000, n = 1 + r() % 20000;
        std::memset(remote.bytes.data(), 0xee, 65536);
        ASSERT_EQ(device.dma().write(remote.iova + at, part(at, n), DmaOrder::strict, i), Status::ok);
        host.settle();
        ASSERT_EQ(std::memcmp(remote.bytes.data() + at, local.data() + at, n), 0);
        if (at != 0) {
            ASSERT_EQ(remote.bytes[at - 1], std::byte{0xee});
        }
        ASSERT_EQ(remote.bytes[at + n], std::byte{0xee});
        ASSERT_EQ(device.done.size(), i + 1);
        ASSERT_EQ(device.done.back(), (Done{i, Status::ok}));
    }
    EXPECT_EQ(host.crossed_pages, 0u);
    EXPECT_TRUE(device.ordered.empty());
    EXPECT_EQ(device.dma().in_use(), 0u);
}

TEST_F(DmaTest, ReadsOfEveryLengthAndAlignment) {
    std::mt19937 r(2);
    for (std::byte& b : remote.bytes) b = static_cast<std::byte>(r());
    host.faults.answer_reads_in_any_order = true;
    for (unsigned i = 0; i < 300; ++i) {
        const std::size_t at = r() % 20000, n = 1 + r() % 20000;
        std::memset(local.data(), 0xee, 65536);
        ASSERT_EQ(device.dma().read(remote.iova + at, part(100, n), i), Status::ok);
        host.settle();
        ASSERT_EQ(std::memcmp(remote.bytes.data() + at, local.data() + 100, n), 0);
        ASSERT_EQ(local[99], std::byte{0xee});
        ASSERT_EQ(local[100 + n], std::byte{0xee});
        ASSERT_EQ(device.done.size(), i + 1);
    }
    EXPECT_EQ(host.crossed_pages, 0u);
    EXPECT_LE(host.max_record_bytes, 4096u);
}

TEST_F(DmaTest, ManyInFlightWithAFullPort) {
    host.faults.would_block_percent = 70;
    host.faults.slow_percent = 50;
    unsigned ended = 0, pending = 0, started = 0;
    for (unsigned turn = 0; turn < 20000 && ended < 500; ++turn) {
        while (started < 500 && device.dma().room() != 0) {
            const Status s = device.dma().write(remote.iova + started * 1000, part(started * 1000, 1000),
                                                started % 2 != 0 ? DmaOrder::relaxed : DmaOrder::strict, started);
            ASSERT_TRUE(s == Status::ok || s == Status::pending);
            pending += s == Status::pending;
            ++started;
        }
        host.step();
        ended = static_cast<unsigned>(device.done.size());
    }
    ASSERT_EQ(ended, 500u);
    EXPECT_EQ(device.ordered.size(), pending);
    EXPECT_GT(pending, 0u);
    EXPECT_EQ(std::memcmp(remote.bytes.data(), local.data(), 500000), 0);
    EXPECT_EQ(device.dma().in_use(), 0u);
}

TEST_F(DmaTest, PoolIsFinite) {
    host.hold_writes = true;
    unsigned n = 0;
    while (device.dma().write(remote.iova, part(0, 4096), DmaOrder::strict, n) == Status::ok) ++n;
    EXPECT_EQ(n, 64u);
    EXPECT_EQ(device.dma().write(remote.iova, part(0, 4096), DmaOrder::strict, n), Status::would_block);
    host.hold_writes = false;
    host.settle();
    EXPECT_EQ(device.dma().room(), 64u);
}

TEST_F(DmaTest, RelaxedIsStrictWhenTheDriverSaysSo) {
    ASSERT_EQ(device.dma().write(remote.iova, part(0, 100), DmaOrder::relaxed, 1), Status::ok);
    EXPECT_EQ(host.relaxed_writes, 1u);
    std::uint32_t at = host.config_read32(0x34) & 0xff;
    while ((host.config_read32(at) & 0xff) != 0x10) at = host.config_read32(at) >> 8 & 0xff;
    host.config_write(at + 8, 0x2800, 2);
    ASSERT_EQ(device.dma().write(remote.iova, part(0, 100), DmaOrder::relaxed, 2), Status::ok);
    EXPECT_EQ(host.relaxed_writes, 1u);
}

TEST_F(DmaTest, BusMasterOffRefuses) {
    host.config_write(0x04, 0x0002, 2);
    EXPECT_EQ(device.dma().write(remote.iova, part(0, 64), DmaOrder::strict, 1), Status::denied);
    EXPECT_EQ(device.dma().read(remote.iova, part(0, 64), 2), Status::denied);
    EXPECT_EQ(device.dma().write_now(remote.iova, part(0, 16)), Status::denied);
    EXPECT_EQ(device.dma().counters().refused, 3u);
    host.settle();
    EXPECT_TRUE(device.done.empty());
}

TEST_F(DmaTest, OutsideAMappingIsRefusedAtOnce) {
    EXPECT_EQ(device.dma().write(0x10, part(0, 100), DmaOrder::strict, 1), Status::out_of_bounds);
    EXPECT_EQ(device.dma().read(0x10, part(0, 100), 2), Status::out_of_bounds);
    EXPECT_EQ(device.dma().write(~std::uint64_t{0} - 10, part(0, 100), DmaOrder::strict, 3), Status::out_of_bounds);
    EXPECT_EQ(device.dma().write(remote.iova, {}, DmaOrder::strict, 4), Status::invalid);
    EXPECT_EQ(device.dma().room(), 64u);
    device.faults().dma_outside_after = 1;
    EXPECT_EQ(device.dma().write(remote.iova, part(0, 100), DmaOrder::strict, 5), Status::out_of_bounds);
    EXPECT_EQ(device.dma().write(remote.iova, part(0, 100), DmaOrder::strict, 6), Status::ok);
}

TEST_F(DmaTest, FailureHalfwayComesWithTheEnd) {
    const std::uint64_t last = remote.iova + remote.bytes.size() - 8192;  // the third record is beyond the mapping
    ASSERT_EQ(device.dma().write(last, part(0, 12288), DmaOrder::strict, 9), Status::pending);
    EXPECT_TRUE(device.done.empty());
    host.settle();
    ASSERT_EQ(device.ordered.size(), 1u);
    EXPECT_EQ(device.ordered[0], (Done{9, Status::out_of_bounds}));
    ASSERT_EQ(device.done.size(), 1u);
    EXPECT_EQ(device.done[0], (Done{9, Status::out_of_bounds}));
    ASSERT_EQ(device.dma().read(last, part(0, 12288), 10), Status::ok);
    host.settle();
    EXPECT_EQ(device.done.back(), (Done{10, Status::out_of_bounds}));
    EXPECT_EQ(device.dma().room(), 64u);
}

TEST_F(DmaTest, ReadThatTheHostFails) {
    host.read_status = Status::timeout;
    ASSERT_EQ(device.dma().read(remote.iova, part(0, 10000), 1), Status::ok);
    host.settle();
    ASSERT_EQ(device.done.size(), 1u);
    EXPECT_EQ(device.done[0], (Done{1, Status::timeout}));
}

TEST_F(DmaTest, APatientDeviceAsksAgain) {
    device.dma().set_patient(true);
    std::mt19937 r(4);
    for (std::byte& b : remote.bytes) b = static_cast<std::byte>(r());
    host.read_status = Status::timeout;
    ASSERT_EQ(device.dma().read(remote.iova + 5, part(0, 10000), 1), Status::ok);
    for (int i = 0; i < 100; ++i) (void)host.step();
    EXPECT_TRUE(device.done.empty());
    EXPECT_EQ(device.dma().in_use(), 1u);
    EXPECT_GT(device.dma().counters().asked_again, 1u);
    host.read_status = Status::ok;
    host.settle();
    ASSERT_EQ(device.done.size(), 1u);
    EXPECT_EQ(device.done[0], (Done{1, Status::ok}));
    EXPECT_EQ(std::memcmp(remote.bytes.data() + 5, local.data(), 10000), 0);
    EXPECT_EQ(device.dma().room(), 64u);

    host.read_status = Status::completer_abort;
    ASSERT_EQ(device.dma().read(remote.iova, part(0, 64), 2), Status::ok);
    host.settle();
    EXPECT_EQ(device.done.back(), (Done{2, Status::completer_abort})) << "an answer is an answer";

    host.read_status = Status::timeout;
    ASSERT_EQ(device.dma().read(remote.iova, part(0, 64), 3), Status::ok);
    for (int i = 0; i < 20; ++i) (void)host.step();
    device.dma().abort();
    host.settle();
    EXPECT_EQ(device.done.back(), (Done{3, Status::canceled}));
    EXPECT_EQ(device.dma().in_use(), 0u);
}

TEST_F(DmaTest, ResetCancelsButWaitsForWhatIsInFlight) {
    host.hold_writes = host.hold_reads = true;
    ASSERT_EQ(device.dma().write(remote.iova, part(0, 8192), DmaOrder::strict, 1), Status::ok);
    ASSERT_EQ(device.dma().read(remote.iova, part(0, 8192), 2), Status::ok);
    host.faults.would_block_percent = 100;
    ASSERT_EQ(device.dma().write(remote.iova, part(0, 8192), DmaOrder::strict, 3), Status::pending);
    host.faults.would_block_percent = 0;
    device.reset();
    ASSERT_EQ(device.done.size(), 1u) << "only what never left has ended";
    EXPECT_EQ(device.done[0], (Done{3, Status::canceled}));
    EXPECT_EQ(device.dma().in_use(), 2u);
    host.hold_writes = host.hold_reads = false;
    host.settle();
    EXPECT_EQ(device.done.size(), 3u);
    for (const Done& d : device.done) EXPECT_EQ(d.status, Status::canceled);
    EXPECT_EQ(device.dma().in_use(), 0u);
}

TEST_F(DmaTest, DetachEndsEverythingNow) {
    host.hold_writes = host.hold_reads = true;
    ASSERT_EQ(device.dma().write(remote.iova, part(0, 8192), DmaOrder::strict, 1), Status::ok);
    ASSERT_EQ(device.dma().read(remote.iova, part(0, 8192), 2), Status::ok);
    host.detach();
    EXPECT_EQ(device.done.size(), 2u);
    EXPECT_EQ(device.dma().in_use(), 0u);
    device.released(0);  // late and stale answers are ignored
    device.read_done(1, Status::ok);
    device.read_done(~std::uint64_t{0}, Status::ok);
    EXPECT_EQ(device.done.size(), 2u);
}

TEST_F(DmaTest, SmallWritesAreCopied) {
    std::byte small[16] = {std::byte{1}};
    ASSERT_EQ(device.dma().write_now(remote.iova, small), Status::ok);
    small[0] = std::byte{2};
    host.settle();
    EXPECT_EQ(remote.bytes[0], std::byte{1});
    ASSERT_EQ(device.dma().write(remote.iova, small, DmaOrder::strict, 7), Status::ok);
    EXPECT_TRUE(device.done.empty()) << "never from within write()";
    host.settle();
    ASSERT_EQ(device.done.size(), 1u);
}

}  // namespace
}  // namespace farlane::firmware::test
