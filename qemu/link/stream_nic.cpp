// SPDX-License-Identifier: Apache-2.0
// Receives: frames of a QEMU NIC ("-netdev stream": a length of 4 bytes, big endian, then the frame)
// and of the link. Hands on: them. Owns: the listening socket, the connection and its buffers.
#include "stream_nic.hpp"

#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "direction.hpp"
#include "unix_listener.hpp"

namespace farlane::link {
namespace {

constexpr std::size_t kLongestFrame = 65536 + 64;  // what QEMU itself accepts, about
constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kMostWaitingBytes = 1024 * 1024;
constexpr std::size_t kPrefixBytes = 4;

}  // namespace

StreamNic::StreamNic(std::string name, std::string path, Loop& loop)
    : Node(std::move(name)), path_(std::move(path)), loop_(loop) {
    listener_ = listen_unix(path_);
    loop_.add(listener_, EPOLLIN, [this](std::uint32_t) { accept_one(); });
}

StreamNic::~StreamNic() {
    disconnect();
    loop_.remove(listener_);
    ::close(listener_);
    ::unlink(path_.c_str());
}

void StreamNic::accept_one() {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (connection_ >= 0) {
        ++refused_;
        ::close(fd);
        return;
    }
    ++connections_;
    connection_ = fd;
    loop_.add(fd, EPOLLIN, [this](std::uint32_t events) { on_ready(events); });
}

void StreamNic::on_ready(std::uint32_t events) {
    if ((events & EPOLLOUT) != 0) flush();
    if (connection_ >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_frames();
}

void StreamNic::read_frames() {
    const std::size_t before = in_.size();
    in_.resize(before + kReadBytes);
    const ssize_t got = ::recv(connection_, in_.data() + before, kReadBytes, 0);
    in_.resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return disconnect();
    if (!take_frames()) {
        ++malformed_;
        disconnect();
    }
}

// Hands over the whole frames in in_ and keeps the rest; false when a length is impossible.
bool StreamNic::take_frames() {
    const std::int64_t now_ns = Loop::now_ns();
    std::size_t at = 0;
    while (in_.size() - at >= kPrefixBytes) {
        std::uint32_t size = 0;
        std::memcpy(&size, in_.data() + at, sizeof size);
        size = ntohl(size);
        if (size == 0 || size > kLongestFrame) return false;
        if (in_.size() - at - kPrefixBytes < size) break;
        out(0).send(Bytes(in_).subspan(at + kPrefixBytes, size), now_ns);
        at += kPrefixBytes + size;
    }
    in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(at));
    return true;
}

void StreamNic::receive(std::size_t, Bytes frame, std::int64_t) {
    if (connection_ < 0) {
        ++unconnected_;
        return;
    }
    if (out_.size() - out_begin_ + frame.size() > kMostWaitingBytes) {
        ++ring_full_;
        return;
    }
    const bool idle = out_.empty();
    const std::uint32_t size = htonl(static_cast<std::uint32_t>(frame.size()));
    const auto prefix = std::as_bytes(std::span(&size, 1));
    out_.insert(out_.end(), prefix.begin(), prefix.end());
    out_.insert(out_.end(), frame.begin(), frame.end());
    if (idle) flush();
}

void StreamNic::flush() {
    while (out_begin_ < out_.size()) {
        const ssize_t sent = ::send(connection_, out_.data() + out_begin_, out_.size() - out_begin_, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) return loop_.change(connection_, EPOLLIN | EPOLLOUT);
        if (sent < 0) return disconnect();
        out_begin_ += static_cast<std::size_t>(sent);
    }
    out_.clear();
    out_begin_ = 0;
    loop_.change(connection_, EPOLLIN);
}

void StreamNic::disconnect() {
    if (connection_ < 0) return;
    loop_.remove(connection_);
    ::close(connection_);
    connection_ = -1;
    in_.clear();
    out_.clear();
    out_begin_ = 0;
}

nlohmann::json StreamNic::stats() const {
    return {{"kind", "stream"},           {"connected", connection_ >= 0}, {"connections", connections_},
            {"refused", refused_},        {"malformed", malformed_},       {"ring_full", ring_full_},
            {"unconnected", unconnected_}};
}

}  // namespace farlane::link
