// SPDX-License-Identifier: Apache-2.0
// Receives: paths and messages. Hands on: unix sockets, and messages with their descriptors.
// Owns: file descriptors.
#include "transport/dpdk/unix_socket.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "transport/dpdk/peer.hpp"

namespace farlane::transport::dpdk {
namespace {

constexpr std::size_t kMaxMessageBytes = 16384;  // vhost-user and memif messages are below 1 KiB
constexpr std::size_t kVhostHeaderBytes = 12;    // request, flags, size of the rest (vhost-user, "Header")
constexpr std::size_t kMaxDescriptors = 16;      // vhost-user sends up to 8 memory regions

sockaddr_un address_of(const std::string& path) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path.copy(at.sun_path, sizeof at.sun_path - 1);
    return at;
}

// A peer that does not read, or sends half a message, may not hold the control thread for ever.
void limit_waiting(int fd) {
    const timeval one_second{1, 0};
    (void)!::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &one_second, sizeof one_second);
    (void)!::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &one_second, sizeof one_second);
}

bool send_all(int fd, msghdr& message, std::size_t bytes) {
    const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0) return false;
    auto done = static_cast<std::size_t>(sent);
    const char* const data = static_cast<const char*>(message.msg_iov->iov_base);
    while (done < bytes) {  // the descriptors went with the first byte
        const ssize_t more = ::send(fd, data + done, bytes - done, MSG_NOSIGNAL);
        if (more <= 0) return false;
        done += static_cast<std::size_t>(more);
    }
    return true;
}

void close_descriptors(msghdr& message) {
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, reinterpret_cast<const char*>(c) + at, sizeof fd);
            ::close(fd);
        }
    }
}

// A stream has no boundaries, and descriptors belong to the message that they came with: messages
// must be passed on one by one. Messages are sent whole, so the rest is there or about to be.
bool read_vhost_rest(const Fd& from, std::array<char, kMaxMessageBytes>& data, std::size_t& bytes) {
    if (bytes != kVhostHeaderBytes) return false;
    std::uint32_t rest = 0;
    std::memcpy(&rest, data.data() + 8, sizeof rest);
    if (rest > data.size() - bytes) return false;
    while (rest > 0) {
        const ssize_t got = ::recv(from.get(), data.data() + bytes, rest, MSG_WAITALL);
        if (got <= 0) return false;
        bytes += static_cast<std::size_t>(got);
        rest -= static_cast<std::uint32_t>(got);
    }
    return true;
}

}  // namespace

Result<Fd> listen_unix(const std::string& path, int type) {
    Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    const sockaddr_un at = address_of(path);
    if (fd.get() < 0 || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 ||
        ::listen(fd.get(), 1) != 0)
        return {Status::io, "cannot listen on " + path + ": " + std::strerror(errno)};
    return fd;
}

Fd connect_unix(const std::string& path, int type) {
    Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    const sockaddr_un at = address_of(path);
    if (fd.get() < 0 || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) return {};
    limit_waiting(fd.get());
    return fd;
}

Fd accept_unix(const Fd& listener) {
    Fd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (fd.get() >= 0) limit_waiting(fd.get());
    return fd;
}

bool forward_message(const Fd& from, const Fd& to, Framing framing) {
    std::array<char, kMaxMessageBytes> data;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxDescriptors * sizeof(int))> control;
    iovec part{data.data(), framing == Framing::vhost_user ? kVhostHeaderBytes : data.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(from.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    bool whole = got > 0 && (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0;
    auto bytes = static_cast<std::size_t>(got);
    if (whole && framing == Framing::vhost_user) whole = read_vhost_rest(from, data, bytes);
    message.msg_flags = 0;
    part.iov_len = bytes;
    const bool sent = whole && to.get() >= 0 && send_all(to.get(), message, bytes);
    close_descriptors(message);
    return sent;
}

Result<bool> clear_socket(const std::string& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return true;
    if (!S_ISSOCK(info.st_mode)) return {Status::invalid, path + " is there and is not a socket; choose another path"};
    for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
        const Fd probe = connect_unix(path, type);
        if (probe.get() >= 0 || errno == EAGAIN)
            return {Status::busy, "another process listens on " + path + "; choose another path, or stop it"};
    }
    if (::unlink(path.c_str()) != 0)
        return {Status::denied, "the old socket " + path + " cannot be removed: " + std::strerror(errno)};
    return true;
}

}  // namespace farlane::transport::dpdk
