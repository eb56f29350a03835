// SPDX-License-Identifier: Apache-2.0
// Receives: frames of guests and datagrams of native processes. Hands on: each as the other.
// Owns: a UDP socket for each flow.
#include "native_host.hpp"

#include <algorithm>
#include <cerrno>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "direction.hpp"

namespace farlane::link {
namespace {

constexpr std::size_t kLongestDatagram = 65536;
constexpr unsigned kDatagramsPerWake = 64;
constexpr int kSocketBufferBytes = 4 * 1024 * 1024;
constexpr Mac kBroadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

}  // namespace

NativeHost::NativeHost(std::string name, Config config, Loop& loop)
    : Node(std::move(name)), config_(std::move(config)), loop_(loop), buffer_(kLongestDatagram) {}

NativeHost::~NativeHost() {
    while (!flows_.empty()) forget_oldest();
}

void NativeHost::receive(std::size_t, Bytes frame, std::int64_t now_ns) {
    const auto ethernet = parse_ethernet(frame);
    if (!ethernet || (ethernet->to != config_.mac && ethernet->to != kBroadcast)) {
        ++other_;
        return;
    }
    if (parse_arp(*ethernet)) return receive_arp(*ethernet, now_ns);
    const auto packet = parse_ipv4(*ethernet);
    if (!packet) {
        ++malformed_;
        return;
    }
    if (packet->to != config_.address) {
        ++other_;
        return;
    }
    if (const auto reply = make_echo_reply(*ethernet, *packet, config_.mac)) {
        ++echo_;
        return out(0).send(*reply, now_ns);
    }
    const auto datagram = parse_udp(*packet);
    if (!datagram) {
        ++malformed_;
        return;
    }
    receive_udp(*ethernet, *packet, *datagram);
}

void NativeHost::receive_arp(const Ethernet& frame, std::int64_t now_ns) {
    const auto arp = parse_arp(frame);
    if (!arp->request || arp->target != config_.address) {
        ++other_;
        return;
    }
    ++arp_;
    out(0).send(make_arp_reply(*arp, config_.mac), now_ns);
}

void NativeHost::receive_udp(const Ethernet& frame, const Ipv4& packet, const Udp& datagram) {
    Flow* const flow = flow_of({packet.from, datagram.from, datagram.to});
    if (flow == nullptr) {
        ++no_service_;
        return;
    }
    flow->mac = frame.from;
    flow->last_use = ++uses_;
    const ssize_t sent = ::send(flow->fd, datagram.payload.data(), datagram.payload.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
        ++to_native_;
    } else if (errno == ECONNREFUSED) {
        ++refused_;  // nobody has the port for the moment: the process is being restarted
    } else {
        ++full_;
    }
}

NativeHost::Flow* NativeHost::flow_of(const Guest& guest) {
    const auto known = flows_.find(guest);
    if (known != flows_.end()) return &known->second;
    const auto service = config_.services.find(guest.service);
    if (service == config_.services.end()) return nullptr;
    const auto fd = open_socket(service->second);
    if (!fd) return nullptr;
    if (flows_.size() >= kMostFlows) forget_oldest();
    Flow& flow = flows_[guest];
    flow.fd = *fd;
    loop_.add(*fd, EPOLLIN, [this, guest](std::uint32_t) { from_native(guest); });
    return &flow;
}

std::optional<int> NativeHost::open_socket(const Service& service) const {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return {};
    for (const int name : {SO_RCVBUF, SO_SNDBUF})
        (void)!::setsockopt(fd, SOL_SOCKET, name, &kSocketBufferBytes, sizeof kSocketBufferBytes);
    for (const int name : {SO_RCVBUFFORCE, SO_SNDBUFFORCE})
        (void)!::setsockopt(fd, SOL_SOCKET, name, &kSocketBufferBytes, sizeof kSocketBufferBytes);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(service.address);
    at.sin_port = htons(service.port);
    // connected: only that process can answer
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) {
        ::close(fd);
        return {};
    }
    return fd;
}

void NativeHost::forget_oldest() {
    const auto oldest = std::min_element(flows_.begin(), flows_.end(), [](const auto& a, const auto& b) {
        return a.second.last_use < b.second.last_use;
    });
    loop_.remove(oldest->second.fd);
    ::close(oldest->second.fd);
    flows_.erase(oldest);
    ++forgotten_;
}

void NativeHost::from_native(const Guest& guest) {
    const auto found = flows_.find(guest);
    if (found == flows_.end()) return;
    const Route route{config_.mac, found->second.mac, config_.address, guest.address, guest.service, guest.port};
    const std::int64_t now_ns = Loop::now_ns();
    for (unsigned i = 0; i < kDatagramsPerWake; ++i) {
        const ssize_t got = ::recv(found->second.fd, buffer_.data(), buffer_.size(), 0);
        if (got < 0) {
            if (errno == ECONNREFUSED) continue;  // the answer to an earlier send
            return;
        }
        ++from_native_;
        out(0).send(make_udp(route, Bytes(buffer_).first(static_cast<std::size_t>(got))), now_ns);
    }
}

nlohmann::json NativeHost::stats() const {
    return {{"kind", "native"},
            {"address", address_text(config_.address)},
            {"flows", flows_.size()},
            {"forgotten_flows", forgotten_},
            {"to_native", to_native_},
            {"from_native", from_native_},
            {"arp", arp_},
            {"echo", echo_},
            {"other", other_},
            {"malformed", malformed_},
            {"no_service", no_service_},
            {"refused", refused_},
            {"full", full_}};
}

}  // namespace farlane::link
