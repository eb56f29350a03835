// SPDX-License-Identifier: Apache-2.0
// Receives: farlaned processes that are killed, stopped, replaced or lose their device while applications share an
// accelerator. Hands on: proof that each of them hears it, and how they go on. Owns: processes.
#include <csignal>

#include <farlane/uapi/accel.h>

#include "daemon/share_fixture.hpp"
#include "lib/provider.hpp"

namespace farlane::test {
namespace {

struct SharingFailures : ShareTest {
    Fabric one = open_fabric(socket()), two = open_fabric(socket());
    Device first, second;
    std::unique_ptr<ShareWork> a, b;

    void attach_both() {
        first = one.attach("accel0", AttachMode::shared);
        second = two.attach("accel0", AttachMode::shared);
        open_both();
    }
    void open_both() {
        a = std::make_unique<ShareWork>(first, 1);
        b = std::make_unique<ShareWork>(second, 2);
        a->round();
        b->round();
    }
    void let_go() {
        a.reset();
        b.reset();
        first = Device();
        second = Device();
    }
    /// Rounds until one fails; how.
    static Status ends_with(ShareWork& work, std::string* text = nullptr) {
        Status last = Status::ok;
        (void)comes_true([&] { return (last = status_of([&] { work.round(); }, text)) != Status::ok; });
        return last;
    }
};

TEST_F(SharingFailures, AKilledDaemonIsTheEndOfTheShares) {
    attach_both();
    const std::string ready = fifo("ready");
    auto process = client("wait", ready, 9);
    ASSERT_TRUE(is_ready(ready));
    pair.initiator.process().kill();
    std::string text;
    EXPECT_EQ(ends_with(*a, &text), Status::device_lost);
    EXPECT_NE(text.find("attach it again"), std::string::npos) << text;
    EXPECT_EQ(ends_with(*b), Status::device_lost);
    EXPECT_EQ(process->wait(), 3) << process->output();
    let_go();
    pair.initiator.start();
    pair.wait_for_functions(1);
    attach_both();  // by the same fabrics: as after power-on
    EXPECT_EQ(holders(), 2U);
    let_go();
    EXPECT_TRUE(comes_true([&] { return attachment().is_null(); }));
}

TEST_F(SharingFailures, APersistentAttachmentIsThereAgain) {
    (void)pair.initiator.client().call("attach", {{"name", "accel0"}, {"persistent", true}, {"provider", "daemon"}});
    attach_both();
    pair.initiator.process().kill();
    EXPECT_EQ(ends_with(*a), Status::device_lost);
    EXPECT_EQ(ends_with(*b), Status::device_lost);
    let_go();
    pair.initiator.start();
    pair.wait_for_functions(1);
    EXPECT_TRUE(comes_true([&] {
        const auto now = attachment();
        return !now.is_null() && now.at("state") == "ready" && now.at("persistent") == true;
    }));
    attach_both();
    let_go();
    EXPECT_EQ(attachment().at("persistent"), true);
}

TEST_F(SharingFailures, AnUpgradeSaysWhoIsInTheWay) {
    attach_both();
    auto c = pair.initiator.client();
    std::string text;
    EXPECT_EQ(status_of([&] { (void)c.call("upgrade"); }, &text), Status::busy);
    EXPECT_NE(text.find("accel0"), std::string::npos) << text;
    EXPECT_NE(text.find("pid " + std::to_string(::getpid())), std::string::npos) << text;
    a->round();
    b->round();
    (void)c.call("upgrade", {{"force", true}});
    EXPECT_EQ(ends_with(*a), Status::device_lost);
    EXPECT_EQ(ends_with(*b), Status::device_lost);
    let_go();
    EXPECT_TRUE(comes_true([&] {
        return status_of([&] { first = open_fabric(socket()).attach("accel0", AttachMode::shared); }) == Status::ok;
    }));
    a = std::make_unique<ShareWork>(first, 1);
    a->round();
    let_go();
    (void)pair.initiator.client().call("upgrade");  // nobody shares it any more
    EXPECT_TRUE(
        comes_true([&] { return status_of([&] { (void)pair.initiator.client().call("ping"); }) == Status::ok; }));
}

// A client that asks on while nothing gets through is told to wait, and the daemon does not grow by it.
TEST_F(SharingFailures, WhoAsksOnWhileTheTargetIsSilentIsToldToWait) {
    auto c = pair.initiator.client();
    const auto id = c.call("attach", {{"name", "accel0"}, {"shared", true}}).at("attachment");
    const auto open_and_close = [&] {
        const auto context = c.call("open_context", {{"attachment", id}}).at("context");
        (void)c.call("close_context", {{"attachment", id}, {"context", context}});
    };
    open_and_close();
    ASSERT_EQ(::kill(pair.target.process().pid(), SIGSTOP), 0);
    Status last = Status::ok;
    std::string text;
    int asked = 0;
    for (; asked < 60'000 && last == Status::ok; ++asked) last = status_of(open_and_close, &text);
    ASSERT_EQ(::kill(pair.target.process().pid(), SIGCONT), 0);
    EXPECT_EQ(last, Status::would_block) << text << " after " << asked;
    EXPECT_NE(text.find("its link is down or slow; try again"), std::string::npos) << text;
    EXPECT_TRUE(comes_true([&] { return status_of(open_and_close) == Status::ok; }));
    first = one.attach("accel0", AttachMode::shared);
    ShareWork(first, 1).round();
    let_go();
}

TEST_F(SharingFailures, AForcedDetachIsSurpriseRemovalForAll) {
    attach_both();
    auto c = pair.initiator.client();
    control::Json extra;
    try {
        (void)c.call("detach", {{"name", "accel0"}});
        FAIL() << "it is in use";
    } catch (const control::CallError& e) {
        EXPECT_EQ(e.extra().at("holders").size(), 2U);
    }
    (void)c.call("detach", {{"name", "accel0"}, {"force", true}});
    EXPECT_EQ(ends_with(*a), Status::device_lost);
    EXPECT_EQ(ends_with(*b), Status::device_lost);
    let_go();
    attach_both();
    let_go();
}

// The device forgets everything when its farlaned dies: contexts, queue pairs, memory.
TEST_F(SharingFailures, AResetOfTheDeviceIsHeardByAll) {
    attach_both();
    pair.target.process().kill();
    pair.target.start();
    EXPECT_EQ(ends_with(*a), Status::device_reset);
    EXPECT_EQ(ends_with(*b), Status::device_reset);
    a.reset();
    b.reset();
    first.acknowledge_reset();
    ShareWork again(first, 3);
    again.round();
    EXPECT_EQ(status_of([&] { ShareWork work(second, 4); }), Status::device_reset) << "it has not acknowledged";
    second.acknowledge_reset();
    ShareWork other(second, 5);
    other.round();
    again.round();
    EXPECT_EQ(attachment().at("shared").at("contexts_used"), 2);
    EXPECT_EQ(attachment().at("shared").at("applications"), 2);
}

TEST_F(SharingFailures, ASilentTargetIsWaitedFor) {
    attach_both();
    const auto queued = [&](ShareWork& work) { return status_of([&] { work.round(); }); };
    pair.target.process().signal(SIGSTOP);
    std::thread other([&] { EXPECT_EQ(queued(*b), Status::ok); });
    EXPECT_TRUE(comes_true([&] { return attachment().at("state") == "down"; }));
    pair.target.process().signal(SIGCONT);
    EXPECT_EQ(queued(*a), Status::ok);
    other.join();
    a->round();
    b->round();
}

TEST_F(SharingFailures, AClientThatDiesWhileTheTargetIsSilent) {
    attach_both();
    const std::string ready = fifo("ready");
    auto process = client("stream", ready, 9);
    ASSERT_TRUE(is_ready(ready));
    pair.target.process().signal(SIGSTOP);
    EXPECT_TRUE(comes_true([&] { return attachment().at("state") == "down"; }));
    process->kill();
    pair.target.process().signal(SIGCONT);
    EXPECT_TRUE(comes_true([&] { return holders() == 2; }));
    EXPECT_TRUE(comes_true([&] { return attachment().at("shared").at("contexts_used") == 2; }));
    a->round();
    b->round();
}

}  // namespace
}  // namespace farlane::test
