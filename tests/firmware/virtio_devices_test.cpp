// SPDX-License-Identifier: Apache-2.0
// Receives: frames, bytes and buffers of drivers of virtio network, console and entropy functions. Hands on: whether
// they come out at the other end. Owns: nothing.
#include <filesystem>
#include <fstream>
#include <set>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/if_ether.h>

#include "firmware/virtio_disk.hpp"

namespace farlane::firmware::test {
namespace {

using Options = std::vector<std::pair<std::string, std::string>>;

std::string check(const char* kind, Options o) {
    const auto r = backend::check_device({"d", kind, std::move(o)});
    return r ? std::string("fine") : r.failure().detail;
}

// --- net

/// A network driver with its buffers.
struct NetHost {
    NetHost(const char* name, Options options, backend::Memory& memory, const HostFaults& faults = {})
        : rig("virtio-net", std::move(options), faults, name, &memory) {
        up();
    }
    void up() {
        driver.emplace(rig.host);
        for (unsigned i = 0; i < kBuffers; ++i) offer(i);
        driver->queue(0).kick();
        rig.host.settle();
    }
    void offer(unsigned i) {
        const VirtioBuffer in{receive.iova + i * 2048u, 2048};
        const auto head = driver->queue(0).add({}, {&in, 1});
        ASSERT_TRUE(head.has_value());
        buffer_of[*head] = i;
    }
    void send(std::span<const std::byte> frame) {
        const unsigned slot = next_slot++ % kBuffers;
        auto to = transmit.bytes.subspan(slot * std::size_t{2048}, 12 + frame.size());
        std::memset(to.data(), 0, 12);
        std::memcpy(to.data() + 12, frame.data(), frame.size());
        const VirtioBuffer out[] = {{transmit.iova + slot * 2048u, 12},
                                    {transmit.iova + slot * 2048u + 12, static_cast<std::uint32_t>(frame.size())}};
        while (driver->queue(1).poll()) {
        }
        ASSERT_TRUE(driver->queue(1).add(out, {}).has_value());
        driver->queue(1).kick();
    }
    std::optional<std::vector<std::byte>> poll() {
        const auto used = driver->queue(0).poll();
        if (!used) return std::nullopt;
        const unsigned i = buffer_of[used->head];
        const auto bytes = receive.bytes.subspan(i * std::size_t{2048}, used->bytes);
        EXPECT_EQ(bytes[10], std::byte{1});  // num_buffers
        std::vector<std::byte> frame(bytes.begin() + 12, bytes.end());
        offer(i);
        driver->queue(0).kick();
        return frame;
    }

