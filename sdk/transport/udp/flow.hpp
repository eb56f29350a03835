// SPDX-License-Identifier: Apache-2.0
// Receives: who each message of a UDP port comes from. Hands on: a socket connected to the one peer that the port talks
// with, if there is one. Owns: that socket, and the descriptor that waits for it and the port's own.
#pragma once

#include "transport/udp/socket.hpp"

namespace farlane::transport {

/// What goes through a connected socket needs no look at the routes (0.35 us at each end of a round trip). It has the
/// address of the port's own socket, which goes on taking what comes from others.
class UdpFlow {
public:
    explicit UdpFlow(UdpSocket& common);
    ~UdpFlow();
    UdpFlow(const UdpFlow&) = delete;
    UdpFlow& operator=(const UdpFlow&) = delete;

    /// Readable when either socket is, between arm() and disarm(). Only then do they wake anybody, which costs each
    /// frame that comes 0.3 us; false: that can not be had now.
    [[nodiscard]] int wait_fd() const noexcept { return wait_fd_ >= 0 ? wait_fd_ : common_.fd; }
    [[nodiscard]] bool arm() noexcept;
    void disarm() noexcept;
    [[nodiscard]] int fd() const noexcept { return fd_; }
    [[nodiscard]] bool leads_to(const Address& to) const noexcept { return open_ && to == peer_; }

    /// Before the flow's socket the common one is emptied: what its peer sent earlier lies there.
    [[nodiscard]] bool is_due() const noexcept { return open_ && draining_ == 0; }

    /// A message came through the common socket. Of enough in a row from one peer a flow is made.
    void came_to_common(const Address& from) noexcept;
    /// Whether the common socket is to be looked at now: where a flow is heard and nobody else is, now and then.
    [[nodiscard]] bool common_is_due() noexcept;
    void common_had(bool something) noexcept;

    void sent() noexcept { ++unanswered_; }
    /// What a look at the flow's socket found. One through which nothing comes back is given up: the address that it is
    /// bound to may not be the one that a route leads back to any more.
    void flow_had(bool something) noexcept;
    void close() noexcept;

private:
    static constexpr unsigned kMessages = 512;  // in a row, from one peer
    static constexpr unsigned kUnanswered = 8;  // frames sent
    static constexpr std::int64_t kSilentNs = 1'000'000'000;
    static constexpr unsigned kCommonEvery = 16;   // looks
    static constexpr unsigned kCommonActive = 64;  // looks without anything, until it is quiet
    static constexpr unsigned kDrainLooks = 64;    // at most: others may keep it full

    UdpSocket& common_;
    int wait_fd_ = -1;
    int fd_ = -1;        // there from the beginning: a program has as many descriptors after an hour as after a second
    bool open_ = false;  // it is connected
    bool possible_;
    bool heard_ = false;  // since it was opened
    Address peer_, candidate_;
    unsigned in_row_ = 0, unanswered_ = 0, since_common_ = 0, common_quiet_ = 0, draining_ = 0;
    std::int64_t silent_since_ns_ = 0;  // 0 = it is not
};

}  // namespace farlane::transport
