// SPDX-License-Identifier: Apache-2.0
// Receives: farlaned processes and applications that share an accelerator through one of them. Hands on: proof that
// each has a context of its own, and that nothing of it stays when it goes. Owns: processes.
#include <farlane/uapi/accel.h>

#include "daemon/share_fixture.hpp"
#include "lib/provider.hpp"

namespace farlane::test {
namespace {

using SharingTest = ShareTest;

TEST_F(SharingTest, TwoApplicationsEachWithItsOwnContext) {
    Fabric one = open_fabric(socket()), two = open_fabric(socket());
    Device first = one.attach("accel0", AttachMode::shared);
    Device second = two.attach("accel0", AttachMode::shared);
    {
        ShareWork a(first, 1), b(second, 2), c(first, 3);
        for (int i = 0; i < 3; ++i) {
            a.round();
            b.round();
            c.round();
        }
        const auto said = attachment();
        ASSERT_EQ(said.at("holders").size(), 2U);
        EXPECT_EQ(said.at("holders")[0].at("pid"), ::getpid());
        EXPECT_EQ(said.at("holders")[0].at("contexts").size(), 2U);
        EXPECT_EQ(said.at("holders")[1].at("queue_pairs"), 1);
        EXPECT_GT(said.at("holders")[1].at("mapped_bytes"), 0);
        EXPECT_EQ(said.at("shared").at("contexts_used"), 3);
        EXPECT_EQ(said.at("dma_refused"), 0);
    }
    EXPECT_EQ(attachment().at("shared").at("contexts_used"), 0);
    first.detach();
    ShareWork(second, 4).round();
    second.detach();
    EXPECT_TRUE(attachment().is_null()) << "the last one takes the attachment along";
    Device alone = one.attach("accel0");
    ShareWork(alone, 5).round();
}

TEST_F(SharingTest, EightProcesses) {
    std::vector<std::unique_ptr<Process>> all;
    for (int i = 0; i < 8; ++i) all.push_back(client("work", "30", i + 1));
    for (auto& p : all) {
        const int code = p->wait(120s);
        EXPECT_EQ(code, 0) << p->output();
    }
    EXPECT_TRUE(comes_true([&] { return attachment().is_null(); }));
}

TEST_F(SharingTest, AProcessKilledMidStreamIsNotNoticed) {
    Fabric fabric = open_fabric(socket());
    Device device = fabric.attach("accel0", AttachMode::shared);
    ShareWork work(device, 1);
    work.round();
    (void)work.context().properties();  // takes memory for its own answer
    const auto free_before = work.context().properties().memory_free_bytes;
    for (int i = 0; i < 4; ++i) {
        const std::string ready = fifo("ready-" + std::to_string(i));
        auto victim = client("stream", ready, 10 + i);
        ASSERT_TRUE(is_ready(ready)) << victim->output();
        work.round();
        EXPECT_LT(work.context().properties().memory_free_bytes, free_before);
        victim->kill();
        const auto killed = std::chrono::steady_clock::now();
        work.round();
        EXPECT_TRUE(comes_true([&] { return holders() == 1; }));
        EXPECT_TRUE(comes_true([&] { return work.context().properties().memory_free_bytes == free_before; }));
        const auto took = std::chrono::steady_clock::now() - killed;
        std::printf("killed mid-stream: what it had is back after %.0f ms\n",
                    std::chrono::duration<double, std::milli>(took).count());
        EXPECT_EQ(attachment().at("shared").at("contexts_used"), 1);
        EXPECT_EQ(attachment().at("shared").at("queue_pairs_used"), 1);
        work.round();
    }
}

TEST_F(SharingTest, TheProgramTellsWhoSharesIt) {
    Fabric one = open_fabric(socket()), two = open_fabric(socket());
    Device first = one.attach("accel0", AttachMode::shared), second = two.attach("accel0", AttachMode::shared);
    ShareWork a(first, 1), b(second, 2);
    a.round();
    const auto said = [&](std::vector<std::string> verb) {
        const std::string log = pair.dir / verb.front();
        verb.insert(verb.begin(), {FARLANE, "--socket", socket()});
        Process p(verb, log);
        EXPECT_EQ(p.wait(), 0) << p.output();
        return p.output();
    };
    EXPECT_NE(said({"list"}).find("shared by 2"), std::string::npos) << said({"list"});
    const std::string who = "(pid " + std::to_string(::getpid()) + ", ";
    const std::string shown = said({"show", "accel0"});
    EXPECT_NE(shown.find(who), std::string::npos) << shown;
    EXPECT_NE(shown.find("context 0, queue pairs 1, "), std::string::npos) << shown;
    EXPECT_NE(shown.find("context 1, queue pairs 1, "), std::string::npos) << shown;
    const std::string counted = said({"stats"});
    EXPECT_NE(counted.find("shared by "), std::string::npos) << counted;
}

std::size_t open_files(pid_t pid) {
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd"))
        ++n;
    return n;
}

TEST_F(SharingTest, TwoHundredRoundsLeakNothing) {
    const pid_t daemon = pair.initiator.process().pid();
    Fabric fabric = open_fabric(socket());
    const auto rounds = [&](int n) {
        for (int i = 0; i < n; ++i) {
            Device device = fabric.attach("accel0", AttachMode::shared);
            ShareWork(device, static_cast<std::uint32_t>(i), 500).round();
            device.detach();
        }
    };
    rounds(3);
    EXPECT_TRUE(comes_true([&] { return attachment().is_null(); }));
    const std::size_t files = open_files(daemon);
    rounds(100);
    EXPECT_TRUE(comes_true([&] { return attachment().is_null() && open_files(daemon) <= files; }));
    // The same beside one that stays: the attachment goes on, and gets older.
    Fabric other = open_fabric(socket());
    Device stays = other.attach("accel0", AttachMode::shared);
    ShareWork work(stays, 7);
    work.round();
    (void)work.context().properties();  // takes memory for its own answer
    const auto free_before = work.context().properties().memory_free_bytes;
    rounds(1);
    const std::size_t files_beside = open_files(daemon);
    const auto mappings = attachment().at("holders").at(0).at("mapped_bytes");
    rounds(100);
    work.round();
    EXPECT_EQ(work.context().properties().memory_free_bytes, free_before);
    EXPECT_TRUE(comes_true([&] { return open_files(daemon) <= files_beside; })) << open_files(daemon);
    EXPECT_EQ(attachment().at("holders").at(0).at("mapped_bytes"), mappings);
    EXPECT_EQ(attachment().at("shared").at("contexts_used"), 1);
    EXPECT_EQ(attachment().at("dma_refused"), 0);
}

TEST_F(SharingTest, ContextsAndQueuePairsUsedUpAreClearErrors) {
    Fabric fabric = open_fabric(socket());
    Device device = fabric.attach("accel0", AttachMode::shared);
    std::vector<std::unique_ptr<accel::Context>> contexts;
    std::string text;
    const auto open_one = [&](Device& d) { contexts.push_back(std::make_unique<accel::Context>(d)); };
    // 16 contexts and 20 queue pairs, of which 8 processes must get one each.
    for (int i = 0; i < 9; ++i) ASSERT_EQ(status_of([&] { open_one(device); }, &text), Status::ok) << text;
    EXPECT_EQ(status_of([&] { open_one(device); }, &text), Status::limit);
    EXPECT_NE(text.find("this process has 9 of 16 contexts of 'accel0'"), std::string::npos) << text;
    EXPECT_NE(text.find("share_places = 8"), std::string::npos) << text;
    std::vector<accel::Stream> streams;
    const auto take_all = [&] {
        Status last = Status::ok;
        while (last == Status::ok && streams.size() < 100)
            last = status_of([&] { streams.push_back(contexts[0]->create_stream()); }, &text);
        EXPECT_EQ(last, Status::limit);
    };
    take_all();
    EXPECT_EQ(contexts.size() + streams.size(), 13U);
    EXPECT_NE(text.find("13 of 20 queue pairs"), std::string::npos) << text;
    auto second = client("work", "1", 1);
    EXPECT_EQ(second->wait(), 0) << second->output();
    streams.clear();
    contexts.clear();
    // Seven more that have one each leave what is still free to anybody.
    std::vector<std::unique_ptr<Process>> others;
    for (int i = 0; i < 7; ++i) {
        const std::string ready = fifo("ready-" + std::to_string(i));
        others.push_back(client("hold", ready, 10 + i));
        ASSERT_TRUE(is_ready(ready)) << others.back()->output();
    }
    for (int i = 0; i < 9; ++i) ASSERT_EQ(status_of([&] { open_one(device); }, &text), Status::ok) << text;
    EXPECT_EQ(status_of([&] { open_one(device); }, &text), Status::limit);
    EXPECT_NE(text.find("all 16 contexts"), std::string::npos) << text;
    EXPECT_NE(text.find("pid " + std::to_string(::getpid())), std::string::npos) << text;
    take_all();
    EXPECT_EQ(others.size() + contexts.size() + streams.size(), 20U);
    EXPECT_NE(text.find("all 20 queue pairs"), std::string::npos) << text;
    streams.clear();
    contexts.clear();
    ShareWork(device, 1).round();
}

// Places are kept for processes: who attaches again and again is one of them.
TEST_F(SharingTest, AttachingManyTimesTakesNoMoreThanAttachingOnce) {
    std::vector<Fabric> fabrics;
    std::vector<Device> devices;
    std::vector<std::unique_ptr<accel::Context>> contexts;
    std::vector<accel::Stream> streams;
    std::string text;
    Status last = Status::ok;
    while (last == Status::ok && devices.size() < 40) {
        fabrics.push_back(open_fabric(socket()));
        last = status_of([&] { devices.push_back(fabrics.back().attach("accel0", AttachMode::shared)); }, &text);
    }
    EXPECT_EQ(last, Status::limit);
    EXPECT_EQ(devices.size(), 25U);
    EXPECT_NE(text.find("this process has 25 of 32 attachments of 'accel0'"), std::string::npos) << text;
    for (Device& d : devices) {
        last = status_of([&] { contexts.push_back(std::make_unique<accel::Context>(d)); }, &text);
        EXPECT_TRUE(last == Status::ok || last == Status::limit) << text;
    }
    EXPECT_EQ(contexts.size(), 9U) << "of 16, as one attachment gets";
    EXPECT_NE(text.find("this process has 9 of 16 contexts of 'accel0'"), std::string::npos) << text;
    for (auto& c : contexts) (void)status_of([&] { streams.push_back(c->create_stream()); }, &text);
    EXPECT_EQ(contexts.size() + streams.size(), 13U) << "of 20 queue pairs";
    EXPECT_NE(text.find("this process has 13 of 20 queue pairs"), std::string::npos) << text;
    auto other = client("work", "3", 1);
    EXPECT_EQ(other->wait(), 0) << other->output();
    streams.clear();
    contexts.clear();
}

TEST_F(SharingTest, HowManyPlacesAreKeptIsConfigured) {
    std::string text = read_file(pair.initiator.config());
    text.insert(text.find("socket ="), "share_places = 1\n");
    write_file(pair.initiator.config(), text);
    ASSERT_EQ(pair.initiator.stop(), 0);
    pair.initiator.start();
    pair.wait_for_functions(1);
    Fabric fabric = open_fabric(socket());
    Device device = fabric.attach("accel0", AttachMode::shared);
    std::vector<std::unique_ptr<accel::Context>> contexts;
    for (int i = 0; i < 16; ++i) contexts.push_back(std::make_unique<accel::Context>(device));
}

// One takes contexts, streams, allocations and the link as much as it gets; seven others do what they do alone.
TEST_F(SharingTest, AGreedyApplicationLeavesTheOthersWhatTheyNeed) {
    const std::string ready = fifo("ready");
    auto greedy = client("greedy", ready, 99);
    ASSERT_TRUE(is_ready(ready)) << greedy->output();
    std::vector<std::unique_ptr<Process>> all;
    for (int i = 0; i < 7; ++i) all.push_back(client("work", "20", i + 1));
    for (auto& p : all) {
        const int code = p->wait(120s);
        EXPECT_EQ(code, 0) << p->output();
    }
    EXPECT_EQ(holders(), 1U) << "the greedy one goes on";
    const std::string said = greedy->output();
    EXPECT_NE(said.find("contexts of 'accel0'; the"), std::string::npos) << said;
    EXPECT_NE(said.find("queue pairs of 'accel0'; the"), std::string::npos) << said;
    EXPECT_NE(said.find("ALLOC"), std::string::npos) << said;
    EXPECT_NE(said.find("the context has all the allocations that one context may have"), std::string::npos) << said;
    greedy->kill();
    EXPECT_TRUE(comes_true([&] { return attachment().is_null(); }));
}

TEST_F(SharingTest, AloneAndSharedExcludeEachOther) {
    Fabric one = open_fabric(socket()), two = open_fabric(socket());
    std::string text;
    {
        Device alone = one.attach("accel0");
        EXPECT_EQ(status_of([&] { (void)two.attach("accel0", AttachMode::shared); }, &text), Status::busy);
        EXPECT_NE(text.find("alone"), std::string::npos) << text;
        EXPECT_EQ(status_of([&] { (void)alone.provider().open_context(); }), Status::invalid);
    }
    Device shared = one.attach("accel0", AttachMode::shared);
    EXPECT_EQ(status_of([&] { (void)two.attach("accel0"); }, &text), Status::busy);
    EXPECT_NE(text.find("pid " + std::to_string(::getpid())), std::string::npos) << text;
    EXPECT_EQ(status_of([&] { shared.reset(); }, &text), Status::denied);
    EXPECT_EQ(status_of([&] { shared.config_write32(0x10, 0); }, &text), Status::denied);
    auto c = pair.initiator.client();
    EXPECT_EQ(status_of([&] { (void)c.call("detach", {{"name", "accel0"}}); }), Status::busy);
    EXPECT_EQ(status_of([&] { (void)c.call("attach", {{"name", "accel0"}, {"persistent", true}}); }), Status::busy);
}

TEST_F(SharingTest, APersistentAttachmentIsSharedAndGivenBack) {
    auto c = pair.initiator.client();
    (void)c.call("attach", {{"name", "accel0"}, {"persistent", true}, {"provider", "daemon"}});
    for (int i = 0; i < 3; ++i) {
        Fabric one = open_fabric(socket()), two = open_fabric(socket());
        {
            Device a = one.attach("accel0", AttachMode::shared), b = two.attach("accel0", AttachMode::shared);
            ShareWork wa(a, 1), wb(b, 2);
            wa.round();
            wb.round();
            EXPECT_EQ(c.call("attach", {{"name", "accel0"}, {"persistent", true}}).at("adopted"), true);
        }
        Device alone = one.attach("accel0");
        ShareWork(alone, 3).round();
        EXPECT_EQ(status_of([&] { (void)two.attach("accel0", AttachMode::shared); }), Status::busy);
        alone.detach();
    }
    EXPECT_TRUE(attachment().at("holders").empty());
    EXPECT_EQ(attachment().at("persistent"), true);
}

// Nothing is written to a device that is no accelerator, and a persistent attachment of it stays what it is.
TEST(SharingOther, OnlyAcceleratorsAreShared) {
    Pair pair{"[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"1M\"\n"};
    pair.wait_for_functions(1);
    Fabric fabric = open_fabric(pair.initiator.socket());
    auto c = pair.initiator.client();
    std::string text;
    EXPECT_EQ(status_of([&] { (void)fabric.attach("nvme0", AttachMode::shared); }, &text), Status::unsupported);
    EXPECT_NE(text.find("12.00.00"), std::string::npos) << text;
    EXPECT_TRUE(comes_true([&] { return c.call("stats").at("attachments").empty(); }));
    (void)c.call("attach", {{"name", "nvme0"}, {"persistent", true}, {"provider", "daemon"}});
    EXPECT_EQ(status_of([&] { (void)fabric.attach("nvme0", AttachMode::shared); }), Status::unsupported);
    Device device = fabric.attach("nvme0");
    device.enable();
    EXPECT_NE(device.read32(0, 8), 0xffffffffU);
}

TEST_F(SharingTest, OnlyByTheDaemon) {
    std::string text;
    {
        FabricOptions o;
        o.provider = ProviderKind::embedded;
        o.port = "udp:";
        o.peer = "127.0.0.1:" + std::to_string(pair.port);
        Fabric embedded = Fabric::open(o);
        EXPECT_EQ(status_of([&] { (void)embedded.attach("accel0", AttachMode::shared); }, &text), Status::unsupported);
        EXPECT_NE(text.find("ProviderKind::daemon"), std::string::npos) << text;
    }
    auto c = pair.initiator.client();
    EXPECT_EQ(status_of([&] {
                  (void)c.call("attach", {{"name", "accel0"}, {"shared", true}, {"persistent", true}});
              }),
              Status::invalid);
    EXPECT_EQ(status_of(
                  [&] {
                      (void)c.call("attach", {{"name", "nothing"}, {"shared", true}});
                  },
                  &text),
              Status::not_found);
    EXPECT_NE(text.find("accel0"), std::string::npos) << text;
}

}  // namespace
}  // namespace farlane::test
