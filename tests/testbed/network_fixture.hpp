// SPDX-License-Identifier: Apache-2.0
// A network of the link emulator in this process, with sockets where QEMU and daemons would be.
#pragma once

#include <string>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "loop.hpp"
#include "network.hpp"
#include "testbed/frames.hpp"

namespace farlane::link::test {

/// A folder for sockets that is gone with the test.
class Folder {
public:
    Folder() {
        char name[] = "/tmp/farlane-link-test-XXXXXX";
        if (::mkdtemp(name) != nullptr) path_ = name;
    }
    ~Folder() {
        const std::string command = "rm -rf '" + path_ + "'";
        (void)!::system(command.c_str());
    }
    [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

inline int connect_unix(const std::string& path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path.copy(at.sun_path, sizeof at.sun_path - 1);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0) << path;
    return fd;
}

/// The end of a QEMU NIC.
class Nic {
public:
    explicit Nic(const std::string& path) : fd_(connect_unix(path)) {}
    ~Nic() { ::close(fd_); }
    Nic(const Nic&) = delete;
    Nic& operator=(const Nic&) = delete;

    void send(Bytes frame) const {
        const std::uint32_t size = __builtin_bswap32(static_cast<std::uint32_t>(frame.size()));
        raw(std::as_bytes(std::span(&size, 1)));
        raw(frame);
    }
    void raw(Bytes bytes) const {
        ASSERT_EQ(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    }
    /// The next frame, when one is there.
    [[nodiscard]] std::optional<Frame> next() {
        std::byte bytes[65536];
        const ssize_t got = ::recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got > 0) in_.insert(in_.end(), bytes, bytes + got);
        ended_ = got == 0;
        if (in_.size() < 4) return {};
        std::uint32_t size = 0;
        std::memcpy(&size, in_.data(), 4);
        size = __builtin_bswap32(size);
        if (in_.size() < 4 + size) return {};
        const auto end = in_.begin() + 4 + static_cast<std::ptrdiff_t>(size);
        Frame frame(in_.begin() + 4, end);
        in_.erase(in_.begin(), end);
        return frame;
    }
    [[nodiscard]] bool ended() const { return ended_; }

private:
    int fd_;
    std::vector<std::byte> in_;
    bool ended_ = false;
};

/// Runs a loop and its network until something is there, for at most 20 s.
template <typename Ready>
auto run_until(Loop& loop, Network& network, Ready ready) {
    const std::int64_t end_ns = Loop::now_ns() + 20'000'000'000;
    for (;;) {
        auto value = ready();
        if (value || Loop::now_ns() > end_ns) return value;
        const bool more = network.deliver_due(Loop::now_ns());
        loop.run_once(more ? 0 : std::min(network.next_due_ns(), Loop::now_ns() + 1'000'000));
    }
}

}  // namespace farlane::link::test
