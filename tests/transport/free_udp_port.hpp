// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: a UDP port of 127.0.0.1 that nothing uses and that no `udp:127.0.0.1:0` is given.
// Owns: the count of those handed out in this process.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <stdexcept>

namespace farlane::test {

/// Below the kernel's range of ports for sockets without one; each process begins elsewhere, so that programs side by
/// side do not choose the same before either has opened it.
[[nodiscard]] inline unsigned free_udp_port() {
    constexpr unsigned kFirst = 10000, kCount = 20000;
    static std::atomic<unsigned> next = static_cast<unsigned>(getpid()) * 97;  // some tests open pairs in threads
    for (unsigned tries = 0; tries < kCount; ++tries) {
        const unsigned port = kFirst + next++ % kCount;
        const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        at.sin_port = htons(static_cast<std::uint16_t>(port));
        const bool is_free = ::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
        ::close(fd);
        if (is_free) return port;
    }
    throw std::runtime_error("no free udp port");
}

}  // namespace farlane::test
