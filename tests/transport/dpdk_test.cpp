// SPDX-License-Identifier: Apache-2.0
// Receives: pairs of DPDK ports, one end here, one in a process that can be killed.
// Hands on: verdicts. Owns: sockets in a directory of its own.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <functional>
#include <iterator>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <gmock/gmock.h>

#include "peer_process.hpp"
#include "port_test_util.hpp"

namespace farlane::transport::test {
namespace {

using ::testing::HasSubstr;

// Which end is here and which in the other process; %s is the socket.
struct Pair {
    const char* name;
    const char* here;
    const char* there;
};
constexpr Pair kPairs[] = {
    {"vhost_here", "dpdk:net_vhost%n,iface=%s", "dpdk:net_virtio_user0,path=%s"},
    {"virtio_here", "dpdk:net_virtio_user%n,path=%s", "dpdk:net_vhost0,iface=%s"},
    {"vhost_client_here", "dpdk:net_vhost%n,iface=%s,client=1", "dpdk:net_virtio_user0,path=%s,server=1"},
    {"virtio_server_here", "dpdk:net_virtio_user%n,path=%s,server=1", "dpdk:net_vhost0,iface=%s,client=1"},
    {"memif_server_here", "dpdk:net_memif%n,socket=%s,role=server", "dpdk:net_memif0,socket=%s,role=client"},
    {"memif_client_here", "dpdk:net_memif%n,socket=%s,role=client", "dpdk:net_memif0,socket=%s,role=server"},
};

constexpr std::uint32_t kRaces = 5000;

class Dpdk : public ::testing::TestWithParam<Pair> {
protected:
    // DPDK names of one process are different, so each test takes the next number.
    std::string url(const char* form) {
        static int number = 1;  // 0 is the other end
        std::string text = form;
        if (const auto at = text.find("%n"); at != std::string::npos) text.replace(at, 2, std::to_string(number++));
        text.replace(text.find("%s"), 2, directory_ / "s");
        return text;
    }
    // Round trip of one frame, tried again while the link comes up: what a peer that was killed
    // had not read is lost.
    static bool round_trip(Port& port, std::uint32_t n, std::uint32_t size) {
        return eventually([&] {
            if (!port.link_up()) return false;
            (void)send_frame(port, n, size);
            for (int i = 0; i < 2000; ++i) {
                for (const Received& r : take(port))
                    if (r.number == n && r.size == size) return true;
                ::usleep(i < 100 ? 0 : 100);
            }
            return false;
        });
    }
    TempDir directory_;
};

TEST_P(Dpdk, EverySizeComesBackInOrder) {
    auto port = must_open(url(GetParam().here));
    EXPECT_EQ(port->info().max_frame_bytes, 9600u);
    EXPECT_TRUE(port->info().point_to_point && port->info().reliable_mtu);
    EXPECT_FALSE(port->resolve("1.2.3.4:5").ok());
    PeerProcess peer(url(GetParam().there));
    ASSERT_TRUE(round_trip(*port, 1, 64));
    const std::uint64_t before = port->counters().rx_frames;
    std::uint32_t n = 1000;
    std::vector<Received> got;
    for (std::uint32_t size = kHeadBytes; size <= 9600; size += size < 100 ? 1 : 97, ++n) {
        ASSERT_TRUE(eventually([&] { return send_frame(*port, n, size); }));
        if (n % 8 == 7)
            for (const Received& r : take_all(*port, n - 999 - got.size())) got.push_back(r);
    }
    for (const Received& r : take_all(*port, n - 1000 - got.size())) got.push_back(r);
    ASSERT_EQ(got.size(), n - 1000);
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i].number, static_cast<std::int64_t>(1000 + i));
    EXPECT_EQ(got.back().size, 9600 - (9600 - 100) % 97);
    EXPECT_EQ(port->counters().rx_frames - before, got.size());
    EXPECT_EQ(port->counters().rx_dropped, 0u);
}

TEST_P(Dpdk, OpensAndClosesWithoutAPeer) {
    auto port = must_open(url(GetParam().here));
    EXPECT_FALSE(port->link_up());
    std::array<RxFrame, 4> rx;
    EXPECT_EQ(port->rx_burst(rx), 0u);
    // nobody is there: frames are dropped and counted, buffers do not run out
    for (std::uint32_t n = 0; n < 3000; ++n) ASSERT_TRUE(send_frame(*port, n, 64));
    EXPECT_EQ(port->counters().tx_dropped, 3000u);
    port.reset();
    port = must_open(url(GetParam().here));  // the socket's path is free again
}

