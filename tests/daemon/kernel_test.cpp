// SPDX-License-Identifier: Apache-2.0
// Receives: a remote NVMe controller and an accelerator on the bus of a test's kernel module. Hands on:
// proof that a driver's accesses, the device's DMA and interrupts go through the ring and the module's
// bounds, and that plug, unplug, loss and restart leave nothing behind. Owns: the driver.
#include <chrono>
#include <cstring>
#include <thread>

#include <gtest/gtest.h>

#include <farlane/uapi/accel.h>

#include "daemon/kernel_pair.hpp"

namespace farlane::test {
namespace {

using daemon::Json;
using daemon::Use;

constexpr const char* kNvme = "[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"1M\"\n";
constexpr const char* kAccel = "[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nmemory = \"64M\"\nthreads = 1\n";
constexpr std::uint32_t kBoth = FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES;
constexpr std::uint64_t kQueues = 0x10000, kData = 0x40000;
constexpr std::size_t kPage = 4096;
constexpr std::uint32_t kMsixTable = 0x2000;

/// The few steps of a driver that make an NVMe controller do DMA. NVM Express 1.4, 7.6.1.
struct Driver {
    explicit Driver(std::shared_ptr<FakeFunction> f) : function(std::move(f)) {
        queues = function->map(kQueues, 2 * kPage, kBoth);
    }

    void enable_function() {
        function->config_write(4, 0x6, 2);  // memory space, bus master
        const std::uint32_t cap = find_capability(0x11);
        ASSERT_NE(cap, 0U);
        function->write(0, kMsixTable, 0xfee00000U, 8);
        function->write(0, kMsixTable + 8, 0, 4);   // data: vector 0
        function->write(0, kMsixTable + 12, 0, 4);  // not masked
        function->config_write(cap + 2, 0x8000, 2);
    }
    std::uint32_t find_capability(std::uint8_t id) {
        std::uint32_t at = function->config_read(0x34, 1);
        for (int i = 0; i < 48 && at != 0; ++i) {
            const std::uint32_t head = function->config_read(at, 2);
            if ((head & 0xff) == id) return at;
            at = head >> 8;
        }
        return 0;
    }
    void enable_controller() {
        function->write(0, 0x24, 15 << 16 | 15, 4);  // AQA: 16 entries each
        function->write(0, 0x28, kQueues, 8);        // ASQ
        function->write(0, 0x30, kQueues + kPage, 8);
        function->write(0, 0x14, 6 << 16 | 4 << 20 | 1, 4);  // CC: entry sizes, enable
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        while ((function->read(0, 0x1c, 4) & 1) == 0) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    }
    /// IDENTIFY of the controller into `prp1`. Returns the status field of its completion.
    std::uint16_t identify(std::uint64_t prp1) {
        std::uint32_t sqe[16] = {};
        sqe[0] = 0x06 | (100U + tail) << 16;
        sqe[6] = static_cast<std::uint32_t>(prp1);
        sqe[7] = static_cast<std::uint32_t>(prp1 >> 32);
        sqe[10] = 1;
        const std::uint64_t seen = function->interrupts(0);
        {
            const std::scoped_lock lock(function->mutex);
            std::memcpy(queues.data() + tail * sizeof sqe, sqe, sizeof sqe);
        }
        const std::uint32_t entry = tail++;
        function->write(0, 0x1000, tail, 4);
        if (!function->wait_interrupt(0, seen)) throw std::runtime_error("no interrupt");
        std::uint32_t cqe[4];
        {
            const std::scoped_lock lock(function->mutex);
            std::memcpy(cqe, queues.data() + kPage + entry * sizeof cqe, sizeof cqe);
        }
        EXPECT_EQ(cqe[3] & 0xffff, 100U + entry) << "the completion was there before its interrupt";
        EXPECT_EQ(cqe[3] >> 16 & 1, 1U) << "phase";
        function->write(0, 0x1004, tail, 4);
        return static_cast<std::uint16_t>(cqe[3] >> 17);
    }

    std::shared_ptr<FakeFunction> function;
    std::span<std::byte> queues;
    std::uint32_t tail = 0;
};

struct KernelTest : testing::Test {
    KernelPair pair{std::string(kNvme) + kAccel};

