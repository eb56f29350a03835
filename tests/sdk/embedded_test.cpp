// SPDX-License-Identifier: Apache-2.0
// Receives: the public API over a target in a thread. Hands on: verdicts. Owns: both ends.
#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <random>

#include <farlane/fabric.hpp>

#include "lane/scratch_device.hpp"
#include "lane/target_thread.hpp"
#include "transport/free_udp_port.hpp"

namespace farlane {
namespace {

using namespace std::chrono_literals;
using test::ScratchDevice;
using D = ScratchDevice;

struct Case {
    const char* name;
    const char* target_port;
    const char* initiator_port;
    const char* peer;
    Progress progress;
};

std::string fill(std::string text, const std::string& number) {
    if (const auto at = text.find('@'); at != std::string::npos) text.replace(at, 1, number);
    return text;
}

class Embedded : public testing::TestWithParam<Case> {
protected:
    void SetUp() override {
        const auto id = std::to_string(test::free_udp_port());
        target_ = std::make_unique<test::TargetThread>(fill(GetParam().target_port, id));
        target_->add("scratch0", std::make_unique<ScratchDevice>());
        target_->add("scratch1", std::make_unique<ScratchDevice>());
        target_->start();
        options_.provider = ProviderKind::embedded;
        options_.port = fill(GetParam().initiator_port, id);
        options_.peer = fill(GetParam().peer, id);
        options_.progress = GetParam().progress;
        options_.connect_timeout = 20s;
        options_.keepalive = 200ms;
        fabric_.emplace(Fabric::open(options_));
    }
    Device attach() {
        auto d = fabric_->attach("scratch0");
        d.enable();
        return d;
    }
    void transfer(Device& d, std::uint64_t go, std::uint64_t iova, std::uint64_t length, std::uint64_t at) {
        const auto before = d.read64(0, D::kDone);
        d.write64(0, D::kIova, iova);
        d.write64(0, D::kLength, length);
        d.write64(0, D::kMemory, at);
        d.write64(0, D::kGo, go);
        while (d.read64(0, D::kDone) == before) {
        }
    }
    FabricOptions options_;
    std::unique_ptr<test::TargetThread> target_;
    std::optional<Fabric> fabric_;
};

TEST_P(Embedded, ListsWhatTheTargetExports) {
    const auto all = fabric_->list();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].name, "scratch0");
    EXPECT_EQ(all[0].model, "scratch device");
    EXPECT_EQ(all[0].target, "target");
    EXPECT_EQ(all[0].bars[2].size_bytes, D::kBar2Bytes);
    EXPECT_EQ(all[0].state, FunctionState::free);
}

TEST_P(Embedded, ReadsAndWritesRegisters) {
    auto d = attach();
    EXPECT_EQ(d.read64(0, D::kIdent), D::kIdentValue);
    EXPECT_EQ(d.read32(0, D::kIdent), static_cast<std::uint32_t>(D::kIdentValue));
    for (std::uint64_t i = 1; i < 500; ++i) {
        d.write64(0, D::kScratch, i * 0x0101010101010101);
        ASSERT_EQ(d.read64(0, D::kScratch), i * 0x0101010101010101);  // the read pushes the write
    }
    for (std::uint64_t i = 1; i < 50; ++i) ASSERT_EQ(d.read64(0, D::kReads), i);  // executed once each
}

TEST_P(Embedded, ConfigurationSpace) {
    auto d = fabric_->attach("scratch0");
    EXPECT_EQ(d.config_read32(0), 0x00011d1dU);
    EXPECT_EQ(d.config_read16(2), 0x0001U);
    EXPECT_EQ(d.config_read8(0x34), 0x40);
    EXPECT_EQ(d.config_read16(4) & 6U, 0U);
    EXPECT_THROW((void)d.read64(0, 0), Error);  // memory decoding is off
    d.enable();
    EXPECT_EQ(d.config_read16(4) & 6U, 6U);
    EXPECT_THROW((void)d.config_read32(2), Error);
    EXPECT_THROW((void)d.config_read32(4096), Error);
}

TEST_P(Embedded, AccessOutsideABarIsRefused) {
    auto d = attach();
    EXPECT_THROW((void)d.read64(0, D::kBar0Bytes), Error);
    EXPECT_THROW((void)d.read64(1, 0), Error);
    EXPECT_THROW((void)d.read64(7, 0), Error);
    EXPECT_THROW(d.write64(0, D::kBar0Bytes - 4 + 4, 1), Error);
    std::vector<std::byte> big(16);
    EXPECT_THROW(d.read(2, D::kBar2Bytes - 8, big), Error);
    EXPECT_THROW(d.read(2, ~0ULL - 7, big), Error);
    EXPECT_EQ(d.read64(0, D::kIdent), D::kIdentValue);
}

