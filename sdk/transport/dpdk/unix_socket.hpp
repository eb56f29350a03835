// SPDX-License-Identifier: Apache-2.0
// Receives: paths. Hands on: unix sockets.
// Owns: file descriptors.
#pragma once

#include <string>
#include <utility>

#include <unistd.h>

#include <farlane/status.hpp>

namespace farlane::transport::dpdk {

/// A file descriptor that closes itself.
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    ~Fd() {
        if (fd_ >= 0) ::close(fd_);
    }
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        Fd old(std::exchange(other.fd_, -1));
        return *this;
    }
    [[nodiscard]] int get() const noexcept { return fd_; }

private:
    int fd_ = -1;
};

[[nodiscard]] Result<Fd> listen_unix(const std::string& path, int type);
/// An invalid Fd when nobody is there.
[[nodiscard]] Fd connect_unix(const std::string& path, int type);
[[nodiscard]] Fd accept_unix(const Fd& listener);

/// Removes a socket file that nobody listens on, left by a process that was killed. A failure
/// names the file: somebody listens, or it is no socket.
[[nodiscard]] Result<bool> clear_socket(const std::string& path);

}  // namespace farlane::transport::dpdk