    std::shared_ptr<FakeFunction> attach(const std::string& name) {
        const auto reply = pair.attach(name);
        EXPECT_EQ(reply.status, Status::ok) << reply.message;
        return pair.host.function(name);
    }
};

TEST_F(KernelTest, AttachPutsTheFunctionOnTheBus) {
    const auto reply = pair.attach("nvme0");
    ASSERT_EQ(reply.status, Status::ok) << reply.message;
    EXPECT_EQ(reply.body.at("bus").at("state"), "live");
    const auto f = pair.host.function("nvme0");
    EXPECT_EQ(f->spec.info.target, "box");
    EXPECT_FALSE(f->spec.node);
    EXPECT_EQ(f->spec.info.bars[0].size_bytes, 0x4000U);
    EXPECT_GE(f->spec.geometry.submit_entries, 16384U);
    EXPECT_GT(f->spec.completion_timeout_ms, 3000U);
    ASSERT_EQ(f->config.size(), 4096U);
    EXPECT_EQ(std::to_integer<unsigned>(f->config[0x0b]), 0x01U) << "mass storage";
    EXPECT_EQ(f->config_read(0), static_cast<std::uint32_t>(f->spec.info.vendor_id) |
                                     static_cast<std::uint32_t>(f->spec.info.device_id) << 16);
    const auto again = pair.attach("nvme0");
    EXPECT_EQ(again.status, Status::ok);
    EXPECT_TRUE(again.body.at("adopted"));
    EXPECT_EQ(pair.attach("nvme0", Use::applications).status, Status::busy);
    EXPECT_TRUE(attach("accel0")->spec.node) << "an accelerator has a node of its own";
}

// Loaded with trap=0 no driver can bind, and whoever attaches is told.
TEST_F(KernelTest, ItIsSaidWhetherDriversBind) {
    EXPECT_EQ(pair.attach("nvme0").body.at("bus").at("drivers"), true);
    pair.host.features = 0;
    const Json bus = pair.attach("nvme0").body.at("bus");
    EXPECT_EQ(bus.at("drivers"), false);
    EXPECT_EQ(bus.at("drivers_off"), "trap");
}

TEST_F(KernelTest, ApplicationsCanBeChosenAndChangedLater) {
    EXPECT_EQ(pair.attach("nvme0", Use::applications).status, Status::ok);
    EXPECT_TRUE(pair.holding("nvme0").at("bus").is_null());
    EXPECT_TRUE(pair.host.functions.empty());
    EXPECT_EQ(pair.attach("nvme0", Use::bus).status, Status::ok) << "adopted, and then on the bus";
    EXPECT_NE(pair.host.function("nvme0"), nullptr);
}

TEST_F(KernelTest, DriverReachesTheDeviceAndTheDeviceMemory) {
    Driver d(attach("nvme0"));
    ASSERT_NO_FATAL_FAILURE(d.enable_function());
    EXPECT_EQ(d.function->read(0, 8, 4) >> 16, 1U) << "version register";
    ASSERT_NO_FATAL_FAILURE(d.enable_controller());
    const auto page = d.function->map(kData, kPage, FL_MAP_DEVICE_WRITES);
    ASSERT_EQ(d.identify(kData), 0);
    std::uint16_t vendor = 0;
    std::memcpy(&vendor, page.data(), sizeof vendor);
    EXPECT_EQ(vendor, d.function->spec.info.vendor_id);
    EXPECT_EQ(d.function->dma_refused, 0U);
    const Json stats = pair.holding("nvme0");
    EXPECT_EQ(stats.at("dma_refused"), 0);
    EXPECT_GE(stats.at("bus").at("dma_operations"), stats.at("bus").at("dma_calls")) << "writes go together";
    EXPECT_GT(stats.at("interrupts"), 0);
    EXPECT_EQ(stats.at("channel").at("malformed"), 0);
}

TEST_F(KernelTest, WhatIsNotMappedIsNotReached) {
    Driver d(attach("nvme0"));
    ASSERT_NO_FATAL_FAILURE(d.enable_function());
    ASSERT_NO_FATAL_FAILURE(d.enable_controller());
    // Around the mapping, and one that the device may only read.
    const auto before = d.function->map(kData - kPage, kPage, FL_MAP_DEVICE_READS);
    std::ranges::fill(before, std::byte{0xa5});
    (void)d.identify(kData);
    (void)d.identify(kData - kPage);
    for (const std::byte b : before) ASSERT_EQ(b, std::byte{0xa5});
    EXPECT_GE(d.function->dma_refused, 2U);
    EXPECT_EQ(pair.holding("nvme0").at("dma_refused"), d.function->dma_refused);
    const auto page = d.function->map(kData, kPage, FL_MAP_DEVICE_WRITES);
    EXPECT_EQ(d.identify(kData), 0) << "and goes on working";
    EXPECT_NE(page[0], std::byte{0});
    d.function->unmap(kData);
    const auto refused = d.function->dma_refused;
    (void)d.identify(kData);
    EXPECT_GT(d.function->dma_refused, refused) << "unmapped is unmapped";
}

TEST_F(KernelTest, WritesStayBehindAConfigurationWrite) {
    const auto f = attach("accel0");
    for (std::uint32_t i = 1; i < 200; ++i) {
        // Memory decoding off and on again, without waiting; the write behind it must find it on.
        f->post_config_write(4, 0, 2);
        f->post_config_write(4, 2, 2);
        f->write(2, 64, i, 4);
        ASSERT_EQ(f->read(2, 64, 4), i);
    }
}

TEST_F(KernelTest, AnswerThatNobodySpinsForIsTold) {
    const auto f = attach("nvme0");
    EXPECT_NE(f->config_read(0), 0U);
    EXPECT_EQ(f->pokes, 0U) << "not asked for";
    channel::announce_sleep(f->header().complete, FL_RING_SLEEPS_HEAD);
    f->post_config_write(4, 6, 2);
    std::unique_lock lock(f->mutex);
    EXPECT_TRUE(f->changed.wait_for(lock, 60s, [&] { return f->pokes == 1; }));
}

TEST_F(KernelTest, OrderlyRemovalLetsTheDriverSayGoodbye) {
    const auto f = attach("nvme0");
    f->config_write(4, 6, 2);
    std::uint64_t answered = 0;
    f->on_remove = [&] { answered = f->read(0, 8, 4); };  // the lane answers while the removal waits
    const auto reply = pair.detach("nvme0");
    EXPECT_EQ(reply.status, Status::ok) << reply.message;
    EXPECT_EQ(answered >> 16, 1U);
    EXPECT_TRUE(f->removed);
    EXPECT_FALSE(f->surprise);
    EXPECT_TRUE(pair.host.wait_empty());
    EXPECT_TRUE(pair.holding("nvme0").is_null());
    EXPECT_EQ(attach("nvme0")->config_read(4, 2) & 6, 0U) << "a device as after power-on";
}

TEST_F(KernelTest, ForcedDetachIsASurprise) {
    const auto f = attach("nvme0");
    EXPECT_EQ(pair.detach("nvme0", true).status, Status::ok);
    EXPECT_TRUE(f->removed);
    EXPECT_TRUE(f->surprise);
    EXPECT_TRUE(pair.host.wait_empty());
}

TEST_F(KernelTest, FunctionThatItsTargetTakesAwayIsRemoved) {
    const auto f = attach("nvme0");
    pair.target->post([&] { (void)pair.target->apply_exports({}); });
    std::unique_lock lock(f->mutex);
    EXPECT_TRUE(f->changed.wait_for(lock, 60s, [&] { return f->removed; }));
    EXPECT_TRUE(f->surprise);
}

TEST_F(KernelTest, RefusedFunctionsAreDetachedAgain) {
    {
        const std::scoped_lock lock(pair.host.mutex);
        pair.host.refuse_add = Status::invalid;
    }
    const auto reply = pair.attach("nvme0");
    EXPECT_EQ(reply.status, Status::invalid);
    EXPECT_NE(reply.message.find("the test refuses it"), std::string::npos);
    EXPECT_TRUE(pair.holding("nvme0").is_null());
    {
        const std::scoped_lock lock(pair.host.mutex);
        EXPECT_FALSE(pair.host.daemon_there) << "nothing on the bus: the module may be unloaded";
        pair.host.refuse_add = Status::ok;
    }
    EXPECT_EQ(pair.attach("nvme0").status, Status::ok);
}

TEST_F(KernelTest, LinkStateIsTold) {
    const auto f = attach("nvme0");
    pair.target.reset();
    {
        std::unique_lock lock(f->mutex);
        ASSERT_TRUE(f->changed.wait_for(lock, 60s, [&] { return f->state == FL_FUNCTION_DOWN; }));
    }
    pair.start_target();
    std::unique_lock lock(f->mutex);
    EXPECT_TRUE(f->changed.wait_for(lock, 60s, [&] { return f->state == FL_FUNCTION_LIVE; }));
    EXPECT_FALSE(f->removed);
}

TEST_F(KernelTest, DeviceThatForgotEverythingIsPluggedAnew) {
    const auto f = attach("accel0");
    pair.target.reset();
    std::filesystem::remove_all(pair.dir / "box");  // also its function memory: nothing can be resumed
    pair.start_target();
    {
        std::unique_lock lock(f->mutex);
        ASSERT_TRUE(f->changed.wait_for(lock, 60s, [&] { return f->removed; }));
        EXPECT_TRUE(f->surprise);
    }
    ASSERT_TRUE(pair.wait_for("accel0", [](const Json& j) {
        return !j.is_null() && !j.at("bus").is_null() && j.at("bus").at("state") == "live";
    }));
    const auto anew = pair.host.function("accel0");
    EXPECT_NE(anew->id, f->id);
    EXPECT_NE(anew->config_read(0), 0xffffffffU);
}

TEST_F(KernelTest, RestartedDaemonGoesOnWithTheSameRing) {
    Driver d(attach("nvme0"));
    ASSERT_NO_FATAL_FAILURE(d.enable_function());
    ASSERT_NO_FATAL_FAILURE(d.enable_controller());
    const auto page = d.function->map(kData, kPage, FL_MAP_DEVICE_WRITES);
    ASSERT_EQ(d.identify(kData), 0);
    for (int life = 0; life < 3; ++life) {
        pair.initiator.reset();
        {
            const std::scoped_lock lock(pair.host.mutex);
            EXPECT_EQ(d.function->state, FL_FUNCTION_ORPHANED);
            EXPECT_EQ(pair.host.functions.size(), 1U);
        }
        // Meanwhile the driver goes on; the ring keeps it.
        d.function->write(0, 0x0c, 1, 4);  // interrupt mask set
        d.function->write(0, 0x10, 1, 4);  // and clear
        pair.start_initiator();
        std::ranges::fill(page, std::byte{0});
        ASSERT_EQ(d.identify(kData), 0) << life;
        EXPECT_NE(page[0], std::byte{0});
    }
    EXPECT_EQ(pair.host.adds, 1U);
    EXPECT_EQ(d.function->dma_refused, 0U);
    EXPECT_EQ(pair.detach("nvme0").status, Status::ok);
    EXPECT_TRUE(pair.host.wait_empty());
}

/// What an application does by its node: writes and reads device memory.
std::uint32_t node_read(FakeFunction& f, std::uint64_t at) {
    std::uint32_t value = 0;
    channel::Waiter waiter;
    EXPECT_TRUE(f.node().request(channel::make_tlp(FL_TLP_MRD, 2, at, 4), {},
                                 std::as_writable_bytes(std::span(&value, 1)), waiter));
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (waiter.outstanding != 0) {
        if (!f.node().drain()) std::this_thread::yield();
        if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("no answer at the node");
    }
    EXPECT_EQ(waiter.status, Status::ok);
    return value;
}
void node_write(FakeFunction& f, std::uint64_t at, std::uint32_t value) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!f.node().write(channel::make_tlp(FL_TLP_MWR, 2, at, 4), std::as_bytes(std::span(&value, 1)))) {
        (void)f.node().drain();
        if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("the node takes nothing");
    }
}

