// SPDX-License-Identifier: Apache-2.0
// Receives: Ethernet frames, all hostile. Hands on: what of ARP, IPv4, ICMP echo and UDP is in them,
// and frames made of such. Owns: nothing. Pure: RFC 826, 791, 792, 768.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "node.hpp"

namespace farlane::link {

using Mac = std::array<std::uint8_t, 6>;
using Frame = std::vector<std::byte>;

constexpr std::size_t kEthernetBytes = 14;
constexpr std::size_t kIpv4Bytes = 20;
constexpr std::size_t kUdpBytes = 8;

struct Ethernet {
    Mac to{}, from{};
    std::uint16_t type = 0;
    Bytes payload;
};

struct Arp {
    bool request = false;
    Mac sender_mac{};
    std::uint32_t sender = 0, target = 0;  ///< IPv4, host order
};

struct Ipv4 {
    std::uint32_t from = 0, to = 0;
    std::uint8_t protocol = 0;
    bool fragment = false;
    Bytes payload;
};

struct Udp {
    std::uint16_t from = 0, to = 0;
    Bytes payload;
};

/// Both ends of a datagram.
struct Route {
    Mac from_mac{}, to_mac{};
    std::uint32_t from = 0, to = 0;
    std::uint16_t from_port = 0, to_port = 0;
};

[[nodiscard]] std::optional<Ethernet> parse_ethernet(Bytes frame) noexcept;
[[nodiscard]] std::optional<Arp> parse_arp(const Ethernet& in) noexcept;
/// Nothing also when the header's checksum is wrong: a host drops such a packet.
[[nodiscard]] std::optional<Ipv4> parse_ipv4(const Ethernet& in) noexcept;
/// The checksum is not looked at: bits that the link flipped shall reach Farlane's own check.
[[nodiscard]] std::optional<Udp> parse_udp(const Ipv4& in) noexcept;

[[nodiscard]] Frame make_arp_reply(const Arp& request, const Mac& own);
/// A datagram without a checksum (RFC 768 allows it), for the same reason.
[[nodiscard]] Frame make_udp(const Route& route, Bytes payload);
/// The answer to an echo request; nothing when it is none.
[[nodiscard]] std::optional<Frame> make_echo_reply(const Ethernet& frame, const Ipv4& in, const Mac& own);

/// "02:00:00:00:00:01", "10.77.0.2"; nothing when malformed.
[[nodiscard]] std::optional<Mac> parse_mac(std::string_view text);
[[nodiscard]] std::optional<std::uint32_t> parse_address(const std::string& text);
[[nodiscard]] std::string address_text(std::uint32_t address);

}  // namespace farlane::link
