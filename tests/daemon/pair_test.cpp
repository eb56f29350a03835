// SPDX-License-Identifier: Apache-2.0
// Receives: two farlaned processes over udp on loopback. Hands on: proof of list, attach, holders,
// detach, events, BAR access, DMA and interrupts through the daemon provider. Owns: processes.
#include <algorithm>
#include <csignal>
#include <future>
#include <numeric>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <farlane/accel.hpp>
#include <farlane/fabric.hpp>

#include "daemon/process.hpp"
#include "failures/row.hpp"

namespace farlane::test {
namespace {

constexpr const char* kBoth =
    "[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nmemory = \"64M\"\nthreads = 1\n"
    "[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"1M\"\n";

Fabric open(const Daemon& d) {
    FabricOptions o;
    o.socket = d.socket();
    return Fabric::open(o);
}

Status refused(control::ControlClient& c, const std::string& verb, const control::Json& args,
               control::Json* extra = nullptr) {
    try {
        (void)c.call(verb, args);
        return Status::ok;
    } catch (const control::CallError& e) {
        if (extra != nullptr) *extra = e.extra();
        return e.status();
    }
}

struct PairTest : testing::Test {
    Pair pair{kBoth};
    PairTest() { pair.wait_for_functions(2); }
    void TearDown() override {
        EXPECT_EQ(pair.initiator.stop(), 0) << pair.initiator.process().output();
        EXPECT_EQ(pair.target.stop(), 0) << pair.target.process().output();
    }
};

TEST_F(PairTest, ListAndShow) {
    auto c = pair.initiator.client();
    const auto shown = c.call("show", {{"name", "accel0"}});
    EXPECT_EQ(shown.at("config_status"), "ok");
    ASSERT_EQ(shown.at("config").get<std::string>().size(), 8192U);
    EXPECT_EQ(shown.at("function").at("state"), "free") << "attached for the look only";
    const auto vendor = shown.at("function").at("vendor_id").get<unsigned>();
    char expected[16];
    std::snprintf(expected, sizeof expected, "%02x%02x", vendor & 0xff, vendor >> 8 & 0xff);
    EXPECT_EQ(shown.at("config").get<std::string>().substr(0, 4), expected);
    const auto box = c.call("show", {{"name", "box/nvme0"}, {"attach", false}});
    EXPECT_TRUE(box.at("config").is_null());
    control::Json extra;
    EXPECT_EQ(refused(c, "show", {{"name", "nothing"}}, &extra), Status::not_found);
    EXPECT_NE(extra.at("message").get<std::string>().find("accel0"), std::string::npos) << "lists what there is";
    EXPECT_EQ(open(pair.initiator).list().size(), 2U);
}

TEST_F(PairTest, TargetsShowWhoUsesTheirAccelerators) {
    auto c = pair.target.client();
    const auto accelerator = [&] { return c.call("show", {{"name", "accel0"}}).at("export").at("accelerator"); };
    EXPECT_EQ(accelerator().at("executor"), "cpu");
    EXPECT_FALSE(accelerator().at("device_name").get<std::string>().empty());
    EXPECT_TRUE(accelerator().at("contexts_used").empty());
    Fabric fabric = open(pair.initiator);
    Device device = fabric.attach("accel0");
    {
        accel::Context one(device), two(device);
        const auto second = two.create_stream();
        const auto x = two.allocate<std::byte>(8 << 20);
        two.stream().fill(x, std::byte{1});
        one.synchronize();
        two.synchronize();
        const auto shown = c.call("show", {{"name", "box/accel0"}});
        EXPECT_EQ(shown.at("function").at("state"), "attached");
        EXPECT_TRUE(shown.at("config").is_null());
        const auto use = shown.at("export").at("accelerator");
        EXPECT_GE(use.at("memory_used_bytes"), 8 << 20);
        ASSERT_EQ(use.at("contexts_used").size(), 2U) << use.dump();
        EXPECT_EQ(use.at("contexts_used")[1].at("queue_pairs"), 2);
        EXPECT_EQ(use.at("contexts_used")[1].at("memory_used_bytes"), 8 << 20);
        EXPECT_GE(use.at("units"), 1);
        EXPECT_TRUE(use.at("energy_uj").is_null() || use.at("energy_uj").is_number());
    }
    EXPECT_TRUE(accelerator().at("contexts_used").empty());
    const auto exports = c.call("list").at("exports");
    ASSERT_EQ(exports.size(), 2U);
    for (const auto& e : exports) EXPECT_EQ(e.at("accelerator").is_null(), e.at("kind") != "accel") << e.dump();
    control::Json extra;
    EXPECT_NE(refused(c, "show", {{"name", "nothing"}}, &extra), Status::ok);
    EXPECT_NE(extra.at("message").get<std::string>().find("this host exports accel0, nvme0"), std::string::npos)
        << extra;
    auto at_initiator = pair.initiator.client();
    EXPECT_TRUE(at_initiator.call("list").at("exports").empty());
    EXPECT_FALSE(at_initiator.call("show", {{"name", "nvme0"}}).contains("export"));
}

// One answer is of one device.
TEST_F(PairTest, ShowDoesNotMixDevicesOfOneName) {
    std::string text = read_file(pair.initiator.config());
    text.insert(text.find("[[peer]]"), "listen = true\n");
    text += "[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"2M\"\n";
    write_file(pair.initiator.config(), text);
    ASSERT_EQ(pair.initiator.stop(), 0);
    pair.initiator.start();
    pair.wait_for_functions(2);
    auto c = pair.initiator.client();
    const auto theirs = c.call("show", {{"name", "nvme0"}});
    EXPECT_EQ(theirs.at("function").at("target"), "box");
    EXPECT_EQ(theirs.at("config_status"), "ok");
    EXPECT_FALSE(theirs.contains("export")) << theirs.at("export");
    EXPECT_EQ(theirs.at("exported_here"), "laptop/nvme0");
    const auto own = c.call("show", {{"name", "laptop/nvme0"}});
    EXPECT_EQ(own.at("function").at("target"), "laptop");
    EXPECT_EQ(own.at("export").at("target"), "laptop");
    EXPECT_TRUE(own.at("config").is_null());
    EXPECT_FALSE(own.contains("exported_here"));
    const auto full = c.call("show", {{"name", "box/nvme0"}});
    EXPECT_FALSE(full.contains("export") || full.contains("exported_here")) << full.dump();
}

TEST_F(PairTest, PersistentAttachmentIsAdoptedAndGivenBack) {
    auto c = pair.initiator.client();
    EXPECT_EQ(c.call("attach", {{"name", "nvme0"}, {"persistent", true}}).at("adopted"), false);
    EXPECT_EQ(c.call("show", {{"name", "nvme0"}}).at("config_status"), "ok");
    {
        Fabric fabric = open(pair.initiator);
        Device device = fabric.attach("nvme0");
        device.enable();
        EXPECT_NE(device.read32(0, 8), 0xffffffffU) << "version register";
        control::Json extra;
        EXPECT_EQ(refused(c, "detach", {{"name", "nvme0"}}, &extra), Status::busy);
        ASSERT_EQ(extra.at("holders").size(), 1U);
        EXPECT_EQ(extra.at("holders")[0].at("pid"), ::getpid());
        EXPECT_EQ(refused(c, "attach", {{"name", "nvme0"}}), Status::busy);
        EXPECT_EQ(c.call("show", {{"name", "nvme0"}}).at("config_status"), "ok") << "beside the application";
    }
    const auto list = c.call("list").at("functions");
    const auto nvme = std::ranges::find_if(list, [](const auto& f) { return f.at("name") == "nvme0"; });
    EXPECT_TRUE(nvme->at("attachment").at("holders").empty());
    EXPECT_EQ(c.call("attach", {{"name", "nvme0"}}).at("adopted"), true);
    EXPECT_EQ(refused(c, "detach", {{"name", "nvme0"}, {"force", true}}), Status::ok);
    EXPECT_EQ(refused(c, "detach", {{"name", "nvme0"}}), Status::not_found);
}

TEST_F(PairTest, ForcedDetachIsSurpriseRemoval) {
    Fabric fabric = open(pair.initiator);
    Device device = fabric.attach("accel0");
    device.enable();
    device.write32(2, 0, 7);
    EXPECT_EQ(device.read32(2, 0), 7U);
    auto c = pair.initiator.client();
    EXPECT_EQ(refused(c, "detach", {{"name", "accel0"}, {"force", true}}), Status::ok);
    try {
        for (int i = 0; i < 10000; ++i) (void)device.read32(2, 0);
        FAIL() << "the device is gone";
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::device_lost) << e.what();
    }
    EXPECT_THROW(device.write32(2, 0, 1), Error);
    device = Device();
    device = fabric.attach("accel0");  // and it can be attached again
    device.enable();
    EXPECT_NE(device.config_read32(0), 0xffffffffU);
}

TEST_F(PairTest, EventsArrive) {
    auto c = pair.initiator.client();
    c.subscribe();
    (void)c.call("attach", {{"name", "nvme0"}});
    bool seen = false;
    while (const auto e = c.next_event(60s))
        if ((seen = e->at("kind") == "attached" && e->at("function") == "nvme0")) break;
    EXPECT_TRUE(seen);
}

TEST_F(PairTest, BulkAccessAndBounds) {
    Fabric fabric = open(pair.initiator);
    Device device = fabric.attach("accel0");
    device.enable();
    std::vector<std::byte> data(300'000), back(data.size());
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7 + i / 4096);
    device.write(2, 4097, data);
    device.read(2, 4097, back);
    EXPECT_EQ(back, data);
    DmaBuffer buffer = device.domain().allocate(data.size());
    std::ranges::copy(data, buffer.data());
    device.write_from(2, 1 << 20, buffer, 0, data.size());
    device.flush();
    std::ranges::fill(back, std::byte{0});
    device.read(2, 1 << 20, back);
    EXPECT_EQ(back, data);
    EXPECT_THROW(device.write32(2, 64 << 20, 1), Error);
    EXPECT_THROW((void)device.read64(7, 0), Error);
    EXPECT_THROW((void)device.domain().map(buffer, 1, buffer.size(), DmaDirection::to_device), Error);
    const auto stats = pair.initiator.client().call("stats");
    EXPECT_EQ(stats.at("attachments")[0].at("channel").at("malformed"), 0);
}

// Everything at once: commands, DMA both ways, completion queue in host memory, interrupts.
TEST_F(PairTest, AcceleratorWorks) {
    Fabric fabric = open(pair.initiator);
    Device device = fabric.attach("accel0");
    {
        accel::Context context(device);
        constexpr std::size_t kCount = 50'000;
        std::vector<float> x(kCount), y(kCount, 1.0F), out(kCount);
        std::iota(x.begin(), x.end(), 0.0F);
        auto dx = context.allocate<float>(kCount);
        auto dy = context.allocate<float>(kCount);
        context.stream().upload(dx, std::span<const float>(x));
        context.stream().upload(dy, std::span<const float>(y));
        context.stream().launch(accel::Axpy{2.0F, accel::View<const float>(dx.view()), dy.view()});
        context.stream().download(dy, std::span<float>(out));
        for (std::size_t i = 0; i < kCount; ++i) ASSERT_EQ(out[i], 2.0F * x[i] + 1.0F) << i;
    }
    const auto stats = pair.initiator.client().call("stats").at("attachments")[0];
    EXPECT_GT(stats.at("dma_writes").get<std::uint64_t>(), 0U);
    EXPECT_EQ(stats.at("dma_refused"), 0);
    device.detach();
}

TEST_F(PairTest, DoctorAndTop) {
    auto c = pair.initiator.client();
    const auto doctor = c.call("doctor");
    EXPECT_EQ(doctor.at("peers")[0].at("state"), "open");
    for (const auto& row : doctor.at("checks")) EXPECT_NE(row.at("status"), "fail") << row.dump();
    (void)c.call("attach", {{"name", "nvme0"}, {"persistent", true}});
    EXPECT_EQ(c.call("top").at("rows").size(), 1U);
    EXPECT_EQ(pair.target.client().call("top").at("rows").size(), 2U);
    const auto sessions = c.call("stats").at("sessions");
    ASSERT_EQ(sessions.size(), 1U);
    EXPECT_EQ(sessions[0].at("drops").at("frame_crc"), 0);
    (void)c.call("detach", {{"name", "nvme0"}});
}

void send_to(unsigned port, const std::string& bytes) {
    const control::UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(static_cast<std::uint16_t>(port));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::sendto(fd.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&a), sizeof a),
              static_cast<ssize_t>(bytes.size()));
}