/// After a reset the accelerator makes its memory zero first: docs/accelerator.md, "Reset".
void wait_ready(FakeFunction& f) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while ((f.read(0, offsetof(fl_accel_registers, status), 4) & FL_ACCEL_STATUS_READY) == 0)
        if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("the accelerator is not ready");
}

TEST_F(KernelTest, ApplicationAtTheNodeWorksBesideTheModule) {
    const auto f = attach("accel0");
    for (std::uint32_t application = 1; application < 4; ++application) {
        EXPECT_EQ(f->config_read(4, 2) & 6, 0U) << "each finds a device as after power-on";
        ASSERT_TRUE(f->open_node(pair.host));
        f->config_write(4, 6, 2);  // as CHANNEL_CREATE does
        wait_ready(*f);
        for (std::uint32_t i = 0; i < 500; ++i) {
            node_write(*f, 4096 + i * 4, application * 1000 + i);
            f->write(2, i * 4, i + application, 4);  // the module's ring at the same time
        }
        for (std::uint32_t i = 0; i < 500; i += 7) {
            EXPECT_EQ(node_read(*f, 4096 + i * 4), application * 1000 + i);
            EXPECT_EQ(f->read(2, i * 4, 4), i + application);
        }
        EXPECT_FALSE(f->open_node(pair.host)) << "one at a time";
        f->close_node(pair.host);
        ASSERT_TRUE(f->wait_node_free());
    }
    EXPECT_EQ(pair.detach("accel0").status, Status::ok);
    EXPECT_TRUE(pair.host.wait_empty());
}

