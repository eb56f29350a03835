// SPDX-License-Identifier: Apache-2.0
// Receives: af_packet and af_xdp ports on a veth pair. Hands on: verdicts.
// Owns: a network namespace, in a child process.
#include <cstdio>
#include <cstdlib>

#include <sched.h>

#include "peer_process.hpp"
#include "port_test_util.hpp"
#include "veth.hpp"

namespace farlane::transport::test {
namespace {

int skip(const std::string& why) {
    std::printf("%s\n", why.c_str());
    return kVethSkipped;
}

int fail(const std::string& why) {
    std::printf("%s\n", why.c_str());
    return 1;
}

bool command(const std::string& line) {
    return std::system((line + " >/dev/null 2>&1").c_str()) == 0;
}

// One frame from `from` to `to`, sent again while the interface comes up; strangers' frames in
// between are the port's to drop.
bool crosses(Port& from, Port& to, std::uint32_t n, std::uint32_t size, const Address* address, Address* sender) {
    return eventually([&] {
        (void)send_frame(from, n, size, address);
        for (int i = 0; i < 200; ++i) {
            for (const Received& r : take(to))
                if (r.number == n && r.size == size) {
                    *sender = r.from;
                    return true;
                }
            from.flush();
            ::usleep(50);
        }
        return false;
    });
}

int exchange(Port& a, Port& b) {
    if (a.info().point_to_point || a.info().has_interrupt) return fail("wrong port info");
    auto to_b = a.resolve(b.info().local);
    if (!to_b) return fail(to_b.failure().detail);
    Address sender;
    std::uint32_t n = 1;
    for (std::uint32_t size = kHeadBytes; size <= a.info().max_frame_bytes; size += 331, ++n) {
        if (!crosses(a, b, n, size, &*to_b, &sender)) return fail("frame of " + std::to_string(size) + " bytes lost");
        if (b.to_string(sender) != a.info().local) return fail("sender is " + b.to_string(sender));
        if (!crosses(b, a, n, size, &sender, &sender)) return fail("answer lost");
    }
    if (!crosses(a, b, n, a.info().max_frame_bytes, &*to_b, &sender)) return fail("largest frame lost");
    for (const char* bad : {"", "1.2.3.4:5", "02:00:00:00:00", "x2:00:00:00:00:01"})
        if (a.resolve(bad).ok()) return fail(std::string("resolved ") + bad);
    return 0;
}

// A slow loopback: frames stay charged to the socket until they have left, so its send buffer fills.
int keep_udp_frames() {
    if (!command("ip link set lo up") || !command("tc qdisc add dev lo root tbf rate 100mbit burst 20kb limit 10mb"))
        return skip("no tbf queue on lo here: tc fails");
    auto a = open_port("udp:127.0.0.1:0?buffer=4096"), b = open_port("udp:127.0.0.1:0");
    if (!a || !b) return fail("udp ports do not open");
    auto to = (*a)->resolve((*b)->info().local);
    if (!to) return fail(to.failure().detail);
    std::uint32_t sent = 0;
    std::vector<Received> got;
    while (sent < 1000 && send_frame(**a, sent, 4000, &*to)) ++sent;
    if (sent < 100 || sent == 1000) return fail("no back-pressure: " + std::to_string(sent) + " frames taken");
    if ((*a)->next_event_ns() == INT64_MAX) return fail("kept frames ask for no later try");
    (void)eventually([&] {
        while (sent < 1000 && send_frame(**a, sent, 4000, &*to)) ++sent;
        (*a)->flush();
        for (const Received& r : take(**b)) got.push_back(r);
        return got.size() == 1000;
    });
    for (std::size_t i = 0; i < got.size(); ++i)
        if (got[i].number != static_cast<std::int64_t>(i)) return fail("frame " + std::to_string(i) + " out of order");
    return got.size() == 1000 ? 0 : fail(std::to_string(got.size()) + " of 1000 frames came");
}

void check_kind(const char* kind) {
    std::string output;
    const int rc = run_again({"--veth", kind}, output);
    if (rc == kVethSkipped) GTEST_SKIP() << output;
    EXPECT_EQ(rc, 0) << output;
}

TEST(Veth, AfPacket) {
    check_kind("af_packet");
}
TEST(Veth, AfXdp) {
    check_kind("af_xdp");
}

TEST(Veth, UdpKeepsWhatTheKernelDoesNotTake) {
    check_kind("udp");
}

}  // namespace

int run_veth(const std::string& kind) {
    if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return skip("no network namespace here: not permitted");
    if (kind == "udp") return keep_udp_frames();
    // the MTU of XDP buffers is one page less headroom
    const std::string mtu = kind == "af_packet" ? "9000" : "1500";
    if (!command("ip link add fl0 mtu " + mtu + " type veth peer name fl1 mtu " + mtu) ||
        !command("ip link set fl0 up") || !command("ip link set fl1 up"))
        return skip("no veth pair here: ip link add fails");
    const auto url = [&kind](int i) {
        return "dpdk:net_" + kind + std::to_string(i) + ",iface=fl" + std::to_string(i);
    };
    auto a = open_port(url(0));
    if (!a) return kind == "af_xdp" ? skip(a.failure().detail) : fail(a.failure().detail);
    auto b = open_port(url(1));
    if (!b) return fail(b.failure().detail);
    const std::uint32_t expected = kind == "af_packet" ? 8992 : 1496;
    if ((*a)->info().max_frame_bytes != expected) return fail("largest frame is not what the MTU carries");
    auto too_large = open_port("dpdk:net_" + kind + "7,iface=fl0?mtu=9600");
    if (too_large.ok() || too_large.status() != Status::limit) return fail("a frame above the MTU was not refused");
    return exchange(**a, **b);
}

}  // namespace farlane::transport::test
