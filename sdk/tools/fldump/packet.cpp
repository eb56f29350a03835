// SPDX-License-Identifier: Apache-2.0
// Receives: one captured packet. Hands on: the Farlane frame in it, with who sent it to whom.
// Owns: nothing. IEEE 802.3 and 802.1Q, RFC 791, RFC 8200, RFC 768, Linux cooked captures.
#include <arpa/inet.h>

#include <array>
#include <cstdio>

#include <farlane/uapi/frame.h>

#include "tools/fldump/capture.hpp"

namespace farlane::fldump {

namespace {

constexpr std::uint16_t kEtherIpv4 = 0x0800, kEtherIpv6 = 0x86dd, kEtherVlan = 0x8100, kEtherQinq = 0x88a8;
constexpr std::uint8_t kProtoUdp = 17;
constexpr unsigned kMaxVlanTags = 4, kMaxExtensionHeaders = 8;

std::uint8_t byte_at(Bytes b, std::size_t at) noexcept {
    return std::to_integer<std::uint8_t>(b[at]);
}

std::uint16_t big16(Bytes b, std::size_t at) noexcept {
    return static_cast<std::uint16_t>(byte_at(b, at) << 8 | byte_at(b, at + 1));
}

std::string ip_text(int family, Bytes address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(family, address.data(), text.data(), text.size());
    return family == AF_INET6 ? "[" + std::string(text.data()) + "]" : std::string(text.data());
}

std::string mac_text(Bytes mac) {
    std::array<char, 18> text{};
    std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", byte_at(mac, 0), byte_at(mac, 1),
                  byte_at(mac, 2), byte_at(mac, 3), byte_at(mac, 4), byte_at(mac, 5));
    return text.data();
}

std::optional<Datagram> from_udp(Bytes b, std::string from, std::string to, std::uint16_t port) {
    if (b.size() < 8) return std::nullopt;
    const std::uint16_t source = big16(b, 0), destination = big16(b, 2), length = big16(b, 4);
    if ((source != port && destination != port) || length < 8) return std::nullopt;
    const std::size_t end = std::min<std::size_t>(length, b.size());
    return Datagram{std::move(from) + ":" + std::to_string(source), std::move(to) + ":" + std::to_string(destination),
                    b.subspan(8, end - 8)};
}

std::optional<Datagram> from_ipv4(Bytes b, std::uint16_t port) {
    if (b.size() < 20 || byte_at(b, 0) >> 4 != 4) return std::nullopt;
    const std::size_t header = (byte_at(b, 0) & 0x0fu) * 4u, total = big16(b, 2);
    const bool fragment = (big16(b, 6) & 0x3fff) != 0;  // more fragments, or not the first
    if (header < 20 || header > b.size() || total < header || fragment || byte_at(b, 9) != kProtoUdp)
        return std::nullopt;
    const Bytes payload = b.subspan(header, std::min(total, b.size()) - header);
    return from_udp(payload, ip_text(AF_INET, b.subspan(12, 4)), ip_text(AF_INET, b.subspan(16, 4)), port);
}

std::optional<Datagram> from_ipv6(Bytes b, std::uint16_t port) {
    if (b.size() < 40 || byte_at(b, 0) >> 4 != 6) return std::nullopt;
    std::uint8_t next = byte_at(b, 6);
    Bytes rest = b.subspan(40, std::min<std::size_t>(big16(b, 4), b.size() - 40));
    // Hop-by-hop, routing and destination options may stand before UDP.
    for (unsigned n = 0; n < kMaxExtensionHeaders && (next == 0 || next == 43 || next == 60); ++n) {
        if (rest.size() < 8) return std::nullopt;
        const std::size_t bytes = (byte_at(rest, 1) + 1u) * 8u;
        if (bytes > rest.size()) return std::nullopt;
        next = byte_at(rest, 0);
        rest = rest.subspan(bytes);
    }
    if (next != kProtoUdp) return std::nullopt;
    return from_udp(rest, ip_text(AF_INET6, b.subspan(8, 16)), ip_text(AF_INET6, b.subspan(24, 16)), port);
}

std::optional<Datagram> from_ip(Bytes b, std::uint16_t port) {
    if (b.empty()) return std::nullopt;
    return byte_at(b, 0) >> 4 == 4 ? from_ipv4(b, port) : from_ipv6(b, port);
}

// `b` begins behind the EtherType `type`.
std::optional<Datagram> from_ether_type(std::uint16_t type, Bytes b, Bytes macs, std::uint16_t port) {
    for (unsigned n = 0; n < kMaxVlanTags && (type == kEtherVlan || type == kEtherQinq); ++n) {
        if (b.size() < 4) return std::nullopt;
        type = big16(b, 2);
        b = b.subspan(4);
    }
    if (type == kEtherIpv4) return from_ipv4(b, port);
    if (type == kEtherIpv6) return from_ipv6(b, port);
    if (type != FL_ETHERTYPE) return std::nullopt;
    if (macs.empty()) return Datagram{"?", "?", b};
    return Datagram{mac_text(macs.subspan(6, 6)), mac_text(macs.first(6)), b};
}

}  // namespace

std::optional<Datagram> find_frame(const Packet& packet, LinkType type, std::uint16_t udp_port) {
    const Bytes b = packet.data;
    switch (type) {
        case LinkType::ethernet:
            if (b.size() < 14) return std::nullopt;
            return from_ether_type(big16(b, 12), b.subspan(14), b.first(12), udp_port);
        case LinkType::linux_cooked:
            if (b.size() < 16) return std::nullopt;
            return from_ether_type(big16(b, 14), b.subspan(16), {}, udp_port);
        case LinkType::linux_cooked2:
            if (b.size() < 20) return std::nullopt;
            return from_ether_type(big16(b, 0), b.subspan(20), {}, udp_port);
        case LinkType::raw_ip: return from_ip(b, udp_port);
        case LinkType::null:
        case LinkType::loop:
            if (b.size() < 4) return std::nullopt;
            return from_ip(b.subspan(4), udp_port);
    }
    return std::nullopt;
}

}  // namespace farlane::fldump