TEST_F(KernelTest, SleepingApplicationIsWoken) {
    const auto f = attach("accel0");
    f->config_write(4, 6, 2);
    ASSERT_TRUE(f->open_node(pair.host));
    (void)node_read(*f, 0);
    f->node().announce_sleep(false);
    std::uint32_t value = 0;
    channel::Waiter waiter;
    ASSERT_TRUE(f->node().request(channel::make_tlp(FL_TLP_MRD, 2, 0, 4), {},
                                  std::as_writable_bytes(std::span(&value, 1)), waiter));
    std::unique_lock lock(f->mutex);
    EXPECT_TRUE(f->changed.wait_for(lock, 60s, [&] { return f->bells == 1; }));
    lock.unlock();
    EXPECT_EQ(pair.detach("accel0", true).status, Status::ok);
    (void)f->node().drain();
    EXPECT_EQ(f->node().device_state(), Status::device_lost);
}

TEST_F(KernelTest, ApplicationSurvivesARestart) {
    const auto f = attach("accel0");
    f->config_write(4, 6, 2);
    wait_ready(*f);
    ASSERT_TRUE(f->open_node(pair.host));
    std::uint32_t i = 0;
    for (int life = 0; life < 3; ++life) {
        for (const std::uint32_t end = i + 100; i < end; ++i) node_write(*f, i * 4, i);
        pair.initiator.reset();
        for (const std::uint32_t end = i + 100; i < end; ++i) node_write(*f, i * 4, i);  // nobody is there
        pair.start_initiator();
        for (std::uint32_t k = 0; k < i; ++k) ASSERT_EQ(node_read(*f, k * 4), k) << life;
    }
    f->close_node(pair.host);
    EXPECT_TRUE(f->wait_node_free());
}

