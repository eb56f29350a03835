// SPDX-License-Identifier: Apache-2.0
// Receives: bytes and descriptors of a unix socket. Hands on: whole messages; sends them.
// Owns: descriptors between arrival and next(). docs/control-socket.md, "Framing".
#include "lib/daemon_wire.hpp"

#include <array>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace farlane::control {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;

union ControlBuffer {
    cmsghdr align;
    std::array<char, CMSG_SPACE(sizeof(int) * kMaxFdsPerMessage)> bytes;
};

// Every descriptor the kernel gave us is owned before anything else can fail.
std::vector<UniqueFd> take_fds(msghdr& head) {
    std::vector<UniqueFd> fds;
    for (cmsghdr* c = CMSG_FIRSTHDR(&head); c != nullptr; c = CMSG_NXTHDR(&head, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            fds.emplace_back(fd);
        }
    }
    return fds;
}

Status status_of_errno(int error) noexcept {
    if (error == EAGAIN || error == EWOULDBLOCK || error == EINTR) return Status::would_block;
    if (error == EPIPE || error == ECONNRESET) return Status::unreachable;
    return Status::io;
}

}  // namespace

void UniqueFd::reset(int fd) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
}

Status MessageReader::read_from(int fd) {
    std::array<char, kReadBytes> chunk;
    ControlBuffer control;
    iovec iov{chunk.data(), chunk.size()};
    msghdr head{};
    head.msg_iov = &iov;
    head.msg_iovlen = 1;
    head.msg_control = control.bytes.data();
    head.msg_controllen = control.bytes.size();
    const ssize_t got = ::recvmsg(fd, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) return status_of_errno(errno);
    std::vector<UniqueFd> fds = take_fds(head);
    if ((head.msg_flags & MSG_CTRUNC) != 0) return Status::limit;
    if (got == 0) return Status::unreachable;

    std::string_view rest(chunk.data(), static_cast<std::size_t>(got));
    while (!rest.empty()) {
        const std::size_t newline = rest.find('\n');
        const std::size_t part = newline == std::string_view::npos ? rest.size() : newline;
        if (buffer_.size() + part > max_bytes_) return Status::limit;
        buffer_.append(rest.substr(0, part));
        if (newline == std::string_view::npos) break;
        rest.remove_prefix(newline + 1);
        ready_.push_back({std::exchange(buffer_, {}), std::exchange(fds_, {})});
    }
    // The kernel ends a read behind the bytes that carry descriptors, and they travel with the
    // first byte of their message: so they belong to the last message begun in this read.
    if (!fds.empty()) {
        std::vector<UniqueFd>& owner = buffer_.empty() && !ready_.empty() ? ready_.back().fds : fds_;
        if (owner.size() + fds.size() > kMaxFdsPerMessage) return Status::limit;
        for (UniqueFd& f : fds) owner.push_back(std::move(f));
    }
    return Status::ok;
}

std::optional<Message> MessageReader::next() {
    if (ready_.empty()) return std::nullopt;
    Message m = std::move(ready_.front());
    ready_.pop_front();
    return m;
}

void MessageWriter::push(std::string text, std::vector<UniqueFd> fds) {
    text.push_back('\n');
    bytes_ += text.size();
    queue_.push_back({std::move(text), std::move(fds)});
}

Status MessageWriter::write_to(int fd) {
    while (!queue_.empty()) {
        Message& m = queue_.front();
        iovec iov{m.text.data() + sent_of_first_, m.text.size() - sent_of_first_};
        msghdr head{};
        head.msg_iov = &iov;
        head.msg_iovlen = 1;
        ControlBuffer control{};
        if (!m.fds.empty()) {
            head.msg_control = control.bytes.data();
            head.msg_controllen = CMSG_SPACE(sizeof(int) * m.fds.size());
            cmsghdr* c = CMSG_FIRSTHDR(&head);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(sizeof(int) * m.fds.size());
            for (std::size_t i = 0; i < m.fds.size(); ++i) {
                const int value = m.fds[i].get();
                std::memcpy(CMSG_DATA(c) + i * sizeof(int), &value, sizeof value);
            }
        }
        const ssize_t sent = ::sendmsg(fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) return status_of_errno(errno);
        m.fds.clear();
        sent_of_first_ += static_cast<std::size_t>(sent);
        bytes_ -= static_cast<std::size_t>(sent);
        if (sent_of_first_ == m.text.size()) {
            queue_.pop_front();
            sent_of_first_ = 0;
        }
    }
    return Status::ok;
}

Result<UniqueFd> connect_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return {Status::invalid, "socket path '" + path + "' is empty or longer than " +
                                     std::to_string(sizeof address.sun_path - 1) + " bytes"};
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return {Status::io, std::string("socket: ") + std::strerror(errno)};
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    const std::string why = std::strerror(errno);
    switch (errno) {
        case ENOENT:
        case ECONNREFUSED:
            return {Status::unreachable, "no farlaned answers on " + path + " (" + why +
                                             "): start it, or name its socket ([daemon] socket of its configuration)"};
        case EACCES:
        case EPERM:
            return {Status::denied,
                    "no permission to open " + path + ": ask for membership of the group in [daemon] socket_group"};
        case EAGAIN: return {Status::busy, "farlaned on " + path + " has too many connections waiting; try again"};
        default: return {Status::io, "connect " + path + ": " + why};
    }
}

}  // namespace farlane::control
