// SPDX-License-Identifier: Apache-2.0
// The whole emulator: virtual NICs, native daemons, switches, control socket, capture; and what a
// damaged QEMU or a hostile client does to it.
#include "network.hpp"

#include <fstream>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "control.hpp"
#include "native_host.hpp"
#include "testbed/network_fixture.hpp"

namespace farlane::link::test {
namespace {

using nlohmann::json;

// A daemon's UDP socket on this machine.
class Daemon {
public:
    Daemon() : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
        socklen_t size = sizeof at;
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size);
        port_ = ntohs(at.sin_port);
    }
    ~Daemon() { ::close(fd_); }
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
    [[nodiscard]] std::optional<std::string> next() {
        char bytes[65536];
        socklen_t size = sizeof from_;
        const ssize_t got =
            ::recvfrom(fd_, bytes, sizeof bytes, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from_), &size);
        if (got < 0) return {};
        return std::string(bytes, static_cast<std::size_t>(got));
    }
    void answer(const std::string& text) const {
        ASSERT_EQ(::sendto(fd_, text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&from_), sizeof from_),
                  static_cast<ssize_t>(text.size()));
    }

private:
    int fd_;
    std::uint16_t port_ = 0;
    sockaddr_in from_{};
};

json one(const Folder& folder, const std::string& native) {
    return {{"control", folder / "control"},
            {"mtu", 9000},
            {"endpoints",
             {{"i0", {{"stream", folder / "i0"}}},
              {"t0",
               {{"native", {{"address", "10.77.0.2"}, {"mac", "02:77:00:77:00:02"}, {"ports", {{"4793", native}}}}}}}}},
            {"links", {{"net", {"i0", "t0"}}}}};
}

struct One : ::testing::Test {
    Folder folder;
    Daemon daemon;
    Loop loop;
    Network network{one(folder, daemon.address()), loop};
    Nic nic{folder / "i0"};

    std::optional<Frame> frame() {
        return run_until(loop, network, [&] { return nic.next(); });
    }
    std::optional<std::string> datagram() {
        return run_until(loop, network, [&] { return daemon.next(); });
    }
    bool counted(const char* node, const char* key) {
        return run_until(loop, network, [&] { return network.stats()["nodes"][node][key].get<std::uint64_t>() > 0; });
    }
};

TEST_F(One, GuestAndDaemonTalk) {
    nic.send(arp_request(kHostAddress));
    const auto reply = frame();
    ASSERT_TRUE(reply);
    EXPECT_EQ(parse_arp(*parse_ethernet(*reply))->sender_mac, kHostMac);

    nic.send(guest_datagram(4793, 4793, "hello"));
    EXPECT_EQ(datagram(), "hello");
    const std::string answer(8968, 'x');
    daemon.answer(answer);
    const auto back = frame();
    ASSERT_TRUE(back);
    const auto ethernet = parse_ethernet(*back);
    EXPECT_EQ(ethernet->to, kGuestMac);
    const auto packet = parse_ipv4(*ethernet);
    EXPECT_EQ(packet->to, kGuestAddress);
    EXPECT_EQ(parse_udp(*packet)->payload.size(), answer.size());
    EXPECT_EQ(network.stats()["delivered"], 4);
}

TEST_F(One, EachPortOfAGuestIsAFlowOfItsOwn) {
    for (std::uint16_t port = 1; port <= 200; ++port) {
        nic.send(guest_datagram(port, 4793, std::to_string(port)));
        ASSERT_EQ(datagram(), std::to_string(port));
    }
    const auto stats = network.stats()["nodes"]["t0"];
    EXPECT_EQ(stats["flows"], NativeHost::kMostFlows) << "bounded";
    daemon.answer("to the last");
    const auto back = frame();
    const auto ethernet = parse_ethernet(*back);
    EXPECT_EQ(parse_udp(*parse_ipv4(*ethernet))->to, 200);
}

TEST_F(One, OtherAddressesAndPortsAreCounted) {
    nic.send(guest_datagram(1, 80, "no service"));
    EXPECT_TRUE(counted("t0", "no_service"));
    nic.send(arp_request(0x0a4d0009));
    EXPECT_TRUE(counted("t0", "other"));
}

