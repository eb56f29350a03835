// SPDX-License-Identifier: Apache-2.0
// Receives: two farlaned processes under verified load. Hands on: proof that each of them can be replaced while it
// works: no error, no request in doubt, the stall measured. Owns: processes.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <thread>

#include <gtest/gtest.h>

#include "daemon/process.hpp"
#include "daemon/tally_work.hpp"
#include "failures/row.hpp"

namespace farlane::test {
namespace {

constexpr int kUpgrades = 5;
constexpr Milliseconds kBound{500};
constexpr const char* kTally = "[[export]]\nname = \"tally0\"\ndevice = \"tally\"\n";
constexpr const char* kAccel = "[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nmemory = \"32M\"\nthreads = 1\n";

Fabric open(const Daemon& d) {
    FabricOptions o;
    o.socket = d.socket();
    return Fabric::open(o);
}

std::uint64_t started_ms(const Daemon& d) {
    return d.client().hello().at("started_ms").get<std::uint64_t>();
}

/// Until a life that began at another time than `before` answers.
bool replaced(const Daemon& d, std::uint64_t before) {
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (std::chrono::steady_clock::now() < until) {
        try {
            if (started_ms(d) != before) return true;
        } catch (const Error&) {
        }
        std::this_thread::sleep_for(2ms);
    }
    return false;
}

struct UpgradeTest : testing::Test {
    Pair pair{std::string(kTally) + kAccel};
    UpgradeTest() { pair.wait_for_functions(2); }

