// SPDX-License-Identifier: Apache-2.0
// Receives: two farlaned processes whose target goes away for shorter and for longer than the grace. Hands on: proof of
// what comes back, what does not, and when it is lost. Owns: processes.
#include <csignal>
#include <cstdio>
#include <filesystem>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <farlane/fabric.hpp>

#include "daemon/process.hpp"
#include "failures/row.hpp"

namespace farlane::test {
namespace {

using control::Json;

constexpr const char* kNvme = "[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"1M\"\n";
constexpr std::chrono::milliseconds kGrace{700};

struct StandingTest : testing::Test {
    Pair pair{kNvme, "grace_ms = " + std::to_string(kGrace.count()) + "\n"};
    StandingTest() { pair.wait_for_functions(1); }

    /// State of the attachment here, "none" when there is none.
    std::string state() {
        const auto all = pair.initiator.client().call("stats").at("attachments");
        return all.empty() ? "none" : all[0].at("state").get<std::string>();
    }
    bool comes_to(const std::string& wanted) {
        const auto until = std::chrono::steady_clock::now() + 60s;
        while (state() != wanted && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(5ms);
        return state() == wanted;
    }
    Json attach(bool stands) {
        return pair.initiator.client().call("attach", {{"name", "nvme0"}, {"persistent", true}, {"stands", stands}});
    }
    Json listed(const std::string& name) {
        const Json list = pair.initiator.client().call("list");
        for (const Json& f : list.at("functions"))
            if (f.at("name") == name) return f;
        throw std::runtime_error(name + " is not listed");
    }
    Json waiting() { return pair.initiator.client().call("list", {{"timeout_ms", 100}}).at("waiting"); }
};

TEST_F(StandingTest, ComesBackAfterAnOutageLongerThanTheGrace) {
    EXPECT_EQ(attach(true).at("stands"), true);
    EXPECT_TRUE(waiting().empty()) << "it is attached";
    EXPECT_EQ(listed("nvme0").at("attachment").at("stands"), true);
    for (int i = 0; i < 2; ++i) {
        pair.target.process().kill();
        const auto cut = std::chrono::steady_clock::now();
        ASSERT_TRUE(comes_to("none"));
        const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - cut;
        // Silence is three keep-alive intervals of 100 ms.
        EXPECT_GE(took, kGrace);
        std::printf("lost %.0f ms after its target; contract: silence (300 ms) + grace (%lld ms) + 1 s\n", took.count(),
                    static_cast<long long>(kGrace.count()));
        const Json w = waiting();
        ASSERT_EQ(w.size(), 1U);
        EXPECT_EQ(w[0].at("name"), "nvme0");
        EXPECT_EQ(w[0].at("target"), "box");
        EXPECT_EQ(w[0].at("why"), "its target does not answer");
        pair.target.start();
        const Stopwatch answers;
        EXPECT_TRUE(comes_to("ready"));
        row("attached_again_after_an_outage", answers.took(), 600ms);
        EXPECT_TRUE(waiting().empty());
    }
    FabricOptions o;
    o.socket = pair.initiator.socket();
    Fabric fabric = Fabric::open(o);
    Device device = fabric.attach("nvme0");
    device.enable();
    EXPECT_NE(device.read32(0, 8), 0xffffffffU);
}

TEST_F(StandingTest, OnceDoesNot) {
    EXPECT_EQ(attach(false).at("stands"), false);
    EXPECT_EQ(listed("nvme0").at("attachment").at("stands"), false);
    pair.target.process().kill();
    ASSERT_TRUE(comes_to("none"));
    pair.target.start();
    pair.wait_for_functions(1);
    EXPECT_TRUE(waiting().empty());
    EXPECT_EQ(state(), "none");
}

TEST_F(StandingTest, ShorterThanTheGraceIsTheSameAttachment) {
    (void)attach(false);
    const auto since = pair.initiator.client().call("stats").at("attachments")[0].at("since");
    auto events = pair.initiator.client();
    events.subscribe();
    pair.target.process().signal(SIGSTOP);
    ASSERT_TRUE(comes_to("down"));
    pair.target.process().signal(SIGCONT);
    ASSERT_TRUE(comes_to("ready"));
    EXPECT_EQ(pair.initiator.client().call("stats").at("attachments")[0].at("since"), since);
}

// The state is on tmpfs, and gone; the file is not.
TEST_F(StandingTest, ComesBackAfterAReboot) {
    const std::string kept = pair.dir / "kept.json";
    const std::string config = read_file(pair.initiator.config());
    const auto section = config.find("[session]");
    write_file(pair.initiator.config(), config.substr(0, section) + "attach = \"persist\"\npersist_file = \"" + kept +
                                            "\"\n" + config.substr(section));
    EXPECT_EQ(pair.initiator.stop(), 0);
    pair.initiator.start();
    pair.wait_for_functions(1);
    const auto said = pair.initiator.client().call("attach", {{"name", "nvme0"}, {"persistent", true}});
    EXPECT_EQ(said.at("stands"), true) << "as configured";
    struct stat info {};
    ASSERT_EQ(::stat(kept.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    pair.initiator.process().kill();
    std::filesystem::remove_all(pair.dir / "laptop.state");
    pair.initiator.start();
    EXPECT_TRUE(comes_to("ready")) << "once the target has freed it from who it was before";
}

TEST_F(StandingTest, DetachForgetsIt) {
    (void)attach(true);
    auto c = pair.initiator.client();
    (void)c.call("detach", {{"name", "nvme0"}});
    EXPECT_TRUE(waiting().empty());
    (void)attach(true);
    pair.target.process().kill();
    ASSERT_TRUE(comes_to("none"));
    ASSERT_EQ(waiting().size(), 1U);
    (void)c.call("detach", {{"name", "box/nvme0"}});  // attached nowhere: forgotten
    EXPECT_TRUE(c.call("stats").at("attachments").empty());
    pair.target.start();
    pair.wait_for_functions(1);
    EXPECT_TRUE(waiting().empty());
    EXPECT_THROW((void)c.call("detach", {{"name", "nvme0"}}), control::CallError) << "nothing is there";
    EXPECT_EQ(attach(true).at("stands"), true);
    EXPECT_EQ(attach(false).at("stands"), false) << "--once takes it back";
}

}  // namespace
}  // namespace farlane::test
