// SPDX-License-Identifier: Apache-2.0
// Receives: a port string of kind udp. Hands on: the port. Owns: what UdpPort owns.
#include "transport/udp/udp_port.hpp"

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "transport/openers.hpp"

namespace farlane::transport {
namespace {

// UDP payload of an Ethernet frame of 1500 bytes, a multiple of 8 each (RFC 791, RFC 8200, RFC 768).
constexpr std::uint32_t kEthernetV4Bytes = 1472;
constexpr std::uint32_t kEthernetV6Bytes = 1448;

struct Keys {
    std::uint64_t mtu = 0, batch = 32, buffer = 4 * 1024 * 1024;
};

std::optional<Failure> read_keys(Query& query, Keys& keys) {
    query.bytes("mtu", keys.mtu, kMinFrameBytes, kMaxFrameBytes);
    query.count("batch", keys.batch, 1, 64);
    query.bytes("buffer", keys.buffer, 4096, 1 << 30);
    return query.finish();
}

}  // namespace

UdpPort::UdpPort(UdpSocket socket, std::uint32_t frame_bytes, unsigned batch, std::string url)
    : socket_(std::move(socket)),
      wait_fd_(::epoll_create1(EPOLL_CLOEXEC)),
      batch_(batch),
      rx_arena_(kRxSlots, kRxSlotBytes),
      tx_arena_(kTxBuffers, frame_bytes) {
    info_.url = std::move(url);
    info_.local = socket_.local;
    info_.kind = "udp";
    info_.max_frame_bytes = frame_bytes;
    info_.reliable_mtu = socket_.loopback;
    info_.has_interrupt = true;
    rx_free_.reserve(kRxSlots);
    for (std::uint32_t i = kRxSlots; i-- > 0;) rx_free_.push_back(i);
    tx_spare_.reserve(kTxBuffers);
    for (std::uint32_t i = kTxBuffers; i-- > 0;) tx_spare_.push_back(i);
}

UdpPort::~UdpPort() {
    if (wait_fd_ >= 0) ::close(wait_fd_);
    ::close(socket_.fd);
}

bool UdpPort::arm() noexcept {
    if (ready_count_ != 0) return false;
    epoll_event event{};
    event.events = EPOLLIN;
    return wait_fd_ < 0 || ::epoll_ctl(wait_fd_, EPOLL_CTL_ADD, socket_.fd, &event) == 0;
}

void UdpPort::disarm() noexcept {
    if (wait_fd_ >= 0) (void)::epoll_ctl(wait_fd_, EPOLL_CTL_DEL, socket_.fd, nullptr);
}

PortCounters UdpPort::counters() const noexcept {
    PortCounters c = counters_;
    // what the kernel dropped because the lane did not read in time
    std::uint32_t info[SK_MEMINFO_VARS] = {};
    socklen_t size = sizeof info;
    if (::getsockopt(socket_.fd, SOL_SOCKET, SO_MEMINFO, info, &size) == 0) c.rx_dropped += info[SK_MEMINFO_DROPS];
    return c;
}

OpenedPort open_udp(const PortUrl& url, Query& query) {
    Keys keys;
    if (auto failure = read_keys(query, keys)) return *failure;
    auto socket = open_udp_socket(url.body, keys.buffer, query);
    if (!socket) return socket.failure();
    const bool v6_only = socket->family == AF_INET6 && !url.body.empty() && url.body[0] != ':';
    if (keys.mtu == 0) keys.mtu = socket->loopback ? kMaxFrameBytes : v6_only ? kEthernetV6Bytes : kEthernetV4Bytes;
    return std::unique_ptr<Port>(std::make_unique<UdpPort>(std::move(*socket), static_cast<std::uint32_t>(keys.mtu),
                                                           static_cast<unsigned>(keys.batch), url.text));
}

Result<bool> check_udp(const PortUrl& url, Query& query) {
    Keys keys;
    if (auto failure = read_keys(query, keys)) return *failure;
    return check_udp_address(url.body, query);
}

Result<bool> check_udp_peer(const PortUrl&, std::string_view address) {
    return check_udp_target(address);
}

}  // namespace farlane::transport
