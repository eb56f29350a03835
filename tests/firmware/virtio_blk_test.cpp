// SPDX-License-Identifier: Apache-2.0
// Receives: requests of the user-space driver to a virtio disk. Hands on: whether both agree. Owns: nothing.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "firmware/virtio_disk.hpp"

namespace farlane::firmware::test {
namespace {

struct VirtioBlk : testing::Test {
    VirtioRig rig{"virtio-blk", {{"size", "4M"}, {"serial", "SN-7"}, {"queues", "2"}}};
    VirtioDriver driver{rig.host};
    VirtioDisk disk{rig.host, driver.queue(0)};
    nvme_user::Memory a = rig.host.allocate(1u << 20), b = rig.host.allocate(1u << 20);
};

TEST_F(VirtioBlk, SaysWhatItIs) {
    EXPECT_EQ(rig.host.config_read32(0), 0x10421af4u);
    EXPECT_EQ(driver.config32(0), (4u << 20) / 512);
    EXPECT_EQ(driver.config32(20), 512u);
    EXPECT_EQ(driver.config32(32) >> 16, 2u);
    EXPECT_EQ(disk.request(kBlkId, 0, {a.iova, 20}), kBlkOk);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(a.bytes.data())), "SN-7");
}

TEST_F(VirtioBlk, WritesAndReadsBack) {
    fill_random(a.bytes, 1);
    ASSERT_EQ(disk.request(kBlkOut, 8, {a.iova, 1u << 20}, 16384), kBlkOk);
    ASSERT_EQ(disk.request(kBlkFlush, 0), kBlkOk);
    ASSERT_EQ(disk.request(kBlkIn, 8, {b.iova, 1u << 20}, 8192), kBlkOk);
    EXPECT_EQ(disk.last.bytes, (1u << 20) + 1);
    EXPECT_TRUE(equal(a.bytes, b.bytes));
    EXPECT_LE(rig.host.max_record_bytes, 4096u);
    EXPECT_EQ(rig.host.crossed_pages, 0u);
    // The smallest, and a layout that splits everything
    ASSERT_EQ(disk.request(kBlkIn, 9, {b.iova, 512}, 7), kBlkOk);
    EXPECT_TRUE(equal(b.bytes.first(512), a.bytes.subspan(512, 512)));
}

TEST_F(VirtioBlk, RefusesWhatIsBeyondTheEnd) {
    EXPECT_EQ(disk.request(kBlkIn, 8192, {a.iova, 512}), kBlkIoError);
    EXPECT_EQ(disk.request(kBlkOut, 8191, {a.iova, 1024}), kBlkIoError);
    EXPECT_EQ(disk.request(kBlkOut, ~std::uint64_t{0}, {a.iova, 512}), kBlkIoError);
    EXPECT_EQ(disk.request(kBlkIn, 0, {a.iova, 100}), kBlkIoError);
    EXPECT_EQ(disk.request(77, 0), kBlkUnsupported);
    EXPECT_EQ(disk.request(kBlkId, 0, {a.iova, 19}), kBlkIoError);
    EXPECT_EQ(disk.request(kBlkIn, 8191, {a.iova, 512}), kBlkOk);
    EXPECT_EQ(driver.status() & device_status::kNeedsReset, 0u);
}

TEST_F(VirtioBlk, ZeroesRanges) {
    const auto range = [&](std::uint64_t sector, std::uint32_t sectors, std::uint32_t flags) {
        const fl_le64 s(sector);
        const fl_le32 n(sectors), f(flags);
        std::memcpy(b.bytes.data(), &s, 8);
        std::memcpy(b.bytes.data() + 8, &n, 4);
        std::memcpy(b.bytes.data() + 12, &f, 4);
        return VirtioBuffer{b.iova, 16};
    };
    fill_random(a.bytes, 2);
    ASSERT_EQ(disk.request(kBlkOut, 0, {a.iova, 65536}, 4096), kBlkOk);
    EXPECT_EQ(disk.request(kBlkZeroes, 0, range(3, 10, 0)), kBlkOk);
    EXPECT_EQ(disk.request(kBlkDiscard, 0, range(40, 16, 0)), kBlkOk);
    EXPECT_EQ(disk.request(kBlkZeroes, 0, range(8190, 3, 1)), kBlkIoError);
    EXPECT_EQ(disk.request(kBlkDiscard, 0, range(0, 1, 1)), kBlkUnsupported);
    EXPECT_EQ(disk.request(kBlkDiscard, 0, {b.iova, 32}), kBlkIoError);
    std::memset(a.bytes.data() + 3 * 512, 0, 10 * 512);
    std::memset(a.bytes.data() + 40 * 512, 0, 16 * 512);
    ASSERT_EQ(disk.request(kBlkIn, 0, {b.iova, 65536}), kBlkOk);
    EXPECT_TRUE(equal(a.bytes.first(65536), b.bytes.first(65536)));
}

