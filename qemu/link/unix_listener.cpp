// SPDX-License-Identifier: Apache-2.0
// Receives: a path. Hands on: a listening unix socket there, for its owner alone.
// Owns: nothing; the caller closes and unlinks it.
#include "unix_listener.hpp"

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace farlane::link {
namespace {

constexpr int kBacklog = 16;

bool somebody_listens(const sockaddr_un& at) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool yes = fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
    ::close(fd);
    return yes;
}

[[noreturn]] void fail(int fd, const std::string& path, int error) {
    if (fd >= 0) ::close(fd);
    throw std::runtime_error("cannot listen on " + path + ": " + std::strerror(error));
}

}  // namespace

int listen_unix(const std::string& path) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof at.sun_path)
        throw std::runtime_error("cannot listen on '" + path + "': a socket's path has 1 to 107 bytes");
    path.copy(at.sun_path, path.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) fail(fd, path, errno);
    struct stat entry {};
    if (::lstat(path.c_str(), &entry) == 0) {
        if (!S_ISSOCK(entry.st_mode) || somebody_listens(at)) fail(fd, path, EADDRINUSE);
        ::unlink(path.c_str());
    }
    const mode_t before = ::umask(0177);
    const int bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at);
    ::umask(before);
    if (bound != 0 || ::listen(fd, kBacklog) != 0) fail(fd, path, errno);
    return fd;
}

}  // namespace farlane::link