TEST_P(Dpdk, GoesOnAfterThePeerWasKilled) {
    auto port = must_open(url(GetParam().here));
    for (std::uint32_t life = 0; life < 3; ++life) {
        PeerProcess peer(url(GetParam().there));
        ASSERT_TRUE(round_trip(*port, life, 64)) << "life " << life;
        // killed with frames on their way in both directions, this end polling all the time
        for (std::uint32_t n = 0; n < 100; ++n) (void)send_frame(*port, n, 4000);
        (void)take(*port);
        ::kill(peer.pid(), SIGKILL);
        for (int i = 0; i < 2000; ++i) {
            (void)send_frame(*port, 7, 1000);
            (void)take(*port);
        }
        peer.kill();
        ASSERT_TRUE(eventually([&] {
            (void)take(*port);
            return !port->link_up();
        }));
    }
}

TEST_P(Dpdk, GoesOnAfterThisEndWasKilled) {
    PeerProcess far(url(GetParam().there));  // it lives; "this end" is a process of its own here
    for (int life = 0; life < 2; ++life) {
        PeerProcess near(url(GetParam().here));
        near.kill();
    }
    auto port = must_open(url(GetParam().here));
    EXPECT_TRUE(round_trip(*port, 5, 1500));
    EXPECT_TRUE(far.stop());
}

TEST_P(Dpdk, SurvivesACleanExitOfThePeer) {
    auto port = must_open(url(GetParam().here));
    for (int life = 0; life < 2; ++life) {
        PeerProcess peer(url(GetParam().there));
        ASSERT_TRUE(round_trip(*port, 1, 200));
        std::thread stopper([&] { EXPECT_TRUE(peer.stop()); });
        const bool down = eventually([&] {
            (void)send_frame(*port, 7, 1000);
            (void)take(*port);
            return !port->link_up();
        });
        stopper.join();
        ASSERT_TRUE(down);
    }
}

TEST_P(Dpdk, BackPressureEndsWhenThePeerReads) {
    auto port = must_open(url(GetParam().here));
    PeerProcess peer(url(GetParam().there));
    ASSERT_TRUE(round_trip(*port, 1, 64));
    ::kill(peer.pid(), SIGSTOP);
    std::uint32_t n = 0;
    while (send_frame(*port, n, 1000)) ASSERT_LT(++n, 10000u);
    EXPECT_GT(n, 100u);
    EXPECT_NE(port->next_event_ns(), INT64_MAX);  // frames are kept: the lane comes back by itself
    EXPECT_FALSE(send_frame(*port, n, 1000));
    ::kill(peer.pid(), SIGCONT);
    EXPECT_TRUE(eventually([&] {
        (void)take(*port);
        return send_frame(*port, n, 1000);
    }));
    EXPECT_EQ(port->counters().tx_dropped, 0u);
}

bool readable(int fd, int wait_ms) {
    pollfd p{fd, POLLIN, 0};
    return ::poll(&p, 1, wait_ms) == 1;
}

TEST_P(Dpdk, InterruptWakesASleepingLane) {
    auto port = must_open(url(GetParam().here));
    EXPECT_TRUE(port->info().has_interrupt);
    // asleep before there is a peer: its coming wakes
    ASSERT_TRUE(port->arm());
    PeerProcess peer(url(GetParam().there));
    ASSERT_TRUE(readable(port->wait_fd(), 20000));
    port->disarm();
    ASSERT_TRUE(round_trip(*port, 1, 64));
    for (std::uint32_t n = 10; n < 30; ++n) {
        while (!port->arm()) (void)take(*port);
        // stale wake-ups are allowed, endless ones are not
        ASSERT_TRUE(eventually([&] {
            if (!readable(port->wait_fd(), 0)) return true;
            port->disarm();
            (void)take(*port);
            (void)port->arm();
            return false;
        }));
        ASSERT_TRUE(send_frame(*port, n, 64));
        ASSERT_TRUE(readable(port->wait_fd(), 20000)) << "frame " << n;
        port->disarm();
        const auto got = take_all(*port, 1);
        ASSERT_EQ(got.size(), 1u);
        EXPECT_EQ(got[0].number, n);
    }
}