TEST_F(VirtioBlk, DataOutsideOfMemoryIsAnError) {
    EXPECT_EQ(disk.request(kBlkIn, 0, {0x1000, 4096}), kBlkIoError);
    EXPECT_EQ(disk.request(kBlkOut, 0, {0x1000, 8192}), kBlkIoError);
    // Half of it is there
    const nvme_user::Memory page = rig.host.allocate(4096);
    EXPECT_EQ(disk.request(kBlkOut, 0, {page.iova, 8192}), kBlkIoError);
    EXPECT_EQ(disk.request(kBlkIn, 0, {page.iova, 8192}), kBlkIoError);
    EXPECT_EQ(disk.request(kBlkIn, 0, {page.iova, 4096}), kBlkOk);
    rig.host.settle();
}

TEST(VirtioBlkFile, IsDurableAndKept) {
    const std::string path = testing::TempDir() + "virtio-blk-" + std::to_string(::getpid());
    for (const unsigned round : {0u, 1u}) {
        VirtioRig rig("virtio-blk", {{"size", "1M"}, {"file", path}, {"lba", "4096"}});
        VirtioDriver driver(rig.host);
        VirtioDisk disk(rig.host, driver.queue(0));
        const auto m = rig.host.allocate(8192), n = rig.host.allocate(8192);
        fill_random(m.bytes, 5);
        if (round == 0) {
            ASSERT_EQ(disk.request(kBlkOut, 16, {m.iova, 8192}), kBlkOk);
            ASSERT_EQ(disk.request(kBlkFlush, 0), kBlkOk);
        }
        ASSERT_EQ(disk.request(kBlkIn, 16, {n.iova, 8192}), kBlkOk);
        EXPECT_TRUE(equal(m.bytes, n.bytes));
    }
    // A driver without flush has each write made durable
    VirtioRig rig("virtio-blk", {{"file", path}});
    VirtioDriver driver(rig.host, ~feature::bit(9));
    VirtioDisk disk(rig.host, driver.queue(0));
    const auto m = rig.host.allocate(4096);
    EXPECT_EQ(disk.request(kBlkOut, 0, {m.iova, 4096}), kBlkOk);
    std::filesystem::remove(path);
}

struct Mode {
    const char* name;
    std::uint64_t without;
    HostFaults faults;
};

class VirtioBlkModes : public testing::TestWithParam<std::tuple<int, unsigned>> {};

TEST_P(VirtioBlkModes, RandomLoad) {
    const auto [mode, seed] = GetParam();
    static constexpr std::uint64_t kWithout[] = {
        0, feature::kEventIndex, feature::kIndirect, feature::kNotificationData,
        feature::kEventIndex | feature::kIndirect | feature::kNotificationData};
    VirtioRig rig("virtio-blk", {{"size", "2M"}, {"queues", "3"}},
                  {.seed = seed,
                   .would_block_percent = seed * 13 % 60,
                   .place_relaxed_early = seed % 2 != 0,
                   .lag_percent = seed * 29 % 50,
                   .answer_reads_in_any_order = seed % 3 != 0});
    VirtioDriver driver(rig.host, ~kWithout[mode], seed % 2 == 0 ? 64 : 256);
    VirtioRandomIo io(rig.host, driver, 3, (2u << 20) / 512, seed);
    io.run(1500);
    EXPECT_EQ(io.failures, 0u);
    EXPECT_EQ(driver.status() & device_status::kNeedsReset, 0u);
    EXPECT_EQ(rig.host.crossed_pages, 0u);
    EXPECT_EQ(rig.host.refused, 0u);
    EXPECT_EQ(rig.counter("virtio_requests"), 1500u);
    rig.host.settle();
    EXPECT_FALSE(rig.device->busy());
}

INSTANTIATE_TEST_SUITE_P(All, VirtioBlkModes, testing::Combine(testing::Range(0, 5), testing::Range(1u, 5u)));

TEST(VirtioBlkOptions, AreChecked) {
    const auto says = [](std::vector<std::pair<std::string, std::string>> o) {
        const auto r = backend::check_device({"d", "virtio-blk", std::move(o)});
        return r ? std::string("fine") : r.failure().detail;
    };
    EXPECT_EQ(says({}), "fine");
    EXPECT_EQ(says({{"size", "1G"}, {"file", "/x"}, {"lba", "4096"}, {"serial", "s"}, {"queues", "16"}}), "fine");
    EXPECT_NE(says({{"queues", "17"}}).find("from 1 to 16"), std::string::npos);
    EXPECT_NE(says({{"size", "1000"}}).find("size from 1M"), std::string::npos);
    EXPECT_NE(says({{"lba", "513"}}).find("512|4096"), std::string::npos);
    EXPECT_NE(says({{"sise", "1G"}}).find("valid: size=<"), std::string::npos);
    EXPECT_NE(says({{"serial", "123456789012345678901"}}).find("1 to 20"), std::string::npos);
}

}  // namespace
}  // namespace farlane::firmware::test
