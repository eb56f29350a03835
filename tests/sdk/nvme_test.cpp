// SPDX-License-Identifier: Apache-2.0
// Receives: the user-space NVMe driver over the SDK. Hands on: verdicts on a remote controller,
// also over a bad link and across a restart of its target. Owns: both ends.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include <farlane/fabric.hpp>

#include "lane/target_thread.hpp"
#include "nvme_user/controller.hpp"
#include "nvme_user/nvme_over_sdk.hpp"
#include "transport/free_udp_port.hpp"

namespace farlane {
namespace {

using namespace std::chrono_literals;

class RemoteNvme : public testing::Test {
protected:
    void SetUp() override {
        char path[] = "/tmp/farlane-nvme-XXXXXX";
        ASSERT_NE(mkdtemp(path), nullptr);
        directory_ = path;
        port_ = test::free_udp_port();
    }
    void TearDown() override {
        target_.reset();
        std::filesystem::remove_all(directory_);
    }
    void start_target(const std::string& faults = "") {
        auto memory = backend::directory_memory(directory_).take();
        devices_ = backend::directory_memory(directory_ + "/devices").take();
        lane::TargetConfig c{test::session_config("target", 0x5e), {}, 64};
        c.session.incarnation = ++incarnation_;
        c.session.keepalive = 100ms;
        c.session.grace = 60s;
        const auto url = faults.empty() ? "udp:127.0.0.1:" + std::to_string(port_)
                                        : "fault+udp:127.0.0.1:" + std::to_string(port_) + "?" + faults;
        target_ = std::make_unique<test::TargetThread>(url, c, std::move(memory));
        target_->add("nvme0", backend::make_device({"nvme0", "nvme", {{"size", "16M"}}}, *devices_).take());
        target_->start();
    }
    Fabric open(Progress progress) {
        FabricOptions o;
        o.provider = ProviderKind::embedded;
        o.port = "udp:127.0.0.1:0";
        o.peer = "127.0.0.1:" + std::to_string(port_);
        o.progress = progress;
        o.keepalive = 100ms;
        o.grace = 60s;
        o.completion_timeout = 8s;
        o.connect_timeout = 20s;
        return Fabric::open(o);
    }
    std::string directory_;
    unsigned port_ = 0;
    std::uint64_t incarnation_ = 0;
    std::unique_ptr<backend::Memory> devices_;
    std::unique_ptr<test::TargetThread> target_;
};

// Writes random blocks, remembers them in `model`, and reads all of it back.
void verify(nvme_user::Controller& c, unsigned rounds, std::uint64_t seed, std::vector<std::byte>& model) {
    const auto block = c.space().block_bytes;
    const std::size_t blocks = 512;
    auto data = c.allocate(block * 64);
    model.resize(block * blocks);
    std::mt19937_64 random(seed);
    c.read(0, c.allocate(block), 0, block);
    for (unsigned i = 0; i < rounds; ++i) {
        const auto n = 1 + random() % 64;
        const auto at = random() % (blocks - n);
        for (std::size_t b = 0; b < n * block; ++b) data.bytes[b] = static_cast<std::byte>(random());
        std::memcpy(model.data() + at * block, data.bytes.data(), n * block);
        c.write(at, data, 0, n * block);
    }
    c.flush();
    // Blocks that were never written hold zeros, as the model does.
    for (std::size_t at = 0; at < blocks; at += 64) {
        c.read(at, data, 0, 64 * block);
        ASSERT_EQ(std::memcmp(data.bytes.data(), model.data() + at * block, 64 * block), 0) << at;
    }
}

TEST_F(RemoteNvme, IdentifiesReadsAndWrites) {
    start_target();
    auto f = open(Progress::caller);
    auto d = f.attach("nvme0");
    nvme_user::SdkAccess access(d);
    nvme_user::Controller c(access, {.io_queues = 2, .queue_depth = 32});
    EXPECT_EQ(c.space().bytes(), 16U << 20);
    EXPECT_FALSE(c.info().model.empty());
    std::vector<std::byte> model;
    verify(c, 60, 1, model);
}

TEST_F(RemoteNvme, WorksWithInterrupts) {
    start_target();
    auto f = open(Progress::thread);
    auto d = f.attach("nvme0");
    nvme_user::SdkAccess access(d);
    nvme_user::Controller c(access, {.interrupts = true});
    std::vector<std::byte> model;
    verify(c, 30, 2, model);
}

TEST_F(RemoteNvme, SurvivesABadLink) {
    start_target("loss=3%&reorder=3%&dup=1%&corrupt=1%&seed=9&side=both");
    auto f = open(Progress::caller);
    auto d = f.attach("nvme0");
    nvme_user::SdkAccess access(d);
    nvme_user::Controller c(access, {});
    std::vector<std::byte> model;
    verify(c, 30, 3, model);
}

// The target goes away under I/O without a word and comes back with what it kept: no command is
// lost, none is done twice, the driver sees nothing but delay.
TEST_F(RemoteNvme, GoesOnAfterItsTargetRestarts) {
    start_target();
    auto f = open(Progress::thread);
    auto d = f.attach("nvme0");
    nvme_user::SdkAccess access(d);
    nvme_user::Controller c(access, {.timeout = 60s});
    std::vector<std::byte> model;
    for (int round = 0; round < 3; ++round) {
        std::jthread restart([this] {
            std::this_thread::sleep_for(50ms);
            target_.reset();
            devices_.reset();
            start_target();
        });
        verify(c, 40, 10 + static_cast<std::uint64_t>(round), model);
    }
    bool resumed = false;
    while (auto e = f.next_event(50ms)) resumed |= e->kind == EventKind::resumed;
    EXPECT_TRUE(resumed);
}

}  // namespace
}  // namespace farlane
