// SPDX-License-Identifier: Apache-2.0
// Receives: two farlaned processes with two UDP ports each, one path through a link that can be cut. Hands on: proof
// that a cut path is a stall and nothing else, and that it comes back. Owns: processes and the link.
#include <algorithm>
#include <cstdio>

#include <gtest/gtest.h>

#include "chaos/relay.hpp"
#include "daemon/process.hpp"
#include "daemon/tally_work.hpp"
#include "failures/row.hpp"

namespace farlane::test {
namespace {

constexpr int kCuts = 5;

std::string port_text(const char* name, unsigned number, bool listen) {
    return std::string("[[port]]\nname = \"") + name + "\"\nurl = \"udp:127.0.0.1:" + std::to_string(number) + "\"\n" +
           (listen ? "listen = true\n" : "");
}

std::string path_text(const char* port, unsigned number) {
    return std::string("{ port = \"") + port + "\", address = \"127.0.0.1:" + std::to_string(number) + "\" }";
}

constexpr const char* kSession =
    "[session]\nkeepalive_ms = 100\nreconnect_delay_ms = 20\ncompletion_timeout_ms = 8000\ngrace_ms = 60000\n";

struct PathTest : testing::Test {
    TempDir dir;
    unsigned east = free_udp_port(), west = free_udp_port();
    Daemon target{dir, "box",
                  kSession + port_text("east", east, true) + port_text("west", west, true) +
                      "[[export]]\nname = \"tally0\"\ndevice = \"tally\"\n"};
    chaos::Relay link{east, 1};
    Daemon initiator{dir, "laptop",
                     kSession + port_text("left", 0, false) + port_text("right", 0, false) + "[[peer]]\npaths = [" +
                         path_text("left", link.port()) + ", " + path_text("right", west) + "]\n"};

    void cut(bool on) {
        link.cut(chaos::Relay::to_far, on);
        link.cut(chaos::Relay::to_near, on);
    }
    /// The paths of the only session of `d`, until `there` of them are so; the last look when that does not come.
    control::Json paths_until(const Daemon& d, const char* state, std::ptrdiff_t there) {
        auto c = d.client();
        const auto until = std::chrono::steady_clock::now() + 60s;
        for (;;) {
            const auto sessions = c.call("stats").at("sessions");
            const control::Json paths = sessions.empty() ? control::Json::array() : sessions[0].at("paths");
            const auto count = std::ranges::count_if(paths, [&](const auto& p) { return p.at("state") == state; });
            if (count == there || std::chrono::steady_clock::now() > until) return paths;
            std::this_thread::sleep_for(2ms);
        }
    }
    static bool wait_for_event(control::ControlClient& c, const char* kind) {
        while (const auto e = c.next_event(60s))
            if (e->at("kind") == kind) return true;
        return false;
    }
};

TEST_F(PathTest, CutUnderLoadIsAStallAndThePathComesBack) {
    ASSERT_EQ(paths_until(initiator, "up", 2).size(), 2U);
    auto events = initiator.client();
    auto target_events = target.client();
    events.subscribe();
    target_events.subscribe();
    FabricOptions o;
    o.socket = initiator.socket();
    Fabric fabric = Fabric::open(o);
    Device tally = fabric.attach("tally0");
    tally.enable();
    TallyWork work(tally);
    std::vector<double> stalls_ms;
    for (int i = 0; i < kCuts; ++i) {
        ASSERT_TRUE(work.goes_on(200));
        (void)work.take_longest_ms();
        cut(true);
        ASSERT_TRUE(wait_for_event(events, "path_down"));
        ASSERT_TRUE(wait_for_event(target_events, "path_down"));
        ASSERT_TRUE(work.goes_on(200)) << "on the other path";
        stalls_ms.push_back(work.take_longest_ms());
        const auto paths = paths_until(initiator, "dead", 1);
        ASSERT_EQ(paths.at(0).at("state"), "dead") << paths;
        EXPECT_EQ(paths.at(0).at("port"), "left");
        EXPECT_EQ(paths.at(1).at("state"), "up");
        cut(false);
        ASSERT_TRUE(wait_for_event(events, "path_up"));
        ASSERT_TRUE(wait_for_event(target_events, "path_up")) << i;
    }
    work.stop();
    work.verify();
    const auto paths = paths_until(initiator, "up", 2);
    EXPECT_EQ(paths.at(0).at("state"), "up") << paths;
    std::ranges::sort(stalls_ms);
    const auto rtt_ms = paths.at(1).at("smoothed_rtt_ns").get<double>() / 1e6;
    std::printf(
        "one path of two cut, %d times: stall median %.1f ms, longest %.1f ms; contract: %.1f ms (RTT %.3f ms) "
        "and what the scheduler adds\n",
        kCuts, stalls_ms[kCuts / 2], stalls_ms.back(), std::max(10.0, 2 * rtt_ms), rtt_ms);
    row("one_path_cut_median_stall", Milliseconds(stalls_ms[kCuts / 2]), Milliseconds(std::max(10.0, 2 * rtt_ms)));
    const auto listed = initiator.client().call("list").at("peers");
    ASSERT_EQ(listed.size(), 1U);
    EXPECT_EQ(listed[0].at("paths").size(), 2U);
    EXPECT_EQ(listed[0].at("paths")[1].at("state"), "up");
    EXPECT_GT(listed[0].at("paths")[0].at("packets_lost").get<std::uint64_t>(), 0U);
    tally.detach();
}

// The session begins on the path that answers; the other one joins it when it can.
TEST_F(PathTest, FirstPathMayBeTheDeadOne) {
    cut(true);
    (void)initiator.stop();
    initiator.start();
    const auto before = paths_until(initiator, "up", 1);
    ASSERT_EQ(before.size(), 2U);
    EXPECT_EQ(before.at(0).at("state"), "opening");
    EXPECT_EQ(before.at(1).at("state"), "up");
    const auto checks = initiator.client().call("doctor").at("checks");
    const auto row = std::ranges::find_if(checks, [](const auto& c) { return c.at("name") == "paths"; });
    ASSERT_NE(row, checks.end());
    EXPECT_EQ(row->at("status"), "warn") << *row;
    EXPECT_NE(row->at("detail").get<std::string>().find("left to 127.0.0.1:" + std::to_string(link.port())),
              std::string::npos)
        << *row;
    cut(false);
    EXPECT_EQ(paths_until(initiator, "up", 2).at(0).at("state"), "up");
    EXPECT_EQ(paths_until(target, "up", 2).size(), 2U);
}

}  // namespace
}  // namespace farlane::test