    static constexpr unsigned kBuffers = 128;
    VirtioRig rig;
    nvme_user::Memory receive = rig.host.allocate(kBuffers * std::size_t{2048});
    nvme_user::Memory transmit = rig.host.allocate(kBuffers * std::size_t{2048});
    std::optional<VirtioDriver> driver;
    std::map<std::uint16_t, unsigned> buffer_of;
    unsigned next_slot = 0;
};

std::vector<std::byte> frame_of(unsigned number, std::size_t bytes) {
    std::vector<std::byte> f(bytes);
    fill_random(f, number);
    std::memcpy(f.data() + 14, &number, sizeof number);
    return f;
}

struct VirtioNet : testing::Test {
    std::unique_ptr<backend::Memory> memory = backend::process_memory();
    NetHost a{"neta", {{"peer", "netb"}, {"mac", "52:54:00:00:00:01"}}, *memory};
    NetHost b{"netb", {}, *memory};
    void turn() {
        a.rig.host.step();
        b.rig.host.step();
    }
};

TEST_F(VirtioNet, SaysWhatItIs) {
    EXPECT_EQ(a.rig.host.config_read32(0), 0x10411af4u);
    EXPECT_EQ(a.driver->config32(0), 0x00005452u);
    EXPECT_EQ(a.driver->config32(4), 0x00010100u);  // rest of the address, link up
    EXPECT_EQ(a.driver->config32(8), 1500u << 16 | 1);
    EXPECT_EQ(b.driver->config32(0) & 0xff, 0x02u);
}

TEST_F(VirtioNet, FramesArriveInOrderBothWays) {
    std::mt19937 random(1);
    unsigned sent_a = 0, sent_b = 0, got_a = 0, got_b = 0;
    const auto bytes = [](unsigned n) { return 18 + n * 37 % 1497; };
    for (unsigned turns = 0; got_a < 500 || got_b < 500; ++turns) {
        ASSERT_LT(turns, 200000u);
        if (sent_a < 500 && sent_a - got_b < 60) a.send(frame_of(sent_a, bytes(sent_a))), ++sent_a;
        if (sent_b < 500 && sent_b - got_a < 60 && random() % 2 == 0)
            b.send(frame_of(1000 + sent_b, bytes(sent_b))), ++sent_b;
        turn();
        while (const auto f = b.poll()) {
            ASSERT_TRUE(*f == frame_of(got_b, bytes(got_b)));
            ++got_b;
        }
        while (const auto f = a.poll()) {
            ASSERT_TRUE(*f == frame_of(1000 + got_a, bytes(got_a)));
            ++got_a;
        }
    }
    EXPECT_EQ(a.rig.counter("net_frames_sent"), 500u);
    EXPECT_EQ(a.rig.counter("net_dropped_sending"), 0u);
    EXPECT_EQ(b.rig.counter("net_dropped_receiving"), 0u);
}

TEST_F(VirtioNet, FramesOfNoUseAreDropped) {
    a.send(frame_of(1, 18));
    a.send(std::vector<std::byte>(13));
    a.send(std::vector<std::byte>(1519));
    a.transmit.bytes[100 * std::size_t{2048}] = std::byte{1};
    const VirtioBuffer offload{a.transmit.iova + 100 * 2048, 100};  // wants a checksum
    ASSERT_TRUE(a.driver->queue(1).add({&offload, 1}, {}));
    const VirtioBuffer nowhere[] = {{a.transmit.iova, 12}, {0x2000, 100}};
    ASSERT_TRUE(a.driver->queue(1).add(nowhere, {}));
    a.send(frame_of(2, 1518));
    for (unsigned i = 0; i < 200; ++i) turn();
    EXPECT_TRUE(b.poll() == frame_of(1, 18));
    EXPECT_TRUE(b.poll() == frame_of(2, 1518));
    EXPECT_FALSE(b.poll().has_value());
    EXPECT_EQ(a.rig.counter("net_dropped_sending"), 4u);
    EXPECT_EQ(a.driver->status() & device_status::kNeedsReset, 0u);
}

TEST_F(VirtioNet, AReceiverWithoutBuffersHoldsNobodyBack) {
    b.driver.emplace(b.rig.host);  // no buffers
    for (unsigned i = 0; i < 1000; ++i) {
        a.send(frame_of(i, 64));
        for (unsigned n = 0; n < 20; ++n) turn();
    }
    a.rig.host.settle();
    EXPECT_EQ(a.rig.counter("net_frames_sent"), 1000u);
    EXPECT_GE(b.rig.counter("net_dropped_receiving"), 700u);
    a.rig.host.settle();
    b.rig.host.settle();
    b.up();
    a.send(frame_of(5, 64));
    bool arrived = false;
    for (unsigned i = 0; i < 200; ++i) {
        turn();
        while (const auto f = b.poll()) arrived = *f == frame_of(5, 64);
    }
    EXPECT_TRUE(arrived);
}

TEST_F(VirtioNet, TheLinkFollowsTheOtherEnd) {
    a.rig.host.settle();  // it came up when both were there
    a.rig.host.interrupts.clear();
    b.rig.host.detach();
    b.rig.device.reset();
    EXPECT_EQ(a.driver->config32(4) >> 16, 0u);
    a.rig.host.settle();
    EXPECT_EQ(a.rig.host.interrupts[0], 1u);
    a.send(frame_of(1, 64));
    a.rig.host.settle();
    EXPECT_EQ(a.rig.counter("net_dropped_sending"), 1u);
    b.rig.make();
    b.rig.host.attach(*b.rig.device);
    EXPECT_EQ(a.driver->config32(4) >> 16, 1u);
    // Somebody else who wants the same end stays alone
    NetHost c("netc", {{"peer", "neta"}}, *memory);
    EXPECT_EQ(c.driver->config32(4) >> 16, 0u);
    // And so does one of another daemon
    const auto elsewhere = backend::process_memory();
    NetHost d("netd", {{"peer", "netc"}}, *elsewhere);
    EXPECT_EQ(d.driver->config32(4) >> 16, 0u);
}

// A frame that has left is not sent again, whenever the daemon is killed. Both functions live in one daemon.
TEST_F(VirtioNet, NoFrameIsSentTwice) {
    std::mt19937 random(7);
    unsigned sent = 0;
    std::set<unsigned> got;
    unsigned until_kill = 40;
    a.rig.watch_points([&](const char*) {
        if (until_kill-- != 0) return;
        until_kill = 5 + static_cast<unsigned>(random() % 40);
        a.rig.host.kill_here();
    });
    for (unsigned turns = 0; turns < 20000; ++turns) {
        if (sent < 400 && turns % 20 == 0) a.send(frame_of(sent, 64)), ++sent;
        turn();
        while (const auto f = b.poll()) {
            unsigned number = 0;
            std::memcpy(&number, f->data() + 14, sizeof number);
            EXPECT_TRUE(got.insert(number).second) << "frame " << number << " came twice";
        }
    }
    EXPECT_GT(a.rig.lives, 10u);
    EXPECT_EQ(got.size(), 400u);
}

TEST(VirtioNetOptions, AreChecked) {
    EXPECT_EQ(check("virtio-net", {}), "fine");
    EXPECT_EQ(check("virtio-net", {{"peer", "x"}, {"mac", "02:00:00:00:00:0f"}, {"mtu", "9000"}}), "fine");
    EXPECT_EQ(check("virtio-net", {{"tap", "tap0"}}), "fine");
    EXPECT_NE(check("virtio-net", {{"tap", "tap0"}, {"peer", "x"}}).find("one other end"), std::string::npos);
    EXPECT_NE(check("virtio-net", {{"peer", "d"}}).find("itself"), std::string::npos);
    EXPECT_NE(check("virtio-net", {{"tap", "../x"}}).find("interface"), std::string::npos);
    EXPECT_NE(check("virtio-net", {{"tap", "sixteen-letters-"}}).find("1 to 15"), std::string::npos);
    EXPECT_NE(check("virtio-net", {{"mtu", "100"}}).find("576"), std::string::npos);
    for (const char* mac :
         {"52:54:00:00:00", "52:54:00:00:00:0g", "01:00:00:00:00:01", "00:00:00:00:00:00", "52-54-00-00-00-01"})
        EXPECT_NE(check("virtio-net", {{"mac", mac}}).find("52:54:00:12:34:56"), std::string::npos) << mac;
}

// A raw socket on the tap interface is the host's side.
TEST(VirtioNetTap, ExchangesFramesWithTheHost) {
    const auto memory = backend::process_memory();
    const std::string name = "fltap" + std::to_string(::getpid());
    if (const auto made = backend::make_device({"n", "virtio-net", {{"tap", name}}}, *memory); !made) {
        EXPECT_NE(made.failure().detail.find("ip tuntap add"), std::string::npos) << made.failure().detail;
        GTEST_SKIP() << made.failure().detail;
    }
    NetHost n("n", {{"tap", name}}, *memory);
    const int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    if (fd < 0 || ::ioctl(fd, SIOCGIFINDEX, &request) != 0) GTEST_SKIP() << "no raw sockets here";
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = request.ifr_ifindex;
    request.ifr_flags = IFF_UP;
    ASSERT_EQ(::ioctl(fd, SIOCSIFFLAGS, &request), 0);
    ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    auto frame = frame_of(3, 200);
    frame[0] = std::byte{2};
    frame[12] = std::byte{0x88};  // an EtherType for experiments
    frame[13] = std::byte{0xb5};
    n.send(frame);
    n.rig.host.settle();
    EXPECT_EQ(n.rig.counter("net_frames_sent"), 1u);
    std::vector<std::byte> got(2000);
    do {  // the host may say something of its own
        const ssize_t bytes = ::recv(fd, got.data(), 2000, 0);
        ASSERT_GT(bytes, 0);
        got.resize(static_cast<std::size_t>(bytes));
    } while (got != frame && (got.resize(2000), true));
    frame[20] = std::byte{77};
    ASSERT_EQ(::send(fd, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
    for (std::optional<std::vector<std::byte>> back; back != frame; back = n.poll()) n.rig.host.step();
    ::close(fd);
}

// --- rng

TEST(VirtioRng, GivesRandomBytes) {
    VirtioRig rig("virtio-rng", {});
    EXPECT_EQ(rig.host.config_read32(0), 0x10441af4u);
    VirtioDriver driver(rig.host);
    const auto m = rig.host.allocate(16384);
    const VirtioBuffer in[] = {{m.iova, 64}, {m.iova + 100, 900}};
    std::set<std::vector<std::byte>> seen;
    for (unsigned i = 0; i < 50; ++i) {
        ASSERT_TRUE(driver.queue(0).add({}, in));
        driver.queue(0).kick();
        ASSERT_EQ(driver.queue(0).wait().bytes, 964u);
        EXPECT_TRUE(seen.emplace(m.bytes.begin(), m.bytes.begin() + 64).second);
        EXPECT_TRUE(seen.emplace(m.bytes.begin() + 100, m.bytes.begin() + 164).second);
    }
    const VirtioBuffer much{m.iova, 16384};
    ASSERT_TRUE(driver.queue(0).add({}, {&much, 1}));
    driver.queue(0).kick();
    EXPECT_EQ(driver.queue(0).wait().bytes, 4096u);
    EXPECT_NE(check("virtio-rng", {{"size", "1"}}).find("does not exist"), std::string::npos);
    // A buffer to read from is no buffer of this device
    ASSERT_TRUE(driver.queue(0).add({&much, 1}, {}));
    driver.queue(0).kick();
    rig.host.settle();
    EXPECT_NE(driver.status() & device_status::kNeedsReset, 0u);
}

// --- console

struct ConsoleHost {
    explicit ConsoleHost(Options options) : rig("virtio-console", std::move(options)) {
        driver.emplace(rig.host);
        const VirtioBuffer in{memory.iova, 1024};
        EXPECT_TRUE(driver->queue(0).add({}, {&in, 1}));
        driver->queue(0).kick();
    }
    void send(const std::string& text) {
        std::memcpy(memory.bytes.data() + 4096, text.data(), text.size());
        const VirtioBuffer out{memory.iova + 4096, static_cast<std::uint32_t>(text.size())};
        ASSERT_TRUE(driver->queue(1).add({&out, 1}, {}));
        driver->queue(1).kick();
        (void)driver->queue(1).wait();
    }
    std::string receive() {
        const auto used = driver->queue(0).wait();
        std::string text(reinterpret_cast<const char*>(memory.bytes.data()), used.bytes);
        const VirtioBuffer in{memory.iova, 1024};
        EXPECT_TRUE(driver->queue(0).add({}, {&in, 1}));
        driver->queue(0).kick();
        return text;
    }
    VirtioRig rig;
    nvme_user::Memory memory = rig.host.allocate(65536);
    std::optional<VirtioDriver> driver;
};

TEST(VirtioConsole, EchoesWithoutALine) {
    ConsoleHost c({});
    EXPECT_EQ(c.rig.host.config_read32(0), 0x10431af4u);
    c.send("hello");
    EXPECT_EQ(c.receive(), "hello");
    ASSERT_TRUE(c.rig.kill_and_restore());
    std::string text, all;
    for (unsigned i = 0; i < 3000; ++i) text += static_cast<char>('a' + i % 26);
    c.send(text);
    while (all.size() < text.size()) all += c.receive();
    EXPECT_EQ(all, text);
}

TEST(VirtioConsole, WritesToAFile) {
    const std::string path = testing::TempDir() + "virtio-console-" + std::to_string(::getpid());
    {
        ConsoleHost c({{"line", "file:" + path}});
        c.send("first line\n");
        c.send("second line\n");
        c.send(std::string(20000, 'x'));
        // What was taken is written by the time the line is closed, at the latest
        std::string found;
        while (found.size() < 23 + 20000) {
            std::ifstream in(path);
            found.assign(std::istreambuf_iterator<char>(in), {});
            c.rig.host.step();
        }
        EXPECT_EQ(found, "first line\nsecond line\n" + std::string(20000, 'x'));
    }
    std::filesystem::remove(path);
}

TEST(VirtioConsole, TalksThroughASocket) {
    const std::string path = testing::TempDir() + "virtio-console-" + std::to_string(::getpid()) + ".sock";
    ConsoleHost c({{"line", "unix:" + path}});
    c.send("nobody hears this");
    EXPECT_EQ(c.rig.counter("console_bytes_unheard"), 17u);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::send(fd, "ping", 4, MSG_NOSIGNAL), 4);
    EXPECT_EQ(c.receive(), "ping");
    c.send("pong");
    std::array<char, 8> got{};
    ASSERT_EQ(::recv(fd, got.data(), got.size(), 0), 4);
    EXPECT_STREQ(got.data(), "pong");
    ::close(fd);
}

TEST(VirtioConsole, OptionsAreChecked) {
    EXPECT_EQ(check("virtio-console", {}), "fine");
    EXPECT_EQ(check("virtio-console", {{"line", "echo"}}), "fine");
    EXPECT_EQ(check("virtio-console", {{"line", "unix:/run/x"}}), "fine");
    EXPECT_NE(check("virtio-console", {{"line", "unix:x"}}).find("absolute"), std::string::npos);
    EXPECT_NE(check("virtio-console", {{"line", "tty"}}).find("echo, unix:PATH"), std::string::npos);
}

}  // namespace
}  // namespace farlane::firmware::test