TEST_F(KernelTest, ApplicationThatEndedWhileNoDaemonWasThereFreesTheNode) {
    const auto f = attach("accel0");
    ASSERT_TRUE(f->open_node(pair.host));
    (void)f->config_read(0);
    pair.initiator.reset();
    f->close_node(pair.host);
    pair.start_initiator();
    EXPECT_TRUE(f->wait_node_free());
    EXPECT_TRUE(f->open_node(pair.host));
}

TEST_F(KernelTest, WhatNobodyKnowsIsRemovedAtTheStart) {
    const auto f = attach("nvme0");
    pair.initiator.reset();
    for (const auto& entry : std::filesystem::directory_iterator(pair.dir / "laptop"))
        if (entry.path().filename().string().starts_with("held-")) std::filesystem::remove(entry.path());
    pair.start_initiator();
    EXPECT_TRUE(pair.host.wait_empty());
    EXPECT_TRUE(f->surprise);
}

TEST_F(KernelTest, WhatTheModuleGaveUpIsForgotten) {
    (void)attach("nvme0");
    pair.initiator.reset();
    {
        const std::scoped_lock lock(pair.host.mutex);
        pair.host.functions.clear();  // the grace was over
    }
    pair.start_initiator();
    EXPECT_TRUE(pair.holding("nvme0").is_null());
}

TEST_F(KernelTest, WhatTheModuleRemovesByItselfIsDetached) {
    (void)attach("nvme0");
    {
        const std::scoped_lock lock(pair.host.mutex);
        pair.host.functions.clear();  // contained
    }
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!pair.holding("nvme0").is_null() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(10ms);
    EXPECT_TRUE(pair.holding("nvme0").is_null());
    EXPECT_FALSE(attach("nvme0")->removed) << "it can be attached anew";
}

