// SPDX-License-Identifier: Apache-2.0
// Receives: paths. Hands on: unix sockets.
// Owns: file descriptors.
#include "transport/dpdk/unix_socket.hpp"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "transport/dpdk/peer.hpp"

namespace farlane::transport::dpdk {
namespace {

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