    void upgrade_under_load(Daemon& d, const char* whose) {
        const auto pid = d.process().pid();
        Fabric fabric = open(pair.initiator);
        Device tally = fabric.attach("tally0");
        tally.enable();
        TallyWork work(tally);
        std::vector<double> stalls_ms;
        for (int i = 0; i < kUpgrades; ++i) {
            ASSERT_TRUE(work.goes_on(200));
            (void)work.take_longest_ms();
            const auto before = started_ms(d);
            const auto said = d.client().call("upgrade");
            EXPECT_EQ(said.at("pid"), pid);
            ASSERT_TRUE(replaced(d, before)) << d.process().output();
            const bool on = work.goes_on(200);
            if (!on) work.stop();
            ASSERT_TRUE(on) << work.failure() << '\n' << d.process().output();
            stalls_ms.push_back(work.take_longest_ms());
            EXPECT_TRUE(d.process().running());
        }
        work.stop();
        work.verify();
        while (const auto e = fabric.next_event(0ms)) {
            const bool bad = e->kind == EventKind::timeout || e->kind == EventKind::device_reset ||
                             e->kind == EventKind::device_lost || e->kind == EventKind::error;
            EXPECT_FALSE(bad) << event_name(e->kind) << ' ' << e->detail;
        }
        std::ranges::sort(stalls_ms);
        std::printf("upgrade of the %s's farlaned, %d times: stall median %.0f ms, longest %.0f ms\n", whose, kUpgrades,
                    stalls_ms[kUpgrades / 2], stalls_ms.back());
        row(std::string("upgrade_of_the_") + whose, Milliseconds(stalls_ms.back()), kBound);
        tally.detach();
    }
};

TEST_F(UpgradeTest, InitiatorUnderLoadIsAStall) {
    upgrade_under_load(pair.initiator, "initiator");
    EXPECT_EQ(pair.initiator.stop(), 0) << pair.initiator.process().output();
}

TEST_F(UpgradeTest, TargetUnderLoadIsAStall) {
    upgrade_under_load(pair.target, "target");
    EXPECT_EQ(pair.target.stop(), 0) << pair.target.process().output();
}

// Who connects while nobody is there to answer waits for the next life.
TEST_F(UpgradeTest, SocketIsNeverGone) {
    std::atomic<bool> stop{false};
    std::atomic<unsigned> answered{0};
    std::string failure;
    std::thread caller([&] {
        while (!stop) {
            try {
                (void)pair.initiator.client().call("ping");
                ++answered;
            } catch (const Error& e) {  // a connection of the old life may end with it
                if (e.detail().find("closed the connection") == std::string::npos) failure = e.detail();
            }
        }
    });
    for (int i = 0; i < kUpgrades; ++i) {
        const auto before = started_ms(pair.initiator);
        (void)pair.initiator.client().call("upgrade");
        EXPECT_TRUE(replaced(pair.initiator, before));
        const unsigned seen = answered;
        while (answered < seen + 10 && failure.empty()) std::this_thread::sleep_for(1ms);
    }
    stop = true;
    caller.join();
    EXPECT_EQ(failure, "");
}

TEST_F(UpgradeTest, BySignal) {
    const auto before = started_ms(pair.initiator);
    pair.initiator.process().signal(SIGUSR2);
    EXPECT_TRUE(replaced(pair.initiator, before)) << pair.initiator.process().output();
}

TEST_F(UpgradeTest, ConfigurationThatIsWrongByNowChangesNothing) {
    const auto before = started_ms(pair.target);
    const std::string config = read_file(pair.target.config());
    write_file(pair.target.config(), config + "[lane]\nspin_us = \"1us\"\n");
    try {
        (void)pair.target.client().call("upgrade");
        FAIL() << "not refused";
    } catch (const control::CallError& e) {
        EXPECT_EQ(e.status(), Status::invalid);
        EXPECT_NE(std::string(e.what()).find("spin_us"), std::string::npos) << e.what();
    }
    EXPECT_EQ(started_ms(pair.target), before);
    write_file(pair.target.config(), config);
}

// The accelerator's state is farlaned's: whoever has it would see a reset, and is not surprised by that.
TEST_F(UpgradeTest, DeviceThatWouldLoseItsStateIsAskedFor) {
    Fabric fabric = open(pair.initiator);
    Device accel = fabric.attach("accel0");
    accel.enable();
    const auto before = started_ms(pair.target);
    try {
        (void)pair.target.client().call("upgrade");
        FAIL() << "not refused";
    } catch (const control::CallError& e) {
        EXPECT_EQ(e.status(), Status::busy);
        EXPECT_NE(std::string(e.what()).find("accel0"), std::string::npos) << e.what();
    }
    EXPECT_EQ(started_ms(pair.target), before);
    accel.write32(2, 0, 7);
    EXPECT_EQ(accel.read32(2, 0), 7U) << "everything goes on";
    (void)pair.target.client().call("upgrade", {{"force", true}});
    EXPECT_TRUE(replaced(pair.target, before)) << pair.target.process().output();
}

// The firmware hangs over a read: neither end replaces itself with that in doubt.
void stop_while_an_upgrade_waits(std::chrono::milliseconds after) {
    Pair pair("[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"1M\"\nfaults = \"hang_after_reads=1\"\n");
    pair.wait_for_functions(1);
    Fabric fabric = open(pair.initiator);
    Device nvme = fabric.attach("nvme0");
    nvme.enable();
    try {
        (void)nvme.read32(0, 8);  // never answered: the target can not be upgraded
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::timeout);
    }
    std::thread upgrade([&] {
        try {
            (void)pair.target.client().call("upgrade", {{"timeout_ms", 30000}});
        } catch (const Error&) {  // it has gone
        }
    });
    std::this_thread::sleep_for(after);  // what is tested: a stop while an upgrade waits
    pair.target.process().signal(SIGTERM);
    int code = -1;
    EXPECT_NO_THROW(code = pair.target.process().wait(20s)) << "it goes on as its own successor";
    EXPECT_EQ(code, 0) << pair.target.process().output();
    if (code < 0) pair.target.process().kill();
    upgrade.join();
}

// What stops the daemon settles what the upgrade waits for: it must not be taken for an upgrade that may go on. Work is
// stopped for 150 of every 500 ms while an upgrade waits; one of these moments is in such a time.
TEST(UpgradeOf, StopEndsIt) {
    std::vector<std::jthread> all;
    for (const auto after : {200ms, 320ms, 440ms, 560ms})
        all.emplace_back([after] { stop_while_an_upgrade_waits(after); });
}

TEST(UpgradeOf, RequestThatDoesNotEndRefusesIt) {
    Pair pair("[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"1M\"\nfaults = \"hang_after_reads=1\"\n");
    pair.wait_for_functions(1);
    Fabric fabric = open(pair.initiator);
    Device nvme = fabric.attach("nvme0");
    nvme.enable();
    const auto requests = [&] {
        return pair.initiator.client()
            .call("stats")
            .at("attachments")
            .at(0)
            .at("channel")
            .at("requests")
            .get<unsigned>();
    };
    const unsigned before = requests();
    std::thread reader([&] {
        try {
            for (;;) (void)nvme.read32(0, 8);
        } catch (const Error&) {  // device_lost, below
        }
    });
    while (requests() == before) std::this_thread::sleep_for(1ms);
    for (const Daemon* d : {&pair.initiator, &pair.target}) {
        const auto life = started_ms(*d);
        try {
            (void)d->client().call("upgrade", {{"timeout_ms", 700}});
            ADD_FAILURE() << "not refused";
        } catch (const control::CallError& e) {
            EXPECT_EQ(e.status(), Status::timeout);
            EXPECT_NE(std::string(e.what()).find("nvme0"), std::string::npos) << e.what();
        }
        EXPECT_EQ(started_ms(*d), life);
    }
    (void)pair.initiator.client().call("detach", {{"name", "nvme0"}, {"force", true}});
    reader.join();
    const auto life = started_ms(pair.initiator);
    (void)pair.initiator.client().call("upgrade");
    EXPECT_TRUE(replaced(pair.initiator, life));
}

}  // namespace
}  // namespace farlane::test
