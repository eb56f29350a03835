// SPDX-License-Identifier: Apache-2.0
// Receives: a port number. Hands on: frames over connected UDP sockets on loopback, spinning.
// Owns: the socket and its buffers.
#include <array>
#include <stdexcept>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.hpp"

namespace limits {
namespace {

constexpr std::size_t kFrameBytes = 9728;

sockaddr_in loopback(int port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<std::uint16_t>(port));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

class UdpWire final : public Wire {
public:
    UdpWire(int own, int peer)
        : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)), buffers_(kMaxBurst * kFrameBytes) {
        const sockaddr_in here = loopback(own), there = loopback(peer);
        const int size = 4 << 20;
        (void)!::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        if (::bind(fd_, reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0 ||
            ::connect(fd_, reinterpret_cast<const sockaddr*>(&there), sizeof there) != 0)
            throw std::runtime_error("udp socket");
        for (std::uint32_t i = 0; i < kMaxBurst; ++i) {
            parts_[i] = {buffer(i), kFrameBytes};
            messages_[i].msg_hdr.msg_iov = &parts_[i];
            messages_[i].msg_hdr.msg_iovlen = 1;
        }
    }
    ~UdpWire() override { ::close(fd_); }

    std::uint32_t send(std::uint32_t count, std::uint32_t bytes, const Write& write) override {
        for (std::uint32_t i = 0; i < count; ++i) {
            write(buffer(i), i);
            parts_[i].iov_len = bytes;
        }
        const int n = ::sendmmsg(fd_, messages_.data(), count, MSG_DONTWAIT);
        return n > 0 ? static_cast<std::uint32_t>(n) : 0;
    }
    std::uint32_t receive(std::uint32_t most, const Read& read) override {
        for (std::uint32_t i = 0; i < most; ++i) parts_[i].iov_len = kFrameBytes;
        const int n = ::recvmmsg(fd_, messages_.data(), most, MSG_DONTWAIT, nullptr);
        if (n <= 0) return 0;
        for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(n); ++i) read(buffer(i), messages_[i].msg_len);
        return static_cast<std::uint32_t>(n);
    }

private:
    std::byte* buffer(std::uint32_t i) { return buffers_.data() + i * kFrameBytes; }
    int fd_;
    std::vector<std::byte> buffers_;
    std::array<iovec, kMaxBurst> parts_{};
    std::array<mmsghdr, kMaxBurst> messages_{};
};

}  // namespace

std::unique_ptr<Wire> open_udp_wire(int end, int port) {
    return std::make_unique<UdpWire>(port + end, port + 1 - end);
}

}  // namespace limits