TEST_P(Embedded, MovesBulkThroughTheAperture) {
    auto d = attach();
    std::mt19937_64 random(7);
    std::vector<std::byte> out(300001);
    for (auto& b : out) b = static_cast<std::byte>(random());
    for (const bool relaxed : {false, true}) {
        d.write(2, 77, out, relaxed);
        std::vector<std::byte> back(out.size());
        d.read(2, 77, back);
        ASSERT_EQ(out, back) << relaxed;
        std::reverse(out.begin(), out.end());
    }
    auto buffer = d.domain().allocate(1 << 20);
    for (auto& b : buffer.bytes()) b = static_cast<std::byte>(random());
    d.write_from(2, 4096, buffer, 0, buffer.size());
    d.flush();
    std::vector<std::byte> back(buffer.size());
    d.read(2, 4096, back);
    EXPECT_EQ(std::memcmp(back.data(), buffer.data(), back.size()), 0);
}

TEST_P(Embedded, DeviceReachesExactlyWhatIsMapped) {
    auto d = attach();
    auto buffer = d.domain().allocate(64 * 1024);
    std::memset(buffer.data(), 0x5a, buffer.size());
    std::vector<std::byte> pattern(20000);
    for (std::size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<std::byte>(i * 7 + 1);
    d.write(2, 0, pattern);
    auto m = d.domain().map(buffer, 100, pattern.size(), DmaDirection::from_device);
    transfer(d, 1, m.iova(), pattern.size(), 0);
    EXPECT_EQ(std::memcmp(buffer.data() + 100, pattern.data(), pattern.size()), 0);
    for (std::size_t i = 0; i < 100; ++i) ASSERT_EQ(buffer.data()[i], std::byte{0x5a});
    for (std::size_t i = 100 + pattern.size(); i < buffer.size(); ++i) ASSERT_EQ(buffer.data()[i], std::byte{0x5a});

    // one byte before, one byte behind, the wrong direction, unmapped: refused, nothing moves
    const auto refused = d.read64(0, D::kRefused);
    transfer(d, 1, m.iova() - 1, 4, 0);
    transfer(d, 1, m.iova() + pattern.size() - 3, 4, 0);
    transfer(d, 2, m.iova(), 4, 0);
    const auto iova = m.iova();
    m.unmap();
    transfer(d, 1, iova, 64, 64);
    EXPECT_EQ(d.read64(0, D::kRefused), refused + 4);
    EXPECT_EQ(std::memcmp(buffer.data() + 100, pattern.data(), pattern.size()), 0);
}

TEST_P(Embedded, DeviceReadsHostMemory) {
    auto d = attach();
    auto buffer = d.domain().allocate(100000);
    for (std::size_t i = 0; i < buffer.size(); ++i) buffer.data()[i] = static_cast<std::byte>(i * 13 + 5);
    const auto m = d.domain().map(buffer, DmaDirection::to_device);
    transfer(d, 2, m.iova(), buffer.size(), 4096);
    std::vector<std::byte> back(buffer.size());
    d.read(2, 4096, back);
    EXPECT_EQ(std::memcmp(back.data(), buffer.data(), back.size()), 0);
}

TEST_P(Embedded, InterruptComesAfterItsData) {
    auto d = attach();
    d.enable_interrupts(1);
    auto buffer = d.domain().allocate(65536);
    const auto m = d.domain().map(buffer, DmaDirection::from_device);
    d.write64(0, D::kRelaxed, 1);
    for (int round = 1; round <= 20; ++round) {
        std::vector<std::byte> pattern(buffer.size(), static_cast<std::byte>(round));
        d.write(2, 0, pattern, true);
        d.write64(0, D::kIova, m.iova());
        d.write64(0, D::kLength, buffer.size());
        d.write64(0, D::kMemory, 0);
        d.write64(0, D::kGo, 1);
        ASSERT_TRUE(d.wait_interrupt(0, 20s));
        ASSERT_EQ(std::memcmp(buffer.data(), pattern.data(), pattern.size()), 0) << round;
    }
    EXPECT_THROW(d.enable_interrupts(5), Error);
    EXPECT_THROW((void)d.interrupt_fd(3), Error);
}

TEST_P(Embedded, AttachErrorsSayWhatToDo) {
    try {
        (void)fabric_->attach("scratch9");
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::not_found);
        EXPECT_NE(std::string(e.what()).find("scratch0, scratch1"), std::string::npos) << e.what();
    }
    auto d = attach();
    try {
        (void)fabric_->attach("scratch0");
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::busy);
    }
    d.detach();
    auto again = attach();
    EXPECT_EQ(again.read64(0, D::kIdent), D::kIdentValue);
}

TEST_P(Embedded, WritesBeforeADetachArrive) {
    for (int i = 0; i < 20; ++i) {
        auto d = attach();
        std::vector<std::byte> data(8192, static_cast<std::byte>(i + 1));
        d.write(2, 0, data);
        d.detach();
        auto d2 = attach();
        std::vector<std::byte> back(data.size());
        d2.read(2, 0, back);
        ASSERT_EQ(back, data) << i;
    }
}

