// SPDX-License-Identifier: Apache-2.0
// Receives: the bytes of a capture file. Hands on: its packets, and the Farlane frame in each.
// Owns: nothing; views point into the file. Classic pcap (https://www.ietf.org/archive/id/
// draft-ietf-opsawg-pcap), written by hand; every byte is hostile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace farlane::fldump {

using Bytes = std::span<const std::byte>;

enum class LinkType : std::uint32_t {
    null = 0,  ///< address family in 4 bytes, host order
    ethernet = 1,
    raw_ip = 101,
    loop = 108,  ///< address family in 4 bytes, network order
    linux_cooked = 113,
    linux_cooked2 = 276,
};

struct Packet {
    std::uint64_t seconds = 0;
    std::uint32_t nanoseconds = 0;
    std::uint32_t original_bytes = 0;  ///< on the wire; more than data.size() when it was cut
    Bytes data;
};

/// Walks a capture. One that is cut in the middle ends with truncated().
class CaptureReader {
public:
    /// nullopt: not a classic pcap file.
    [[nodiscard]] static std::optional<CaptureReader> open(Bytes file) noexcept;
    [[nodiscard]] LinkType link_type() const noexcept { return link_type_; }
    [[nodiscard]] bool next(Packet& out) noexcept;
    [[nodiscard]] bool truncated() const noexcept { return truncated_; }

private:
    explicit CaptureReader(Bytes rest) noexcept : rest_(rest) {}
    [[nodiscard]] std::uint32_t number(std::size_t at) const noexcept;

    Bytes rest_;
    bool swapped_ = false;
    bool nanoseconds_ = false;
    bool truncated_ = false;
    LinkType link_type_ = LinkType::ethernet;
};

/// True when the file begins like pcapng, which is not read.
[[nodiscard]] bool is_pcapng(Bytes file) noexcept;
[[nodiscard]] bool link_type_known(LinkType type) noexcept;

struct Datagram {
    std::string from, to;  ///< "10.0.0.1:4793", "[::1]:4793"; MAC addresses on raw Ethernet
    Bytes frame;           ///< what a port would have received
};

/// The Farlane frame of a packet: UDP from or to `udp_port`, or the EtherType of raw frames.
/// nullopt: other traffic, IP fragments, or cut off before the frame begins.
[[nodiscard]] std::optional<Datagram> find_frame(const Packet& packet, LinkType type, std::uint16_t udp_port);

}  // namespace farlane::fldump
