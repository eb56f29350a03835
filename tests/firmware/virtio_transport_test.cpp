// SPDX-License-Identifier: Apache-2.0
// Receives: what a driver does to the transport, right and wrong. Hands on: whether it answers as specified and
// ends wrong things in DEVICE_NEEDS_RESET. Owns: nothing.
#include <gtest/gtest.h>

#include "firmware/virtio_disk.hpp"

namespace farlane::firmware::test {
namespace {

struct VirtioTransport : testing::Test {
    VirtioRig rig{"virtio-blk", {{"size", "1M"}, {"queues", "1"}}};
    [[nodiscard]] std::uint64_t counter(const char* name) const { return rig.counter(name); }
};

// The structures are found by walking the capabilities, as a driver does.
TEST_F(VirtioTransport, CapabilitiesLeadToTheStructures) {
    std::map<unsigned, std::pair<std::uint32_t, std::uint32_t>> found;
    for (std::uint32_t at = rig.host.config_read32(0x34) & 0xff; at != 0; at = rig.host.config_read32(at) >> 8 & 0xff) {
        const std::uint32_t head = rig.host.config_read32(at);
        if ((head & 0xff) != 9) continue;
        found[head >> 24] = {rig.host.config_read32(at + 8), rig.host.config_read32(at + 12)};
        if (head >> 24 == 2) {
            EXPECT_EQ(rig.host.config_read32(at + 16), Transport::kNotifyMultiplier);
        }
    }
    ASSERT_EQ(found.size(), 5u);
    EXPECT_EQ(found[1].first, Transport::kCommonAt);
    EXPECT_EQ(found[2].first, Transport::kNotifyAt);
    EXPECT_EQ(found[3].first, Transport::kIsrAt);
    EXPECT_EQ(found[4].first, Transport::kDeviceAt);
    EXPECT_GE(found[1].second, 56u);
}

// 4.1.4.9: the same registers through configuration space
TEST_F(VirtioTransport, WindowInConfigurationSpace) {
    std::uint32_t at = rig.host.config_read32(0x34) & 0xff;
    while (at != 0 && (rig.host.config_read32(at) & 0xff0000ffu) != 0x05000009u)
        at = rig.host.config_read32(at) >> 8 & 0xff;
    ASSERT_NE(at, 0u);
    const auto window = [&](std::uint32_t offset, std::uint32_t bytes) {
        rig.host.config_write(at + 4, 0, 1);
        rig.host.config_write(at + 8, offset, 4);
        rig.host.config_write(at + 12, bytes, 4);
    };
    window(common::kStatus, 1);
    rig.host.config_write(at + 16, 1, 4);
    EXPECT_EQ(rig.host.read32(common::kStatus) & 0xff, 1u);
    EXPECT_EQ(rig.host.config_read32(at + 16) & 0xff, 1u);
    window(Transport::kDeviceAt, 4);
    EXPECT_EQ(rig.host.config_read32(at + 16), (1u << 20) / 512);
    // Nonsense does nothing
    for (const auto& [offset, bytes] :
         {std::pair{common::kStatus, 3u}, {0xfffffffcu, 4u}, {Transport::kBarBytes, 1u}}) {
        window(offset, bytes);
        rig.host.config_write(at + 16, 0, 4);
        EXPECT_EQ(rig.host.read32(common::kStatus) & 0xff, 1u);
    }
}

TEST_F(VirtioTransport, FeaturesThatMustBeAcceptedMust) {
    VirtioDriver driver(rig.host);
    const std::uint64_t all = driver.offered();
    EXPECT_EQ(all & feature::kTransport, feature::kTransport);
    driver.reset();
    EXPECT_FALSE(driver.negotiate(all & ~feature::kAccessPlatform));
    EXPECT_EQ(counter("virtio_refused_no_access_platform"), 1u);
    driver.reset();
    EXPECT_FALSE(driver.negotiate(all & ~feature::kVersion1));
    EXPECT_EQ(counter("virtio_refused_no_version_1"), 1u);
    driver.reset();
    EXPECT_FALSE(driver.negotiate(all | feature::bit(63)));
    EXPECT_EQ(counter("virtio_refused_unknown_feature"), 1u);
    // DRIVER_OK does not help then
    driver.set_status(3 | device_status::kFeaturesOk | device_status::kDriverOk);
    EXPECT_EQ(driver.status(), 3u);
    driver.reset();
    EXPECT_TRUE(driver.negotiate(feature::kRequired));
    driver.start(8);
    VirtioDisk disk(rig.host, driver.queue(0));
    EXPECT_EQ(disk.request(kBlkFlush, 0), kBlkOk);
}

TEST_F(VirtioTransport, RegistersOfAnyWidth) {
    const auto write = [&](std::uint32_t at, std::uint64_t v, std::size_t bytes) {
        const fl_le64 le(v);
        EXPECT_EQ(rig.device->bar_write(0, at, std::as_bytes(std::span{&le, 1}).first(bytes), 0), Status::ok);
    };
    const auto read = [&](std::uint32_t at, std::size_t bytes) {
        fl_le64 le(0);
        EXPECT_EQ(rig.device->bar_read(0, at, std::as_writable_bytes(std::span{&le, 1}).first(bytes)), Status::ok);
        return le.get();
    };
    write(common::kStatus, 3, 1);
    write(common::kQueueSize, 32, 2);
    EXPECT_EQ(read(common::kQueueSize, 2), 32u);
    write(common::kQueueVector, 1, 2);
    EXPECT_EQ(read(common::kQueueVector, 2), 1u);
    write(common::kQueueVector, 2, 2);  // there is none: 4.1.5.1.2.1
    EXPECT_EQ(read(common::kQueueVector, 2), 0xffffu);
    write(common::kDescriptors, 0x1122334455667700, 8);
    EXPECT_EQ(read(common::kDescriptors, 4), 0x55667700u);
    write(common::kDescriptors + 4, 0xaabbccdd, 4);
    EXPECT_EQ(read(common::kDescriptors, 8), 0xaabbccdd55667700u);
    write(common::kQueueSelect, 1, 2);
    EXPECT_EQ(read(common::kQueueSize, 2), 0u);
    write(common::kQueueSize, 64, 2);
    write(common::kQueueSelect, 0, 2);
    EXPECT_EQ(read(common::kQueueSize, 2), 32u);
    EXPECT_EQ(read(common::kQueues, 2), 1u);
    EXPECT_EQ(read(common::kGeneration, 1), read(common::kGeneration, 1));
    EXPECT_EQ(read(0x7ff8, 8), 0u);
}

TEST_F(VirtioTransport, InterruptsAreSentWhenWanted) {
    VirtioDriver driver(rig.host);
    VirtioDisk disk(rig.host, driver.queue(0));
    EXPECT_EQ(disk.request(kBlkFlush, 0), kBlkOk);
    rig.host.settle();
    EXPECT_EQ(rig.host.interrupts[1], 1u);
    driver.queue(0).suppress_interrupts();
    rig.host.interrupts.clear();
    // The first one may still come: that the driver changed its mind is read after it
    for (unsigned i = 0; i < 50; ++i) EXPECT_EQ(disk.request(kBlkFlush, 0), kBlkOk);
    rig.host.settle();
    EXPECT_LE(rig.host.interrupts[1], 1u);
    EXPECT_GE(counter("virtio_interrupts_suppressed"), 49u);
}

TEST_F(VirtioTransport, NotificationsAreSparedByTheEventIndex) {
    VirtioDriver driver(rig.host);
    const auto m = rig.host.allocate(4096);
    std::memset(m.bytes.data(), 0, 16);
    m.bytes[0] = std::byte{4};
    const VirtioBuffer out{m.iova, 16}, in{m.iova + 64, 1};
    for (unsigned i = 0; i < 100; ++i) {
        ASSERT_TRUE(driver.queue(0).add({&out, 1}, {&in, 1}));
        driver.queue(0).kick();
    }
    for (unsigned i = 0; i < 100; ++i) (void)driver.queue(0).wait();
    EXPECT_LT(driver.queue(0).kicks, 10u);
}

// --- what a driver must not do

struct Wrong {
    const char* counter;
    void (*does)(VirtioQueue&, std::uint64_t memory);
};

class VirtioHostile : public testing::TestWithParam<Wrong> {};

TEST_P(VirtioHostile, EndsInNeedsReset) {
    VirtioRig rig("virtio-blk", {{"size", "1M"}, {"queues", "1"}});
    VirtioDriver driver(rig.host);
    const auto m = rig.host.allocate(65536);
    GetParam().does(driver.queue(0), m.iova);
    driver.queue(0).kick(true);
    rig.host.settle();
    EXPECT_NE(driver.status() & device_status::kNeedsReset, 0u);
    EXPECT_EQ(rig.counter(GetParam().counter), 1u);
    EXPECT_GE(rig.host.interrupts[0], 1u);  // the configuration vector
    EXPECT_EQ(driver.queue(0).used_index(), 0u);
    EXPECT_FALSE(rig.device->busy());
    // Nothing helps but a reset, also not a restart of the daemon
    driver.queue(0).kick(true);
    rig.host.interrupts.clear();
    ASSERT_TRUE(rig.kill_and_restore());
    rig.host.settle();
    EXPECT_NE(driver.status() & device_status::kNeedsReset, 0u);
    EXPECT_GE(rig.host.interrupts[0], 1u) << "its message may have been lost";
    VirtioDriver again(rig.host);
    VirtioDisk disk(rig.host, again.queue(0));
    EXPECT_EQ(disk.request(kBlkFlush, 0), kBlkOk);
}

constexpr Wrong kWrongs[] = {
    {"virtio_needs_reset_index", [](VirtioQueue& q, std::uint64_t) { q.set_available_index(0x8000); }},
    {"virtio_needs_reset_index",
     [](VirtioQueue& q, std::uint64_t) { q.set_available_index(static_cast<std::uint16_t>(q.size() + 1)); }},
    {"virtio_needs_reset_descriptor", [](VirtioQueue& q, std::uint64_t) { q.make_available(q.size()); }},
    {"virtio_needs_reset_descriptor", [](VirtioQueue& q, std::uint64_t) { q.make_available(0xffff); }},
    {"virtio_needs_reset_descriptor",
     [](VirtioQueue& q, std::uint64_t m) {
         q.descriptor(0, m, 16, 1, 0xffff);
         q.make_available(0);
     }},
    {"virtio_needs_reset_chain",  // points to itself
     [](VirtioQueue& q, std::uint64_t m) {
         q.descriptor(0, m, 16, 1, 0);
         q.make_available(0);
     }},
    {"virtio_needs_reset_chain",  // a loop that leaves the run that is read at once
     [](VirtioQueue& q, std::uint64_t m) {
         q.descriptor(3, m, 16, 1, 200);
         q.descriptor(200, m, 16, 1, 3);
         q.make_available(3);
     }},
    {"virtio_needs_reset_order",
     [](VirtioQueue& q, std::uint64_t m) {
         q.descriptor(0, m, 16, 3, 1);
         q.descriptor(1, m, 16, 0, 0);
         q.make_available(0);
     }},
    {"virtio_needs_reset_length",
     [](VirtioQueue& q, std::uint64_t m) {
         q.descriptor(0, m, 0, 0, 0);
         q.make_available(0);
     }},
    {"virtio_needs_reset_length",
     [](VirtioQueue& q, std::uint64_t) {
         q.descriptor(0, ~std::uint64_t{0} - 4, 16, 0, 0);
         q.make_available(0);
     }},
    {"virtio_needs_reset_length",
     [](VirtioQueue& q, std::uint64_t m) {
         q.descriptor(0, m, 0xffffffff, 1, 1);
         q.descriptor(1, m, 0xffffffff, 2, 0);
         q.make_available(0);
     }},
    {"virtio_needs_reset_indirect",  // not a multiple of 16
     [](VirtioQueue& q, std::uint64_t m) {
         q.descriptor(0, m, 24, 4, 0);
         q.make_available(0);
     }},
    {"virtio_needs_reset_indirect",  // too long
     [](VirtioQueue& q, std::uint64_t m) {
         q.descriptor(0, m, 16 * 257, 4, 0);
         q.make_available(0);
     }},
    {"virtio_needs_reset_indirect",  // with a next one
     [](VirtioQueue& q, std::uint64_t m) {
         q.descriptor(0, m, 32, 5, 1);
         q.make_available(0);
     }},
    {"virtio_needs_reset_indirect",  // in a table
     [](VirtioQueue& q, std::uint64_t) {
         const fl_le16 flags(4);
         const fl_le32 bytes(16);
         std::memcpy(q.tables.bytes.data() + 8, &bytes, sizeof bytes);
         std::memcpy(q.tables.bytes.data() + 12, &flags, sizeof flags);
         q.descriptor(0, q.tables.iova, 16, 4, 0);
         q.make_available(0);
     }},
    {"virtio_needs_reset_memory",  // a table where there is no memory
     [](VirtioQueue& q, std::uint64_t) {
         q.descriptor(0, 0x1000, 32, 4, 0);
         q.make_available(0);
     }},
    {"virtio_needs_reset_request",  // no status byte
     [](VirtioQueue& q, std::uint64_t m) {
         q.descriptor(0, m, 16, 0, 0);
         q.make_available(0);
     }},
    {"virtio_needs_reset_request",  // no whole header
     [](VirtioQueue& q, std::uint64_t m) {
         q.descriptor(0, m, 15, 1, 1);
         q.descriptor(1, m, 1, 2, 0);
         q.make_available(0);
     }},
};
INSTANTIATE_TEST_SUITE_P(All, VirtioHostile, testing::ValuesIn(kWrongs));

TEST_F(VirtioTransport, QueuesThatAreNotValidAreRefused) {
    for (const auto& [field, value] : {std::pair{common::kDescriptors, std::uint64_t{8}},
                                       {common::kDriverArea, std::uint64_t{1}},
                                       {common::kDeviceArea, std::uint64_t{2}},
                                       {common::kDescriptors, ~std::uint64_t{15}}}) {
        VirtioDriver driver(rig.host);
        driver.reset();
        ASSERT_TRUE(driver.negotiate(feature::kRequired));
        rig.host.write64(field, value);
        rig.host.write32(common::kQueueEnable, 1);
        EXPECT_NE(driver.status() & device_status::kNeedsReset, 0u);
    }
    for (const std::uint32_t size : {0u, 3u, 512u, 0xffffu}) {
        VirtioDriver driver(rig.host);
        driver.reset();
        ASSERT_TRUE(driver.negotiate(feature::kRequired));
        rig.host.write32(common::kQueueSize, size);
        rig.host.write32(common::kQueueEnable, 1);
        EXPECT_NE(driver.status() & device_status::kNeedsReset, 0u);
    }
    EXPECT_EQ(counter("virtio_needs_reset_queue"), 8u);
}

// Rings that nobody mapped, rings that go away under I/O
TEST_F(VirtioTransport, RingsOutsideOfMemory) {
    VirtioDriver driver(rig.host);
    VirtioDisk disk(rig.host, driver.queue(0));
    EXPECT_EQ(disk.request(kBlkFlush, 0), kBlkOk);
    rig.host.settle();
    rig.host.unmap(driver.queue(0).device.iova);
    (void)driver.queue(0).add({}, {});
    driver.queue(0).kick(true);
    rig.host.settle();
    EXPECT_NE(driver.status() & device_status::kNeedsReset, 0u);
    EXPECT_EQ(counter("virtio_needs_reset_memory"), 1u);
}

class VirtioRandom : public testing::TestWithParam<unsigned> {};

// Random bytes in rings, tables and registers: the device stays within its memory and comes to rest.
TEST_P(VirtioRandom, AnythingGoes) {
    constexpr std::uint16_t kSize = 16;
    std::mt19937 random(GetParam());
    static constexpr const char* kKinds[] = {"virtio-blk", "virtio-net", "virtio-rng", "virtio-console"};
    VirtioRig rig(kKinds[GetParam() % 4], {}, {.seed = GetParam(), .answer_reads_in_any_order = true});
    const auto m = rig.host.allocate(1u << 20);
    std::optional<VirtioDriver> driver(std::in_place, rig.host, VirtioDriver::kEverything, kSize);
    for (unsigned round = 0; round < 400; ++round) {
        const unsigned n = GetParam() % 2 == 0 ? 0 : static_cast<unsigned>(random() % 2);
        VirtioQueue& q = driver->queue(GetParam() % 4 == 2 ? 0 : n);
        for (unsigned d = 0; d < q.size(); ++d) {
            const bool sane = random() % 8 != 0;
            const std::uint64_t iova = random() % 16 != 0 ? m.iova + random() % (1u << 20) : random();
            const std::uint32_t bytes = sane ? 1 + static_cast<std::uint32_t>(random() % 3000) : random();
            const unsigned flags =
                sane ? static_cast<unsigned>(random() % 4) : static_cast<unsigned>(random() & 0xffff);
            q.descriptor(static_cast<std::uint16_t>(d), iova, bytes, flags,
                         static_cast<unsigned>(random() % (q.size() + 1)));
        }
        for (std::size_t i = 0; i < 4096; ++i) m.bytes[random() % m.bytes.size()] = static_cast<std::byte>(random());
        std::memset(m.bytes.data(), 0, 64);
        for (unsigned i = 0; i < random() % 40; ++i)
            q.make_available(static_cast<std::uint16_t>(random() % (random() % 16 == 0 ? 0x10000u : q.size())));
        if (random() % 32 == 0) q.set_available_index(static_cast<std::uint16_t>(random()));
        q.kick(true);
        if (random() % 16 == 0)
            rig.host.write32(static_cast<std::uint32_t>(random() % 0x3100 & ~3u), static_cast<std::uint32_t>(random()));
        for (unsigned i = 0; i < random() % 40; ++i) rig.host.step();
        if (random() % 32 == 0) (void)rig.kill_and_restore(true);
        if (random() % 8 == 0 ||
            (driver->status() & (device_status::kNeedsReset | device_status::kDriverOk)) != device_status::kDriverOk) {
            driver.emplace(rig.host, VirtioDriver::kEverything, kSize);
        }
    }
    rig.host.settle();
    EXPECT_EQ(rig.host.crossed_pages, 0u);
    driver.emplace(rig.host, VirtioDriver::kEverything, kSize);
    EXPECT_EQ(driver->status() & device_status::kNeedsReset, 0u);
}
INSTANTIATE_TEST_SUITE_P(Seeds, VirtioRandom, testing::Range(1u, 13u));

}  // namespace
}  // namespace farlane::firmware::test