// A frame that leaves just while this end goes to sleep is found by its last look or wakes it.
TEST_P(Dpdk, NoWakeUpIsLost) {
    auto port = must_open(url(GetParam().here));
    auto far = must_open(url(GetParam().there));
    ASSERT_TRUE(eventually([&] { return port->link_up() && far->link_up(); }));
    std::atomic<std::uint32_t> asked{0};
    std::thread sender([&] {
        for (std::uint32_t n = 1; n <= kRaces; ++n) {
            while (asked.load() < n) {
            }
            for (std::uint32_t pause = 0; pause < n % 256; ++pause) __builtin_ia32_pause();
            EXPECT_TRUE(eventually([&] { return send_frame(*far, n, 64); }));
        }
    });
    std::uint32_t lost = 0;
    for (std::uint32_t n = 1; n <= kRaces; ++n) {
        asked.store(n);
        if (port->arm() && !readable(port->wait_fd(), 5000)) ++lost;
        port->disarm();
        while (take(*port).empty()) {
        }
    }
    sender.join();
    EXPECT_EQ(lost, 0u);
}

INSTANTIATE_TEST_SUITE_P(Pairs, Dpdk, ::testing::ValuesIn(kPairs), [](const auto& p) { return p.param.name; });

TEST(DpdkStrings, BadOnesSayWhatIsValid) {
    const struct {
        const char* text;
        const char* says;
    } table[] = {
        {"dpdk:", "not a device; valid: net_vhostN,iface=..."},
        {"dpdk:eth0", "\"eth0\" is not a device"},
        {"dpdk:net_vhost", "\"net_vhost\" is not a device"},
        {"dpdk:net_vhost0/x,iface=/tmp/a", "is not a device"},
        {"dpdk:net_vhost0", "net_vhost0 needs \"iface=\""},
        {"dpdk:net_vhost0,iface=", "net_vhost0 needs \"iface=\""},
        {"dpdk:net_virtio_user0,pat=/tmp/farlane-test-none.sock", "net_virtio_user0 needs \"path=\""},
        {"dpdk:net_memif0,role=server", "net_memif0 needs \"socket=\""},
        {"dpdk:net_vhost0,,iface=/tmp/farlane-test-none.sock", "empty argument"},
        {"dpdk:net_ring0?mtu=9601", "64 to 9600"},
        {"dpdk:net_ring0?speed=9", "no key \"speed\" here; valid: link_rate=BITS/S, mtu=BYTES, eal=TEXT"},
        {"dpdk:net_af_packet0,iface=nosuchif0", "no network interface \"nosuchif0\""},
        {"dpdk:net_vhost0,iface=/nonexistent-dir/s", "DPDK"},
        {"dpdk:net_vhost0,iface=/tmp/farlane-test-none.sock,colour=red", "DPDK refuses net_vhost0"},
        {"dpdk:net_memif0,socket=/nonexistent-dir/s,role=server", "cannot listen on /nonexistent-dir/s"},
    };
    for (const auto& row : table) {
        auto port = open_port(row.text);
        ASSERT_FALSE(port.ok()) << row.text;
        EXPECT_THAT(port.failure().detail, HasSubstr(row.says));
        EXPECT_THAT(port.failure().detail, HasSubstr(row.text));
    }
    const std::string long_path = "/tmp/" + std::string(120, 'a');
    EXPECT_THAT(open_port("dpdk:net_vhost0,iface=" + long_path).failure().detail, HasSubstr("longer than the 100"));
}

TEST(DpdkStrings, OneDeviceNameOnce) {
    auto one = must_open("dpdk:net_ring90");
    auto two = open_port("dpdk:net_ring90");
    ASSERT_FALSE(two.ok());
    EXPECT_EQ(two.status(), Status::busy);
}

TEST(DpdkSockets, OldOnesAreRemovedOthersAreNot) {
    TempDir directory;
    const std::string path = directory / "s";
    {
        PeerProcess killed("dpdk:net_vhost0,iface=" + path);  // leaves its socket behind
    }
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    auto port = must_open("dpdk:net_vhost91,iface=" + path);
    auto second = open_port("dpdk:net_vhost92,iface=" + path);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.status(), Status::busy);
    port.reset();
    std::fclose(std::fopen(path.c_str(), "w"));
    EXPECT_THAT(open_port("dpdk:net_vhost93,iface=" + path).failure().detail, HasSubstr("is not a socket"));
}

