// SPDX-License-Identifier: Apache-2.0
// Receives: datagrams of two farlaned, and a rule. Hands on: what the rule makes of them. Owns: see liar.hpp.
#include "failures/liar.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <farlane/uapi/frame.h>

namespace farlane::test {
namespace {

constexpr int kSocketBufferBytes = 4 << 20;
constexpr int kLookMs = 10;  // how often it looks whether it is to stop
constexpr std::size_t kMostHeld = 65536;
constexpr unsigned kFramesPerTurn = 256;

sockaddr_in loopback(unsigned port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(static_cast<std::uint16_t>(port));
    return at;
}

control::UniqueFd bound_socket() {
    control::UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const sockaddr_in any = loopback(0);
    if (!fd.valid() || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0)
        throw std::runtime_error("no socket for the link");
    for (const int what : {SO_RCVBUF, SO_SNDBUF})
        (void)!::setsockopt(fd.get(), SOL_SOCKET, what, &kSocketBufferBytes, sizeof kSocketBufferBytes);
    return fd;
}

}  // namespace

Liar::Liar(unsigned target_port) : near_(bound_socket()), far_(bound_socket()), target_port_(target_port) {
    sockaddr_in at{};
    socklen_t size = sizeof at;
    if (::getsockname(near_.get(), reinterpret_cast<sockaddr*>(&at), &size) != 0)
        throw std::runtime_error("getsockname");
    port_ = ntohs(at.sin_port);
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

Liar::~Liar() {
    thread_.request_stop();
    thread_.join();
}

void Liar::set(Rule rule) {
    const std::scoped_lock lock(mutex_);
    rule_ = std::move(rule);
}

void Liar::send(Way way, std::span<const std::byte> frame) {
    const unsigned port = way == to_target ? target_port_ : near_port_;
    if (port == 0) return;
    const sockaddr_in to = loopback(port);
    const int fd = (way == to_target ? far_ : near_).get();
    (void)!::sendto(fd, frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
}

void Liar::hold(Way way, std::span<const std::byte> frame, Clock::duration how_long) {
    if (held_.size() < kMostHeld) held_.push({Clock::now() + how_long, way, {frame.begin(), frame.end()}});
}

void Liar::arrived(Way way) {
    std::array<std::byte, FL_FRAME_MAX_BYTES + 64> buffer{};
    const int fd = (way == to_target ? near_ : far_).get();
    for (unsigned i = 0; i < kFramesPerTurn; ++i) {
        sockaddr_in from{};
        socklen_t size = sizeof from;
        const ssize_t got = ::recvfrom(fd, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
        if (got < 0) return;
        if (way == to_target) near_port_ = ntohs(from.sin_port);
        const auto frame = std::span(buffer).first(static_cast<std::size_t>(got));
        const std::scoped_lock lock(mutex_);
        rule_ ? rule_(way, frame) : send(way, frame);
    }
}

int Liar::wait_ms() const {
    if (held_.empty()) return kLookMs;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(held_.top().at - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, kLookMs));
}

void Liar::run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        std::array<pollfd, 2> fds{{{near_.get(), POLLIN, 0}, {far_.get(), POLLIN, 0}}};
        (void)::poll(fds.data(), fds.size(), wait_ms());
        if (fds[0].revents != 0) arrived(to_target);
        if (fds[1].revents != 0) arrived(to_initiator);
        while (!held_.empty() && held_.top().at <= Clock::now()) {
            send(held_.top().way, held_.top().frame);
            held_.pop();
        }
    }
}

}  // namespace farlane::test