TEST_F(One, CutStopsAndHealStarts) {
    for (auto& link : network.links())
        for (auto& direction : link->directions) direction->cut(true);
    nic.send(guest_datagram(1, 4793, "lost"));
    EXPECT_TRUE(run_until(
        loop, network, [&] { return network.stats()["links"]["net"]["from"]["i0"]["dropped_cut"].get<int>() == 1; }));
    EXPECT_EQ(daemon.next(), std::nullopt);
    for (auto& link : network.links())
        for (auto& direction : link->directions) direction->cut(false);
    nic.send(guest_datagram(1, 4793, "there"));
    EXPECT_EQ(datagram(), "there");
}

TEST_F(One, FramesInPiecesAreWhole) {
    const Frame frame = guest_datagram(1, 4793, "piecewise");
    const std::uint32_t size = __builtin_bswap32(static_cast<std::uint32_t>(frame.size()));
    const auto prefix = std::as_bytes(std::span(&size, 1));
    std::vector<std::byte> bytes(prefix.begin(), prefix.end());
    bytes.insert(bytes.end(), frame.begin(), frame.end());
    for (const auto& byte : bytes) {
        nic.raw(std::span(&byte, 1));
        loop.run_once(Loop::now_ns());
    }
    EXPECT_EQ(datagram(), "piecewise");
}

TEST_F(One, AnImpossibleLengthEndsTheConnectionNotTheEmulator) {
    nic.raw(frame_of({0xff, 0xff, 0xff, 0xff, 1, 2, 3}));
    EXPECT_TRUE(counted("i0", "malformed"));
    (void)nic.next();
    EXPECT_TRUE(nic.ended());
    Nic next(folder / "i0");
    next.send(guest_datagram(1, 4793, "again"));
    EXPECT_EQ(datagram(), "again");
}

TEST_F(One, ASecondQemuIsRefusedWhileTheFirstIsThere) {
    EXPECT_TRUE(counted("i0", "connections"));
    Nic second(folder / "i0");
    EXPECT_TRUE(counted("i0", "refused"));
    nic.send(guest_datagram(1, 4793, "first"));
    EXPECT_EQ(datagram(), "first");
}

TEST_F(One, AGuestThatReadsNothingCostsBoundedMemory) {
    nic.send(guest_datagram(1, 4793, "hello"));
    ASSERT_EQ(datagram(), "hello");
    EXPECT_TRUE(run_until(loop, network, [&] {
        daemon.answer(std::string(8000, 'x'));
        return network.stats()["nodes"]["i0"]["ring_full"].get<std::uint64_t>() > 0;
    }));
}

