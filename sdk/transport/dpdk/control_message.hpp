// SPDX-License-Identifier: Apache-2.0
// Receives: control messages of a driver or its peer. Hands on: them, with their descriptors, or
// answers in place of a peer that is gone. Owns: descriptors on their way.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include <sys/socket.h>

#include "transport/dpdk/unix_socket.hpp"

namespace farlane::transport::dpdk {

/// How messages are told apart: by the socket (SOCK_SEQPACKET), or by their header.
enum class Framing : std::uint8_t { packets, vhost_user };

enum class Received : std::uint8_t { message, nothing, end };

/// What a vhost-user driver waits for when it has sent a message.
struct Question {
    std::uint32_t request = 0;
    std::uint32_t index = 0;  // of the ring, where it has one
};

/// Where a memif ring is.
struct MemifRing {
    bool to_server = false;  // the direction of its frames
    std::uint16_t index = 0, region = 0;
    std::uint32_t offset = 0;  // in the region
};

/// One message with the descriptors in it, which are closed with it. vhost-user's are below
/// 1 KiB and bring up to 8 descriptors; memif's are smaller.
class ControlMessage {
public:
    ControlMessage();
    ~ControlMessage();
    ControlMessage(const ControlMessage&) = delete;
    ControlMessage& operator=(const ControlMessage&) = delete;

    /// Does not wait, except for the rest of a message that has begun.
    [[nodiscard]] Received receive(const Fd& from, Framing framing);
    /// False: the receiver is gone.
    [[nodiscard]] bool send(const Fd& to);

    // vhost-user only
    /// True when its sender waits for an answer.
    [[nodiscard]] bool asks(Question& question) const;
    /// The descriptor by which the peer announces frames, when this message sets it; else invalid.
    [[nodiscard]] Fd receive_interrupt() const;

    // memif only
    /// The number of the region of memory that this message brings, with its descriptor.
    [[nodiscard]] std::optional<std::uint16_t> added_region() const;
    /// The ring that this message describes; its descriptor is the one that announces frames.
    [[nodiscard]] std::optional<MemifRing> added_ring() const;
    /// The last message that makes the connection: after it, a peer has nothing to say but its end.
    [[nodiscard]] bool connects() const;
    [[nodiscard]] bool brings_descriptor() const { return first_descriptor() >= 0; }
    /// A copy of the first descriptor; invalid when there is none.
    [[nodiscard]] Fd descriptor() const;

private:
    [[nodiscard]] bool read_rest(const Fd& from);
    [[nodiscard]] std::uint32_t word(std::size_t offset) const;
    [[nodiscard]] std::uint16_t half(std::size_t offset) const { return static_cast<std::uint16_t>(word(offset)); }
    [[nodiscard]] int first_descriptor() const;

    static constexpr std::size_t kMaxBytes = 4096, kMaxDescriptors = 16;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxDescriptors * sizeof(int))> control_{};
    std::array<char, kMaxBytes> data_{};
    std::size_t bytes_ = 0;
    iovec part_{};
    msghdr header_{};
};

/// Answers in place of a peer that is gone: success, and no features.
void answer(const Fd& driver, const Question& question);

/// memif: in place of a client that is gone, the message that makes the connection.
void connect(const Fd& driver);

}  // namespace farlane::transport::dpdk