// Negative: nobody listens there.
int connect_to(const std::string& path, int type) {
    const int fd = ::socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path.copy(at.sun_path, sizeof at.sun_path - 1);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) return fd;
    ::close(fd);
    return -1;
}

// A process that speaks nonsense at the socket of a virtio_user or memif port, or only looks in.
void survive_nonsense(const std::string& here, const std::string& there, int type) {
    TempDir directory;
    const std::string path = directory / "s";
    const auto with_path = [&path](std::string url) { return url.replace(url.find("%s"), 2, path); };
    auto port = must_open(with_path(here));
    for (std::size_t i = 0; i < 12; ++i) {
        const int fd = connect_to(path, type);
        ASSERT_GE(fd, 0);
        const std::string junk(i % 4 * 170, static_cast<char>(0xfe + i));
        if (!junk.empty()) (void)!::send(fd, junk.data(), junk.size(), MSG_NOSIGNAL);
        ::close(fd);
        for (int j = 0; j < 100; ++j) (void)take(*port);
        EXPECT_FALSE(port->link_up());
    }
    PeerProcess peer(with_path(there));
    EXPECT_TRUE(eventually([&] { return port->link_up(); }));
}

TEST(DpdkSockets, NonsenseAtVirtioUserIsSurvived) {
    survive_nonsense("dpdk:net_virtio_user93,path=%s,server=1", "dpdk:net_vhost0,iface=%s,client=1", SOCK_STREAM);
}

TEST(DpdkSockets, NonsenseAtMemifIsSurvived) {
    survive_nonsense("dpdk:net_memif93,socket=%s,role=server", "dpdk:net_memif0,socket=%s,role=client", SOCK_SEQPACKET);
}

// Messages of a memif client, 128 bytes each, as the protocol has them.
struct MemifClient {
    explicit MemifClient(const std::string& path) : fd_(connect_to(path, SOCK_SEQPACKET)) {
        std::array<char, 128> hello;
        if (::recv(fd_, hello.data(), hello.size(), 0) != static_cast<ssize_t>(hello.size()))
            throw std::runtime_error("no memif server at " + path);
        send({3, 0x200});  // INIT: version 2.0, interface 0, Ethernet
    }
    ~MemifClient() { ::close(fd_); }
    MemifClient(const MemifClient&) = delete;
    MemifClient& operator=(const MemifClient&) = delete;