TEST_F(PairTest, StatsNameThePeerAndCountGarbage) {
    auto c = pair.target.client();
    const auto session = c.call("stats").at("sessions").at(0);
    EXPECT_EQ(session.at("role"), "target");
    EXPECT_TRUE(session.at("address").get<std::string>().starts_with("127.0.0.1:")) << session.at("address");
    send_to(pair.port, "short");
    send_to(pair.port, std::string(100, 'x'));
    const auto garbage = [&] {
        const auto drops = c.call("stats").at("ports").at(0).at("drops");
        return drops.at("frame_short").get<int>() + drops.at("frame_version").get<int>();
    };
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (garbage() < 2 && std::chrono::steady_clock::now() < until) ::usleep(5000);
    EXPECT_EQ(garbage(), 2);
    EXPECT_EQ(c.call("stats").at("sessions").size(), 1U) << "no session for a stranger";
}

// Attach, work and detach in a row leave nothing that an operator would have to look at.
TEST_F(PairTest, HarmlessDropsHaveNamesOfTheirOwn) {
    for (int i = 0; i < 5; ++i) {
        Fabric fabric = open(pair.initiator);
        Device device = fabric.attach("accel0");
        device.enable();
        for (std::uint32_t n = 0; n < 200; ++n) device.write32(2, n * 4, n);
        EXPECT_EQ(device.read32(2, 0), 0U);
        device.detach();
    }
    for (const Daemon* d : {&pair.initiator, &pair.target}) {
        const auto drops = d->client().call("stats").at("sessions").at(0).at("drops");
        for (const auto& [reason, count] : drops.items()) {
            if (reason == "late_after_detach" || reason == "retransmit_duplicate" || reason == "credit_backwards")
                continue;
            EXPECT_EQ(count, 0) << reason;
        }
    }
}

