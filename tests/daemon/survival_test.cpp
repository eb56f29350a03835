// SPDX-License-Identifier: Apache-2.0
// Receives: two farlaned processes under load. Hands on: proof that kill -9 of either of them, and
// a restart, loses and repeats nothing. Owns: processes.
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

#include <farlane/uapi/accel.h>
#include <farlane/fabric.hpp>

#include "backend/backend.hpp"
#include "daemon/process.hpp"
#include "proto/memory.hpp"

namespace farlane::test {
namespace {

constexpr const char* kAccel = "[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nmemory = \"64M\"\nthreads = 1\n";
constexpr const char* kNvme = "[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"1M\"\n";
constexpr std::uint64_t kWords = 4096;

FabricOptions options(const Daemon& d) {
    FabricOptions o;
    o.socket = d.socket();
    return o;
}

/// Writes growing numbers over a window of device memory, and reads some back, until told to stop.
struct Load {
    explicit Load(Device& d) : device(d), thread([this] { run(); }) {}
    ~Load() { stop(); }
    void stop() {
        stopping = true;
        if (thread.joinable()) thread.join();
    }
    void run() {
        try {
            while (!stopping) {
                const std::uint64_t i = written;
                if (i % 97 == 0) {
                    std::vector<std::uint32_t> block(256, static_cast<std::uint32_t>(i));
                    device.write(2, (1 << 20) + (i % kWords) * 1024, std::as_bytes(std::span(block)));
                }
                device.write32(2, (i % kWords) * 4, static_cast<std::uint32_t>(i));
                ++written;
                if (i % 50 == 0) look(i);
            }
        } catch (const std::exception& e) {
            failure = e.what();
            failed = true;
        }
    }
    // A read in flight at a kill may be in doubt: CA, once, and never a wrong value.
    void look(std::uint64_t i) {
        try {
            const std::uint32_t v = device.read32(2, (i % kWords) * 4);
            if (v == static_cast<std::uint32_t>(i)) return;
            throw std::runtime_error("read " + std::to_string(v) + " for " + std::to_string(i));
        } catch (const Error& e) {
            if (e.status() == Status::completer_abort) ++in_doubt;
            // A restart that takes longer than the completion timeout, on a slow machine.
            else if (e.status() != Status::timeout)
                throw;
        }
    }
    /// Until `n` more writes went through: the load is alive.
    void wait_for(std::uint64_t n) const {
        const std::uint64_t until = written + n;
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        while (written < until && !failed && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(1ms);
        EXPECT_GE(written, until) << "the load stands still";
    }

    Device& device;
    std::atomic<std::uint64_t> written{0};
    std::atomic<bool> stopping{false};
    unsigned in_doubt = 0;
    std::string failure;  ///< to be read after stop()
    std::atomic<bool> failed{false};
    std::thread thread;
};

void expect_memory(Device& device, std::uint64_t written) {
    device.flush();
    std::vector<std::uint32_t> words(kWords);
    device.read(2, 0, std::as_writable_bytes(std::span(words)));
    for (std::uint64_t w = 0; w < kWords && w < written; ++w) {
        const std::uint64_t last = w + (written - 1 - w) / kWords * kWords;
        ASSERT_EQ(words[w], static_cast<std::uint32_t>(last)) << "word " << w << " after " << written << " writes";
    }
}

TEST(Survival, InitiatorKilledUnderLoad) {
    Pair pair(kAccel);
    pair.wait_for_functions(1);
    Fabric fabric = Fabric::open(options(pair.initiator));
    Device device = fabric.attach("accel0");
    device.enable();
    DmaBuffer buffer = device.domain().allocate(64 * 1024);
    Mapping mapping = device.domain().map(buffer, DmaDirection::bidirectional);
    Load load(device);
    for (int kill = 0; kill < 3; ++kill) {
        load.wait_for(200);
        pair.initiator.process().kill();
        pair.initiator.start();
    }
    load.wait_for(500);
    load.stop();
    EXPECT_EQ(load.failure, "");
    EXPECT_LE(load.in_doubt, 3U) << "one read at most is in flight at each kill";
    expect_memory(device, load.written);
    const auto stats = pair.initiator.client().call("stats").at("attachments");
    ASSERT_EQ(stats.size(), 1U);
    EXPECT_EQ(stats[0].at("mappings"), 1) << "mappings come back too";
    mapping.unmap();
    device.detach();
    EXPECT_EQ(pair.initiator.stop(), 0) << pair.initiator.process().output();
    EXPECT_EQ(pair.target.stop(), 0) << pair.target.process().output();
}

TEST(Survival, InitiatorStoppedAndStarted) {
    Pair pair(kAccel);
    pair.wait_for_functions(1);
    Fabric fabric = Fabric::open(options(pair.initiator));
    Device device = fabric.attach("accel0");
    device.enable();
    Load load(device);
    load.wait_for(200);
    pair.initiator.process().signal(SIGTERM);
    EXPECT_EQ(pair.initiator.process().wait(), 0);
    pair.initiator.start();
    load.wait_for(200);
    load.stop();
    EXPECT_EQ(load.failure, "");
    expect_memory(device, load.written);
    EXPECT_EQ(pair.target.stop(), 0) << pair.target.process().output();
}

TEST(Survival, PersistentAttachmentComesBackByItself) {
    Pair pair(kNvme);
    pair.wait_for_functions(1);
    (void)pair.initiator.client().call("attach", {{"name", "nvme0"}, {"persistent", true}});
    pair.initiator.process().kill();
    pair.initiator.start();
    auto c = pair.initiator.client();
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    std::string state;
    while (state != "ready" && std::chrono::steady_clock::now() < deadline) {
        const auto all = c.call("stats").at("attachments");
        state = all.empty() ? "none" : all[0].at("state").get<std::string>();
        std::this_thread::sleep_for(10ms);
    }
    EXPECT_EQ(state, "ready");
    Fabric fabric = Fabric::open(options(pair.initiator));
    Device device = fabric.attach("nvme0");
    device.enable();
    EXPECT_NE(device.read32(0, 8), 0xffffffffU);
}

TEST(Survival, ApplicationThatDoesNotComeBackIsForgotten) {
    Pair pair(kNvme, "grace_ms = 500\n");
    pair.wait_for_functions(1);
    auto c = pair.initiator.client();
    (void)c.call("attach", {{"name", "nvme0"}});
    pair.initiator.process().kill();
    pair.initiator.start();
    auto again = pair.initiator.client();
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!again.call("stats").at("attachments").empty() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(10ms);
    EXPECT_TRUE(again.call("stats").at("attachments").empty());
}

TEST(Survival, DaemonThatDoesNotComeBackIsDeviceLost) {
    Pair pair(kAccel, "grace_ms = 500\n");
    pair.wait_for_functions(1);
    Fabric fabric = Fabric::open(options(pair.initiator));
    Device device = fabric.attach("accel0");
    device.enable();
    pair.initiator.process().kill();
    try {
        for (;;) (void)device.read32(2, 0);
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::device_lost) << e.what();
    }
}

// On a slow machine an outage may be longer than the completion timeout: then the read is repeated.
std::uint64_t read_patiently(Device& device, std::uint64_t offset) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    for (;;) {
        try {
            return device.read64(0, offset);
        } catch (const Error& e) {
            if (e.status() != Status::timeout || std::chrono::steady_clock::now() > deadline) throw;
        }
    }
}

// The controller keeps its registers; a read during the outage waits and is answered.
TEST(Survival, NvmeTargetKilled) {
    Pair pair(kNvme);
    pair.wait_for_functions(1);
    Fabric fabric = Fabric::open(options(pair.initiator));
    Device device = fabric.attach("nvme0");
    device.enable();
    constexpr std::uint64_t kAsq = 0x28;
    device.write64(0, kAsq, 0x123456000);
    EXPECT_EQ(device.read64(0, kAsq), 0x123456000U);
    pair.target.process().kill();
    device.write64(0, kAsq, 0x654321000);  // waits in the ring
    pair.target.start();
    EXPECT_EQ(read_patiently(device, kAsq), 0x654321000U);
}

// The accelerator says so: its state is gone, and after that it works again.
TEST(Survival, AccelTargetKilledIsDeviceReset) {
    Pair pair(kAccel);
    pair.wait_for_functions(1);
    Fabric fabric = Fabric::open(options(pair.initiator));
    Device device = fabric.attach("accel0");
    device.enable();
    device.write32(2, 0, 0x1234);
    EXPECT_EQ(device.read32(2, 0), 0x1234U);
    pair.target.process().kill();
    pair.target.start();
    Status status = Status::ok;
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (status != Status::device_reset && std::chrono::steady_clock::now() < deadline) {
        try {
            (void)device.read32(2, 0);
        } catch (const Error& e) {
            status = e.status();
        }
    }
    EXPECT_EQ(status, Status::device_reset);
    device.acknowledge_reset();
    device.enable();
    while ((device.read32(0, offsetof(fl_accel_registers, status)) & FL_ACCEL_STATUS_READY) == 0) {
    }  // it scrubs its memory
    device.write32(2, 0, 0x4321);
    EXPECT_EQ(device.read32(2, 0), 0x4321U);
    // The next life of the initiator takes up the attachment that the target made then.
    pair.initiator.process().kill();
    pair.initiator.start();
    EXPECT_EQ(device.read32(2, 0), 0x4321U);
}

/// What a daemon that is not running left, as the version before would have: the counts of functions in their memory.
void make_older(const std::string& state_dir) {
    const std::string dir = state_dir + "/memory";
    unsigned functions = 0;
    {
        const auto memory = backend::directory_memory(dir).take();
        for (const auto& entry : std::filesystem::directory_iterator(dir)) {
            const std::string name = entry.path().filename();
            if (!name.starts_with("function-") && !name.starts_with("attachment-")) continue;
            bool fresh = false;
            const auto region = memory->region(name, sizeof(proto::FunctionMemory), fresh).take();
            const auto line = memory->small_region(name, fresh).take();
            EXPECT_FALSE(fresh) << name;
            auto& m = *reinterpret_cast<proto::FunctionMemory*>(region.data());  // page-aligned plain data
            EXPECT_EQ(m.magic, proto::FunctionMemory::kMagicApart) << name;
            std::memcpy(&m.counts, line.data(), sizeof m.counts);
            m.magic = proto::FunctionMemory::kMagic;
            ++functions;
        }
    }
    std::filesystem::remove(dir + "/lines-0");
    EXPECT_EQ(functions, 1U) << dir;
}

// With writes that are out, and that wait: each of them is executed once, in order.
TEST(Survival, StateOfAnEarlierVersionIsTakenUp) {
    Pair pair("[[export]]\nname = \"tally0\"\ndevice = \"tally\"\n");
    pair.wait_for_functions(1);
    Fabric fabric = Fabric::open(options(pair.initiator));
    Device tally = fabric.attach("tally0");
    tally.enable();
    constexpr std::uint64_t kTaken = 0x08, kErrors = 0x10;
    std::uint64_t written = 0;
    const auto write = [&] {
        constexpr std::uint64_t kWindow = 0x8000;
        for (unsigned i = 0; i < 100; ++i, tally.write64(0, kWindow + written * 8 % kWindow, written)) ++written;
    };
    write();
    for (int life = 0; life < 2; ++life) {
        pair.target.process().kill();
        write();
        make_older(pair.dir / "box.state");
        pair.target.start();
        write();
        pair.initiator.process().kill();
        write();
        make_older(pair.dir / "laptop.state");
        pair.initiator.start();
        write();
        EXPECT_EQ(read_patiently(tally, kTaken), written);
    }
    EXPECT_EQ(tally.read64(0, kErrors), 0U);
    while (const auto e = fabric.next_event(0ms)) EXPECT_NE(e->kind, EventKind::device_reset) << e->detail;
    tally.detach();
}

}  // namespace
}  // namespace farlane::test