TEST_F(One, CaptureIsAPcapOfWhatWasHandedOver) {
    network.capture().open(folder / "x.pcap");
    nic.send(guest_datagram(1, 4793, "seen"));
    ASSERT_EQ(datagram(), "seen");
    EXPECT_EQ(network.stats()["capture"]["frames"], 1);
    std::ifstream file(folder / "x.pcap", std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    ASSERT_EQ(bytes.size(), 24u + 16u + 60u);
    EXPECT_EQ(bytes.substr(0, 4), "\x4d\x3c\xb2\xa1");
    EXPECT_NE(bytes.find("seen"), std::string::npos);
    network.capture().open(folder / "y.pcap", 50);
    nic.send(guest_datagram(1, 4793, "too much"));
    ASSERT_EQ(datagram(), "too much") << "a full capture stops nothing";
    EXPECT_EQ(network.stats()["capture"]["missed"], 1);
    EXPECT_THROW(network.capture().open("/nonexistent/x.pcap"), std::runtime_error);
}

// Control socket: text of a reply, or nothing when the emulator hung up.
struct ControlTest : One {
    Control control{folder / "control", network, loop};

    std::string ask(const std::string& line) {
        const int fd = connect_unix(folder / "control");
        EXPECT_EQ(::send(fd, line.data(), line.size(), MSG_NOSIGNAL), static_cast<ssize_t>(line.size()));
        std::string got;
        bool ended = false;
        run_until(loop, network, [&] {
            char bytes[4096];
            const ssize_t size = ::recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
            if (size > 0) got.append(bytes, static_cast<std::size_t>(size));
            ended = size == 0 || (size < 0 && errno == ECONNRESET);
            return ended || got.ends_with("\n");
        });
        ::close(fd);
        return got;
    }
};

TEST_F(ControlTest, AnswersLineByLine) {
    EXPECT_EQ(ask("{\"cmd\":\"cut\"}\n"), "{\"ok\":true,\"result\":{}}\n");
    EXPECT_TRUE(json::parse(ask("{\"cmd\":\"stats\"}\n"))["result"]["links"]["net"]["from"]["i0"]["cut"].get<bool>());
}

TEST_F(ControlTest, HostileClientsAreHungUpOn) {
    EXPECT_EQ(ask(std::string(100'000, 'x')), "") << "a line without an end";
    EXPECT_FALSE(json::parse(ask("\n"))["ok"].get<bool>());
    EXPECT_FALSE(json::parse(ask(std::string(2000, '[') + "\n"))["ok"].get<bool>());
    EXPECT_FALSE(json::parse(ask(std::string("{\"cmd\":\"\xff\"}\n")))["ok"].get<bool>());
    EXPECT_NE(ask("{\"cmd\":\"stats\"}\n"), "") << "and the next one is served";
}

TEST_F(ControlTest, ClientsAreBounded) {
    std::vector<int> clients;
    for (std::size_t i = 0; i < Control::kMostClients + 5; ++i) {
        clients.push_back(connect_unix(folder / "control"));
        loop.run_once(Loop::now_ns());
    }
    EXPECT_EQ(control.clients(), Control::kMostClients);
    for (const int fd : clients) ::close(fd);
    EXPECT_TRUE(run_until(loop, network, [&] { return control.clients() == 0; }));
}

TEST(Mesh, SwitchLearnsAndFloodsOnlyWhatItMust) {
    Folder folder;
    Loop loop;
    Network network(
        {{"control", "x"},
         {"endpoints",
          {{"a", {{"stream", folder / "a"}}}, {"b", {{"stream", folder / "b"}}}, {"c", {{"stream", folder / "c"}}}}},
         {"switches", {"sw"}},
         {"links", {{"a", {"a", "sw"}}, {"b", {"b", "sw"}}, {"c", {"sw", "c"}}}}},
        loop);
    Nic a(folder / "a"), b(folder / "b"), c(folder / "c");
    const auto next = [&](Nic& nic) { return run_until(loop, network, [&] { return nic.next(); }); };
    const Mac ma{2, 0, 0, 0, 0, 1}, mb{2, 0, 0, 0, 0, 2};
    a.send(make_udp({ma, mb, 1, 2, 3, 4}, {}));
    EXPECT_TRUE(next(b));
    EXPECT_TRUE(next(c)) << "nobody knows where b is: to all";
    b.send(make_udp({mb, ma, 2, 1, 4, 3}, {}));
    EXPECT_TRUE(next(a));
    a.send(make_udp({ma, mb, 1, 2, 3, 4}, {}));
    EXPECT_TRUE(next(b));
    EXPECT_FALSE(c.next()) << "b is known now";
    EXPECT_FALSE(a.next()) << "nothing comes back to where it came from";
    EXPECT_EQ(network.stats()["nodes"]["sw"]["forwarded"], 2);
}

TEST(Idle, SleepsWithoutUsingTheProcessor) {
    Folder folder;
    Daemon daemon;
    Loop loop;
    Network network(one(folder, daemon.address()), loop);
    const std::int64_t end_ns = Loop::now_ns() + 200'000'000;
    unsigned turns = 0;
    while (Loop::now_ns() < end_ns) {
        ++turns;
        const bool more = network.deliver_due(Loop::now_ns());
        loop.run_once(more ? 0 : std::min(network.next_due_ns(), end_ns));
    }
    EXPECT_LE(turns, 3u) << "nothing woke it";
}

}  // namespace
}  // namespace farlane::link::test