    void send(std::initializer_list<std::uint16_t> halves, int descriptor = -1, unsigned times = 1) {
        std::array<std::uint16_t, 64> message{};
        std::ranges::copy(halves, message.begin());
        iovec part{message.data(), sizeof message};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        if (descriptor >= 0) {
            header.msg_control = control.data();
            header.msg_controllen = CMSG_SPACE(times * sizeof(int));
            cmsghdr* const c = CMSG_FIRSTHDR(&header);
            *c = {CMSG_LEN(times * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
            const std::array<int, 2> descriptors = {descriptor, descriptor};
            std::memcpy(CMSG_DATA(c), descriptors.data(), times * sizeof(int));
        }
        (void)!::sendmsg(fd_, &header, MSG_NOSIGNAL);
    }
    void add_region(int memory, std::uint16_t number = 0) { send({4, number, 4096, 0, 0, 0}, memory); }
    void add_ring(std::uint32_t offset, int interrupt, std::uint16_t number = 0, std::uint16_t to_server = 1) {
        const auto low = static_cast<std::uint16_t>(offset), high = static_cast<std::uint16_t>(offset >> 16);
        send({5, to_server, number, 0, low, high, 10}, interrupt);
    }
    void connect() { send({6}); }
    // True: the server has hung up.
    [[nodiscard]] bool refused() const {
        return eventually([&] {
            std::array<char, 128> answer;
            return readable(fd_, 100) && ::recv(fd_, answer.data(), answer.size(), 0) <= 0;
        });
    }

private:
    int fd_;
};

// The port writes into the memory that a peer names, and sleeps on the descriptor that it gives.
TEST(DpdkSockets, ALyingMemifRingIsRefused) {
    TempDir directory;
    const std::string path = directory / "s";
    auto port = must_open("dpdk:net_memif92,role=server,socket=" + path);
    const int sealed = ::memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const int open = ::memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const int event = ::eventfd(0, EFD_CLOEXEC);
    for (const int memory : {sealed, open}) ASSERT_EQ(::ftruncate(memory, 4096), 0);
    ASSERT_EQ(::fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    const struct {
        const char* what;
        int memory;
        std::uint32_t offset;
        int interrupt;
    } lies[] = {
        {"behind the memory", sealed, 4096, event},
        {"far behind the memory", sealed, 0xffffffc0, event},
        {"across its end", sealed, 4096 - 32, event},
        {"odd", sealed, 1, event},
        {"memory that can shrink", open, 0, event},
        {"no memory", event, 0, event},
        {"a descriptor that nothing can wait for", sealed, 0, sealed},
        {"no descriptor", sealed, 0, -1},
    };
    for (const auto& lie : lies) {
        bool refused = false;
        for (int i = 0; i < 10 && !refused; ++i) {  // the last one's end may not have been noticed yet
            MemifClient client(path);
            client.add_region(lie.memory);
            client.add_ring(lie.offset, lie.interrupt);
            refused = client.refused();
        }
        EXPECT_TRUE(refused) << lie.what;
        EXPECT_FALSE(port->link_up());
    }
    for (const int fd : {sealed, open, event}) ::close(fd);
    PeerProcess peer("dpdk:net_memif0,role=client,socket=" + path);
    EXPECT_TRUE(eventually([&] { return port->link_up(); }));
}

int ring_memory() {
    constexpr std::uint32_t kCookie = 0x3e31f20;
    const int fd = ::memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (::ftruncate(fd, 4096) != 0 || ::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0 ||
        ::pwrite(fd, &kCookie, sizeof kCookie, 0) != static_cast<ssize_t>(sizeof kCookie))
        throw std::runtime_error("no sealed memory");
    return fd;
}

std::ptrdiff_t open_descriptors() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

// The driver would take what it can not use, and keep the descriptors; or connect without a ring that wakes the lane.
TEST(DpdkSockets, AMemifClientDescribesItselfOnceAndInOrder) {
    TempDir directory;
    const std::string path = directory / "s";
    auto port = must_open("dpdk:net_memif91,role=server,socket=" + path);
    const int memory = ring_memory(), event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const struct {
        const char* what;
        std::function<void(MemifClient&)> say;
    } wrong[] = {
        {"a ring before its memory", [&](auto& c) { c.add_ring(0, event), c.add_region(memory), c.connect(); }},
        {"a ring twice", [&](auto& c) { c.add_region(memory), c.add_ring(0, event), c.add_ring(0, event); }},
        {"a second ring", [&](auto& c) { c.add_region(memory), c.add_ring(0, event, 1); }},
        {"no ring", [&](auto& c) { c.add_region(memory), c.connect(); }},
        {"a ring one way", [&](auto& c) { c.add_region(memory), c.add_ring(0, event), c.connect(); }},
        {"a region left out", [&](auto& c) { c.add_region(memory, 1); }},
        {"a region twice", [&](auto& c) { c.add_region(memory), c.add_region(memory); }},
        {"a descriptor that nobody asked for", [&](auto& c) { c.send({1}, event); }},
        {"two descriptors",
         [&](auto& c) {
             c.send({4, 0, 4096}, memory, 2);
         }},
        {"a short ring", [&](auto& c) { c.add_region(memory), c.add_ring(4096, event); }},
    };
    const auto before = open_descriptors();
    for (const auto& w : wrong) {
        bool refused = false;
        for (int i = 0; i < 10 && !refused; ++i) {  // the last one's end may not have been noticed yet
            MemifClient client(path);
            w.say(client);
            refused = client.refused();
        }
        EXPECT_TRUE(refused) << w.what;
        EXPECT_FALSE(port->link_up()) << w.what;
        EXPECT_TRUE(eventually([&] { return open_descriptors() == before; })) << w.what;
    }
    {
        MemifClient dies_early(path);
        dies_early.add_region(memory);
    }
    EXPECT_TRUE(eventually([&] { return open_descriptors() == before; }));
    for (const int fd : {memory, event}) ::close(fd);
}

// The driver obeys a goodbye, and other things, at once, while the lane is in the rings.
TEST(DpdkSockets, AMemifPeerThatIsConnectedCanOnlyLeave) {
    TempDir directory;
    const std::string path = directory / "s";
    auto port = must_open("dpdk:net_memif90,role=server,socket=" + path);
    const int memory = ring_memory(), event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const std::function<void(MemifClient&)> words[] = {
        [&](auto& c) { c.send({8}); },  // DISCONNECT, and stays
        [&](auto& c) { c.add_ring(64, event); },
        [&](auto& c) { c.send({1}); },
    };
    for (const auto& say : words) {
        MemifClient client(path);
        client.add_region(memory);
        for (const std::uint16_t to_server : {0, 1}) client.add_ring(0, event, 0, to_server);
        client.connect();
        ASSERT_TRUE(eventually([&] { return port->link_up(); }));
        EXPECT_TRUE(port->arm());
        port->disarm();
        say(client);
        EXPECT_TRUE(client.refused());
        EXPECT_TRUE(eventually([&] { return !port->link_up(); }));
    }
    for (const int fd : {memory, event}) ::close(fd);
}

// Rings lie anywhere in a region: the smallest are not aligned, the largest are far from its begin.
TEST(DpdkSockets, MemifRingsOfEverySizeWake) {
    for (const char* size : {"1", "14"}) {
        TempDir directory;
        static int number = 80;
        const std::string other = ",bsize=2048,rsize=" + std::string(size) + ",socket=" + (directory / "s");
        auto server = must_open("dpdk:net_memif" + std::to_string(number++) + ",role=server" + other);
        auto client = must_open("dpdk:net_memif" + std::to_string(number++) + ",role=client" + other);
        for (auto [to, from] : {std::pair(server.get(), client.get()), std::pair(client.get(), server.get())}) {
            ASSERT_TRUE(eventually([&] { return to->link_up() && from->link_up(); })) << size;
            ASSERT_TRUE(to->arm());
            ASSERT_TRUE(send_frame(*from, 1, 64));
            EXPECT_TRUE(readable(to->wait_fd(), 5000)) << size;
            to->disarm();
            EXPECT_EQ(take(*to).size(), 1u) << size;
        }
    }
}

TEST(DpdkRing, HandsFramesBack) {
    auto port = must_open("dpdk:net_ring94");
    EXPECT_EQ(port->info().kind, "dpdk:ring");
    for (std::uint32_t n = 0; n < 1000; ++n) {
        ASSERT_TRUE(send_frame(*port, n, 60 + n * 9));
        const auto got = take(*port);
        ASSERT_EQ(got.size(), 1u);
        EXPECT_EQ(got[0].number, n);
        EXPECT_EQ(got[0].size, 60 + n * 9);
    }
}

TEST(DpdkRing, FaultsWrapIt) {
    auto port = must_open("fault+dpdk:net_ring95?loss=100%");
    EXPECT_EQ(port->info().kind, "fault+dpdk:ring");
    for (std::uint32_t n = 0; n < 100; ++n) ASSERT_TRUE(send_frame(*port, n, 100));
    EXPECT_TRUE(take(*port).empty());
    EXPECT_EQ(port->counters().faults_lost, 100u);
}

// What the application set up for its thread is still so: DPDK starts threads and pins by itself.
TEST(DpdkEal, LeavesTheCallingThreadAlone) {
    cpu_set_t before, after;
    sched_getaffinity(0, sizeof before, &before);
    sigset_t mask_before, mask_after;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask_before);
    struct sigaction term_before {
    }, term_after{};
    ::sigaction(SIGTERM, nullptr, &term_before);
    auto port = must_open("dpdk:net_ring96");
    port.reset();
    sched_getaffinity(0, sizeof after, &after);
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask_after);
    ::sigaction(SIGTERM, nullptr, &term_after);
    EXPECT_TRUE(CPU_EQUAL(&before, &after));
    for (int signal = 1; signal < 32; ++signal)
        EXPECT_EQ(sigismember(&mask_before, signal), sigismember(&mask_after, signal)) << signal;
    EXPECT_EQ(term_before.sa_handler, term_after.sa_handler);
}

TEST(DpdkKinds, IsListed) {
    EXPECT_THAT(port_kinds(), ::testing::Contains("dpdk"));
}

}  // namespace
}  // namespace farlane::transport::test
