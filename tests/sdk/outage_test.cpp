// SPDX-License-Identifier: Apache-2.0
// Receives: an embedded fabric whose link is cut or whose target restarts. Hands on: verdicts on
// the failure contract (docs/failures.md). Owns: both ends.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include <farlane/fabric.hpp>

#include "lane/scratch_device.hpp"
#include "lane/target_thread.hpp"
#include "transport/fault/fault_port.hpp"
#include "transport/free_udp_port.hpp"

namespace farlane {
namespace {

using namespace std::chrono_literals;
using D = test::ScratchDevice;

class Outage : public testing::Test {
protected:
    void SetUp() override {
        port_ = test::free_udp_port();
        start_target();
    }
    void start_target() {
        lane::TargetConfig c{test::session_config("target", 0x7a), {}, 64};
        c.session.grace = grace_;
        target_ = std::make_unique<test::TargetThread>("fault+udp:127.0.0.1:" + std::to_string(port_), c);
        target_->add("scratch0", std::make_unique<D>());
        target_->start();
    }
    FabricOptions options(std::chrono::milliseconds completion_timeout = 20s) const {
        FabricOptions o;
        o.provider = ProviderKind::embedded;
        o.port = "udp:127.0.0.1:0";
        o.peer = "127.0.0.1:" + std::to_string(port_);
        o.keepalive = 100ms;
        o.grace = grace_;
        o.completion_timeout = completion_timeout;
        o.connect_timeout = 20s;
        return o;
    }
    Fabric open(std::chrono::milliseconds completion_timeout = 20s) {
        return Fabric::open(options(completion_timeout));
    }
    static Device attach(Fabric& f) {
        auto d = f.attach("scratch0");
        d.enable();
        return d;
    }
    void cut(bool yes) {
        target_->in_lane([&] {
            auto& p = dynamic_cast<transport::FaultPort&>(target_->lane().port(0));
            transport::FaultSpec s;
            s.loss = yes ? 1 : 0;
            s.sent = s.received = yes;
            p.set(s);
        });
    }
    template <class F>
    static bool within(std::chrono::milliseconds limit, F condition) {
        const auto until = std::chrono::steady_clock::now() + limit;
        while (std::chrono::steady_clock::now() < until) {
            if (condition()) return true;
            std::this_thread::sleep_for(1ms);
        }
        return false;
    }
    std::chrono::milliseconds grace_ = 60s;
    unsigned port_ = 0;
    std::unique_ptr<test::TargetThread> target_;
};

bool answers(Device& d) {
    try {
        return d.read64(0, D::kIdent) == D::kIdentValue;
    } catch (const Error&) {
        return false;
    }
}

TEST_F(Outage, ShorterThanTheGraceLosesNothing) {
    auto f = open();
    auto d = attach(f);
    std::uint64_t value = 0;
    std::uint64_t reads = 0;
    for (int round = 0; round < 3; ++round) {
        std::jthread breaker([this] {
            std::this_thread::sleep_for(20ms);
            cut(true);
            std::this_thread::sleep_for(700ms);  // silent after 300 ms
            cut(false);
        });
        const auto until = std::chrono::steady_clock::now() + 1200ms;
        while (std::chrono::steady_clock::now() < until) {
            for (int i = 0; i < 20; ++i) d.write64(0, D::kCounter, ++value);
            ASSERT_EQ(d.read64(0, D::kReads), ++reads);  // executed once, answered
        }
    }
    EXPECT_EQ(d.read64(0, D::kCounter), value);
    EXPECT_EQ(d.read64(0, D::kCounterErrors), 0U);
    bool down = false;
    while (auto e = f.next_event(50ms)) down |= e->kind == EventKind::link_down;
    EXPECT_TRUE(down);
}

TEST_F(Outage, ReadsTimeOutAndWorkAgain) {
    auto f = open(300ms);
    auto d = attach(f);
    cut(true);
    try {
        (void)d.read64(0, D::kIdent);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::timeout);
    }
    // Quarantined: the next ones fail without waiting a timeout each.
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 50; ++i) EXPECT_THROW((void)d.read64(0, D::kIdent), Error);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);  // 50 x 300 ms would be 15 s
    cut(false);
    EXPECT_TRUE(within(20s, [&] { return answers(d); }));
    bool timeout = false;
    while (auto e = f.next_event(50ms)) timeout |= e->kind == EventKind::timeout;
    EXPECT_TRUE(timeout);
}

// Nobody else turns the lane of such a fabric: that the target answers again is heard in the reads themselves.
TEST_F(Outage, WhoOnlyReadsHearsThatItAnswersAgain) {
    FabricOptions o = options(300ms);
    o.progress = Progress::caller;
    auto f = Fabric::open(o);
    auto d = attach(f);
    cut(true);
    EXPECT_THROW((void)d.read64(0, D::kIdent), Error);
    cut(false);
    EXPECT_TRUE(within(20s, [&] { return answers(d); }));
}

