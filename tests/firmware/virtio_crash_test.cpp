// SPDX-License-Identifier: Apache-2.0
// Receives: resets and kills of the daemon under I/O. Hands on: whether a driver can go on as if nothing had been.
// Owns: nothing. What survives a kill is told in firmware_sim/devices/virtio/ring.cpp.
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "firmware/virtio_disk.hpp"

namespace farlane::firmware::test {
namespace {

using Options = std::vector<std::pair<std::string, std::string>>;
const Options kSmallDisk = {{"size", "1M"}, {"queues", "2"}};

// kill -9 at the first, second, third... place that is passed, until the whole job passes without.
TEST(VirtioCrash, AtEveryPlace) {
    std::set<std::string> places;
    unsigned kill_at = 1;
    for (;; ++kill_at) {
        VirtioRig rig("virtio-blk", kSmallDisk);
        unsigned passed = 0;
        bool killed = false;
        rig.watch_points([&](const char* place) {
            places.insert(place);
            if (++passed != kill_at) return;
            killed = true;
            rig.host.kill_here();
        });
        try {
            VirtioDriver driver(rig.host);
            VirtioRandomIo io(rig.host, driver, 2, (1u << 20) / 512, 3);
            io.run(20);
            EXPECT_EQ(io.failures, 0u);
        } catch (const Error& e) {
            ADD_FAILURE() << e.what();
        }
        if (testing::Test::HasFailure()) FAIL() << "killed at place number " << kill_at;
        if (!killed) break;
    }
    EXPECT_GT(kill_at, 40u);
    for (const char* place : {"available ring read", "executed", "used entries given", "used index given"})
        EXPECT_TRUE(places.contains(place)) << place << " was never passed";
}

class VirtioCrashRandom : public testing::TestWithParam<unsigned> {};

// Killed again and again, recoveries included, under random load.
TEST_P(VirtioCrashRandom, DataIsRight) {
    const unsigned seed = GetParam();
    VirtioRig rig("virtio-blk", kSmallDisk,
                  {.seed = seed,
                   .would_block_percent = seed * 11 % 50,
                   .place_relaxed_early = seed % 2 != 0,
                   .lag_percent = seed * 23 % 80,
                   .answer_reads_in_any_order = true});
    std::mt19937 random(seed);
    unsigned until_kill = 500;
    rig.watch_points([&](const char*) {
        if (until_kill-- != 0) return;
        until_kill = 1 + static_cast<unsigned>(random() % 60);
        rig.host.kill_here();
    });
    VirtioDriver driver(rig.host, seed % 3 == 0 ? ~feature::kEventIndex : VirtioDriver::kEverything);
    VirtioRandomIo io(rig.host, driver, 2, (1u << 20) / 512, seed);
    io.run(2000);
    EXPECT_GT(rig.lives, 10u);
    EXPECT_EQ(io.failures, 0u);
    EXPECT_EQ(driver.status() & device_status::kNeedsReset, 0u);
}
INSTANTIATE_TEST_SUITE_P(Seeds, VirtioCrashRandom, testing::Range(1u, 9u));

TEST(VirtioReset, UnderIo) {
    VirtioRig rig("virtio-blk", kSmallDisk, {.seed = 4, .slow_percent = 20});
    std::mt19937 random(4);
    const auto m = rig.host.allocate(65536);
    for (unsigned round = 0; round < 60; ++round) {
        VirtioDriver driver(rig.host);
        for (unsigned i = 0; i < 40; ++i) {
            std::memset(m.bytes.data(), 0, 16);
            m.bytes[0] = std::byte{1};
            const VirtioBuffer out[] = {{m.iova, 16}, {m.iova + 4096, 8192}};
            const VirtioBuffer in{m.iova + 64, 1};
            ASSERT_TRUE(driver.queue(0).add(out, {&in, 1}));
        }
        driver.queue(0).kick();
        for (unsigned i = 0; i < random() % 30; ++i) rig.host.step();
        switch (round % 3) {
            case 0: driver.reset(); break;
            case 1: rig.device->reset(); break;  // FLR
            default: rig.host.detach(); rig.host.attach(*rig.device);
        }
        if (round % 3 != 0) rig.host.config_write(0x04, 0x0006, 2);
        EXPECT_EQ(driver.status(), 0u);
        // Nothing of it comes later: queue memory of the old driver is free for other use
        const std::uint64_t before = rig.counter("dma_bytes_written");
        rig.host.settle();
        EXPECT_EQ(rig.counter("dma_bytes_written"), before);
    }
    VirtioDriver driver(rig.host);
    VirtioDisk disk(rig.host, driver.queue(0));
    EXPECT_EQ(disk.request(kBlkIn, 0, {m.iova, 4096}), kBlkOk);
}

TEST(VirtioCrash, NegotiationGoesOn) {
    VirtioRig rig("virtio-blk", kSmallDisk);
    VirtioDriver driver(rig.host);
    driver.reset();
    ASSERT_TRUE(driver.negotiate(driver.offered()));
    ASSERT_TRUE(rig.kill_and_restore());
    EXPECT_EQ(driver.status(), 3u | device_status::kFeaturesOk);
    driver.start(0);
    VirtioDisk disk(rig.host, driver.queue(1));
    EXPECT_EQ(disk.request(kBlkFlush, 0), kBlkOk);
}

// A driver that is told of a change reads everything again: not for nothing, and not in the middle of an outage.
TEST(VirtioCrash, WhatCanNotChangeIsNotToldOf) {
    VirtioRig rig("virtio-blk", kSmallDisk);
    VirtioDriver driver(rig.host);
    VirtioDisk disk(rig.host, driver.queue(0));
    EXPECT_EQ(disk.request(kBlkFlush, 0), kBlkOk);
    rig.host.interrupts.clear();
    ASSERT_TRUE(rig.kill_and_restore());
    rig.host.settle();
    EXPECT_EQ(rig.host.interrupts[0], 0u) << "configuration";
    EXPECT_GE(rig.host.interrupts[1], 1u) << "the queue: its message may have been lost";
    EXPECT_EQ(disk.request(kBlkFlush, 0), kBlkOk);
}

// What an earlier life left is not trusted.
TEST(VirtioCrash, RandomState) {
    std::mt19937 random(9);
    for (unsigned round = 0; round < 200; ++round) {
        VirtioRig rig("virtio-blk", kSmallDisk);
        {
            VirtioDriver driver(rig.host);
            VirtioDisk disk(rig.host, driver.queue(0));
            EXPECT_EQ(disk.request(kBlkFlush, 0), kBlkOk);
        }
        rig.host.lose_device();
        rig.device.reset();
        bool fresh = true;
        const auto state = rig.memory->region("v0.virtio", sizeof(firmware::virtio::State), fresh).take();
        ASSERT_FALSE(fresh);
        for (unsigned n = 1 + static_cast<unsigned>(random() % 8); n != 0; --n) {
            const std::size_t tail = offsetof(firmware::virtio::State, session);
            const std::size_t at =
                random() % 3 == 0 ? random() % state.size() : tail + random() % (state.size() - tail);
            state[at] = static_cast<std::byte>(random());
        }
        rig.make();
        (void)rig.host.restore(*rig.device);
        for (unsigned i = 0; i < 100; ++i) rig.host.step();
        rig.host.config_write(0x04, 0x0006, 2);
        rig.host.detach();
        rig.host.attach(*rig.device);
        VirtioDriver driver(rig.host);
        VirtioDisk disk(rig.host, driver.queue(0));
        EXPECT_EQ(disk.request(kBlkFlush, 0), kBlkOk);
    }
}

}  // namespace
}  // namespace farlane::firmware::test