// The question is for the target: who does not answer is named, and it is not this host's farlaned.
TEST_F(PairTest, AttachAtASilentTargetIsUnreachable) {
    pair.target.process().signal(SIGSTOP);
    auto c = pair.initiator.client();
    for (const int wait_ms : {50, 2000}) {  // before and after its silence is noticed
        control::Json extra;
        const Stopwatch watch;
        EXPECT_EQ(refused(c, "attach", {{"name", "nvme0"}, {"timeout_ms", wait_ms}}, &extra), Status::unreachable);
        row("attach_at_a_silent_target_" + std::to_string(wait_ms) + "ms", watch.took(), Milliseconds(wait_ms + 100));
        const std::string message = extra.at("message");
        EXPECT_NE(message.find("target"), std::string::npos) << message;
        EXPECT_NE(message.find(std::to_string(pair.port)), std::string::npos) << message;
    }
    pair.target.process().signal(SIGCONT);
    pair.wait_for_functions(2);
    EXPECT_EQ(refused(c, "attach", {{"name", "nvme0"}}), Status::ok);
}

// Who asks says how long it is worth waiting: a program with a time limit hears why before that is over.
TEST_F(PairTest, ListWaitsAsLongAsItIsTold) {
    pair.target.process().signal(SIGSTOP);
    auto patient = std::async(std::launch::async, [this] {
        auto c = pair.initiator.client();
        return c.call("list", {{"timeout_ms", 600'000}}, 600s);
    });
    auto c = pair.initiator.client();
    for (const char* verb : {"list", "show"}) {
        control::Json args = {{"timeout_ms", 1}}, extra;
        if (std::string_view(verb) == "show") args["name"] = "nvme0";
        const Stopwatch watch;
        EXPECT_EQ(refused(c, verb, args, &extra), Status::unreachable) << verb;
        row("silent_target_" + std::string(verb) + "_1ms", watch.took(), Milliseconds(1 + 100));
        EXPECT_NE(extra.at("message").get<std::string>().find("no target answers"), std::string::npos) << verb;
    }
    EXPECT_EQ(refused(c, "list", {{"timeout_ms", -1}}), Status::invalid);
    pair.target.process().signal(SIGCONT);
    EXPECT_EQ(patient.get().at("functions").size(), 2U);
}

TEST_F(PairTest, GoodbyeIsNoError) {
    auto c = pair.initiator.client();
    c.subscribe();
    EXPECT_EQ(pair.target.stop(), 0);
    std::string detail;
    while (const auto e = c.next_event(60s)) {
        if (e->at("kind") != "link_down") continue;
        detail = e->at("detail");
        break;
    }
    EXPECT_EQ(detail, "the target said goodbye");
    control::Json extra;
    EXPECT_EQ(refused(c, "attach", control::Json::object(), &extra), Status::invalid);
    EXPECT_EQ(extra.at("message"), "'name' is missing") << "said once";
    pair.target.start();
}

TEST_F(PairTest, DeadTargetIsNamed) {
    Pair lonely("");
    lonely.target.process().kill();
    auto c = lonely.initiator.client();
    control::Json extra;
    EXPECT_EQ(refused(c, "list", control::Json::object(), &extra), Status::unreachable);
    EXPECT_NE(extra.at("message").get<std::string>().find(std::to_string(lonely.port)), std::string::npos);
}

}  // namespace
}  // namespace farlane::test