// The first one goes through the port that can be cut.
TEST_F(Outage, OneOfTwoPathsIsCut) {
    const std::string second = std::to_string(test::free_udp_port());
    auto port = transport::open_port("udp:127.0.0.1:" + second).take();
    target_->in_lane([&] { target_->target().listen(target_->lane().add_port(std::move(port))); });
    FabricOptions o = options();
    o.further_paths.push_back({"", "127.0.0.1:" + second});  // another address, from the same port
    auto f = Fabric::open(o);
    auto d = attach(f);
    std::uint64_t value = 0, reads = 0;
    const auto work_until = [&](EventKind kind) {
        const auto until = std::chrono::steady_clock::now() + 60s;
        while (std::chrono::steady_clock::now() < until) {
            for (int i = 0; i < 20; ++i) d.write64(0, D::kCounter, ++value);
            EXPECT_EQ(d.read64(0, D::kReads), ++reads);
            if (const auto e = f.next_event(0ms); e && e->kind == kind) return true;
        }
        return false;
    };
    ASSERT_TRUE(work_until(EventKind::path_up)) << "the second one joins";
    for (int round = 0; round < 3; ++round) {
        cut(true);
        ASSERT_TRUE(work_until(EventKind::path_down));
        cut(false);
        ASSERT_TRUE(work_until(EventKind::path_up));
    }
    EXPECT_EQ(d.read64(0, D::kCounter), value);
    EXPECT_EQ(d.read64(0, D::kCounterErrors), 0U);
    o.further_paths.resize(8);
    EXPECT_THROW((void)Fabric::open(o), Error) << "at most 7";
}

class ShortGrace : public Outage {
protected:
    ShortGrace() { grace_ = 500ms; }
};

TEST_F(ShortGrace, LongerThanTheGraceRemovesTheDevice) {
    auto f = open();
    auto d = attach(f);
    cut(true);
    try {
        for (;;) (void)d.read64(0, D::kIdent);
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::device_lost) << e.what();
    }
    EXPECT_THROW(d.write64(0, D::kScratch, 1), Error);
    // The target takes the function back as well, and gives it to whoever comes.
    EXPECT_TRUE(within(20s, [&] {
        bool free = false;
        target_->in_lane([&] {
            target_->target().each([&](const std::string&, const lane::ExportStatus& s, const backend::Device&) {
                free = s.desc.state.get() == FL_FUNCTION_FREE;
            });
        });
        return free;
    }));
    cut(false);
    EXPECT_TRUE(within(20s, [&] {
        try {
            auto again = attach(f);
            return again.read64(0, D::kIdent) == D::kIdentValue;
        } catch (const Error&) {
            return false;
        }
    }));
}

TEST_F(Outage, TargetThatForgotEverythingMeansDeviceReset) {
    auto f = open();
    auto d = attach(f);
    auto buffer = d.domain().allocate(4096);
    std::memset(buffer.data(), 0, buffer.size());
    const auto m = d.domain().map(buffer, DmaDirection::from_device);
    target_.reset();
    start_target();
    EXPECT_TRUE(within(20s, [&] {
        try {
            d.write64(0, D::kScratch, 1);
        } catch (const Error& e) {
            return e.status() == Status::device_reset;
        }
        return false;
    }));
    d.acknowledge_reset();
    d.enable();
    // Mappings are still there, and known to the new target.
    const std::vector<std::byte> data(64, std::byte{7});
    d.write(2, 0, data);
    d.write64(0, D::kIova, m.iova());
    d.write64(0, D::kLength, data.size());
    d.write64(0, D::kGo, 1);
    EXPECT_TRUE(within(20s, [&] { return d.read64(0, D::kDone) == 1; }));
    EXPECT_EQ(std::memcmp(buffer.data(), data.data(), data.size()), 0);
    EXPECT_EQ(d.read64(0, D::kRefused), 0U);
}

TEST_F(ShortGrace, VanishedInitiatorFreesTheFunction) {
    {
        auto f = open();
        auto d = attach(f);
        cut(true);  // its goodbye is lost as well
        EXPECT_THROW(
            {
                while (true) (void)d.read64(0, D::kIdent);
            },
            Error);
    }
    EXPECT_TRUE(within(20s, [&] {
        bool free = false;
        target_->in_lane([&] {
            target_->target().each([&](const std::string&, const lane::ExportStatus& s, const backend::Device&) {
                free = s.desc.state.get() == FL_FUNCTION_FREE;
            });
        });
        return free;
    }));
}

}  // namespace
}  // namespace farlane
