// SPDX-License-Identifier: Apache-2.0
// Receives: paths and messages. Hands on: unix sockets, and messages with their descriptors.
// Owns: file descriptors.
#pragma once

#include <cstdint>
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

/// How messages are told apart: by the socket (SOCK_SEQPACKET), or by their header.
enum class Framing : std::uint8_t { packets, vhost_user };

/// Passes one message on, with the descriptors in it. False: one of the two is gone.
[[nodiscard]] bool forward_message(const Fd& from, const Fd& to, Framing framing);

}  // namespace farlane::transport::dpdk