TEST_F(KernelTest, HostileRingOfTheModuleIsSurvived) {
    const auto f = attach("nvme0");
    std::uint64_t seed = 88172645463325252ULL;
    const auto random = [&] {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        return seed ^= seed << 17;
    };
    for (int i = 0; i < 2000; ++i) {
        fl_tlp t;
        auto* bytes = reinterpret_cast<std::uint8_t*>(&t);
        for (std::size_t k = 0; k < sizeof t; ++k) bytes[k] = static_cast<std::uint8_t>(random());
        if (i % 2 == 0) {
            t.family = FL_FAMILY_TLP;
            t.type = static_cast<std::uint8_t>(random() % 12);
        }
        const std::uint64_t payload = random();
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        while (!f->ring().write(t, std::as_bytes(std::span(&payload, 1)))) {
            (void)f->ring().drain();
            ASSERT_LT(std::chrono::steady_clock::now(), deadline);
        }
        (void)f->ring().drain();
    }
    EXPECT_EQ(f->config_read(0) & 0xffff, f->spec.info.vendor_id) << "and still answers";
    EXPECT_GT(pair.holding("nvme0").at("channel").at("malformed"), 0);
    channel::store_release(f->header().submit.head, 0x80000000U);  // can not be true
    (void)pair.holding("nvme0");                                   // the lane turns
    std::unique_lock lock(f->mutex);
    EXPECT_TRUE(f->changed.wait_for(lock, 60s, [&] { return f->removed; }));
    EXPECT_TRUE(f->surprise);
    lock.unlock();
    EXPECT_TRUE(pair.host.wait_empty());
}

// The kernel's driver would give it physical addresses of this host.
TEST(KernelVirtio, WithoutAccessPlatformItIsNotOnTheBus) {
    const std::string kRng = "[[export]]\ndevice = \"virtio-rng\"\nname = ";
    KernelPair pair(kRng + "\"good0\"\n" + kRng + "\"bad0\"\naccess_platform = \"no\"\n");
    for (int i = 0; i < 2; ++i) {
        const auto refused = pair.attach("bad0");
        EXPECT_EQ(refused.status, Status::unsupported);
        EXPECT_NE(refused.message.find("VIRTIO_F_ACCESS_PLATFORM"), std::string::npos) << refused.message;
        EXPECT_TRUE(pair.holding("bad0").is_null()) << "it is free again";
        const std::scoped_lock lock(pair.host.mutex);
        EXPECT_EQ(pair.host.adds, 0U);
        EXPECT_FALSE(pair.host.daemon_there) << "the module may be unloaded";
    }
    EXPECT_EQ(pair.attach("bad0", Use::applications).status, Status::ok) << "applications know what they give it";
    const auto good = pair.attach("good0");
    ASSERT_EQ(good.status, Status::ok) << good.message;
    EXPECT_EQ(pair.host.function("good0")->config_read(0), 0x1044'1af4U);
    EXPECT_EQ(pair.attach("bad0", Use::bus).status, Status::unsupported);
    EXPECT_FALSE(pair.holding("bad0").is_null()) << "the application's attachment stays";
}

TEST(KernelMode, OffAndOccupied) {
    KernelPair off(kNvme, "mode = \"off\"\n");
    EXPECT_EQ(off.attach("nvme0").status, Status::ok);
    EXPECT_TRUE(off.holding("nvme0").at("bus").is_null());
    EXPECT_EQ(off.attach("nvme0", Use::bus).status, Status::unsupported);

    KernelPair taken(kNvme);
    {
        const std::scoped_lock lock(taken.host.mutex);
        taken.host.daemon_there = true;
    }
    EXPECT_EQ(taken.attach("nvme0").status, Status::ok) << "auto does not stand in the way of applications";
    EXPECT_TRUE(taken.holding("nvme0").at("bus").is_null());
    const std::scoped_lock lock(taken.mutex);
    EXPECT_TRUE(std::ranges::any_of(taken.events, [](const Json& e) {
        return e.at("kind") == "error" && e.at("detail").get<std::string>().find("not on the PCI bus") == 0;
    }));
}

}  // namespace
}  // namespace farlane::test