TEST_P(Embedded, SurpriseRemoval) {
    auto d = attach();
    target_->in_lane([&] { EXPECT_EQ(target_->target().remove("scratch0"), Status::ok); });
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (std::chrono::steady_clock::now() < until) {
        try {
            (void)d.read64(0, D::kIdent);
        } catch (const Error& e) {
            if (e.status() == Status::device_lost) break;
        }
    }
    EXPECT_THROW((void)d.read64(0, D::kIdent), Error);
    EXPECT_EQ(fabric_->list().size(), 1U);
    std::optional<Event> e;
    bool removed = false;
    bool lost = false;
    while ((e = fabric_->next_event(100ms))) {
        removed |= e->kind == EventKind::removed && e->function == "scratch0";
        lost |= e->kind == EventKind::device_lost && e->function == "scratch0";
    }
    EXPECT_TRUE(removed);
    EXPECT_TRUE(lost);
}

INSTANTIATE_TEST_SUITE_P(
    Ports, Embedded,
    testing::Values(Case{"LoopCaller", "loop:t@", "loop:t@", "", Progress::caller},
                    Case{"LoopThread", "loop:t@", "loop:t@", "", Progress::thread},
                    Case{"LoopSmallFrames", "loop:t@?mtu=1500", "loop:t@?mtu=1500", "", Progress::caller},
                    Case{"LoopLossy", "fault+loop:t@?loss=5%&reorder=5%&dup=2%&corrupt=1%&seed=3",
                         "fault+loop:t@?loss=5%&reorder=5%&dup=2%&corrupt=1%&seed=4", "", Progress::caller},
                    Case{"Udp", "udp:127.0.0.1:@", "udp:127.0.0.1:0", "127.0.0.1:@", Progress::caller},
                    Case{"UdpThread", "udp:127.0.0.1:@", "udp:127.0.0.1:0", "127.0.0.1:@", Progress::thread},
                    Case{"UdpLossy", "fault+udp:127.0.0.1:@?loss=3%&reorder=3%&seed=5", "udp:127.0.0.1:0?mtu=1472",
                         "127.0.0.1:@", Progress::thread}),
    [](const auto& i) { return std::string(i.param.name); });

// A doorbell after a pause: nobody turns the lane, its thread sleeps, and nothing else is due that would wake it.
TEST(EmbeddedThread, PostedWriteDoesNotWaitForTheSleeper) {
    for (const bool udp : {false, true}) {
        const auto id = std::to_string(test::free_udp_port());
        auto session = test::session_config("target", 0x7a);
        session.keepalive = 60s;
        test::TargetThread target(udp ? "udp:127.0.0.1:" + id : "loop:sleeper" + id, {session, {}, 64});
        auto made = std::make_unique<D>();
        D& device = *made;
        target.add("scratch0", std::move(made));
        target.start();
        FabricOptions options;
        options.provider = ProviderKind::embedded;
        options.port = udp ? "udp:127.0.0.1:0" : "loop:sleeper" + id;
        options.peer = udp ? "127.0.0.1:" + id : "";
        options.progress = Progress::thread;
        options.keepalive = 60s;
        auto fabric = Fabric::open(options);
        auto d = fabric.attach("scratch0");
        d.enable();
        const auto seen = [&] {
            std::uint64_t value = 0;
            target.in_lane(
                [&] { (void)device.bar_read(0, D::kScratch, std::as_writable_bytes(std::span(&value, 1))); });
            return value;
        };
        auto fastest = std::chrono::steady_clock::duration::max();
        for (std::uint64_t i = 1; i <= 5; ++i) {
            std::this_thread::sleep_for(50ms);  // what is tested: the pause after which the thread sleeps
            const auto written = std::chrono::steady_clock::now();
            d.write64(0, D::kScratch, i);
            while (seen() != i) std::this_thread::yield();
            fastest = std::min(fastest, std::chrono::steady_clock::now() - written);
        }
        EXPECT_LT(fastest, 500ms) << "the thread sleeps for a second: all five came when it woke up by itself";
    }
}

TEST(EmbeddedOpen, SaysWhatIsWrong) {
    FabricOptions o;
    o.provider = ProviderKind::embedded;
    o.port = "udp:127.0.0.1:0";
    EXPECT_THROW((void)Fabric::open(o), Error);  // no peer
    o.peer = "127.0.0.1:9";
    o.connect_timeout = 100ms;
    try {
        (void)Fabric::open(o);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::unreachable);
        EXPECT_NE(std::string(e.what()).find("127.0.0.1:9"), std::string::npos);
    }
    o.port = "carrier-pigeon:";
    EXPECT_THROW((void)Fabric::open(o), Error);
}

}  // namespace
}  // namespace farlane
