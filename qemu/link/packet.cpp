// SPDX-License-Identifier: Apache-2.0
// Receives: Ethernet frames, all hostile. Hands on: what of ARP, IPv4, ICMP echo and UDP is in them,
// and frames made of such. Owns: nothing.
#include "packet.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace farlane::link {
namespace {

constexpr std::uint16_t kTypeIpv4 = 0x0800, kTypeArp = 0x0806;
constexpr std::uint8_t kEchoReply = 0, kEchoRequest = 8;
constexpr std::size_t kArpBytes = 28, kEchoBytes = 8;
constexpr std::size_t kShortestFrame = 60;  // without the check sequence

std::uint16_t be16(Bytes in, std::size_t at) noexcept {
    return static_cast<std::uint16_t>(std::to_integer<unsigned>(in[at]) << 8 | std::to_integer<unsigned>(in[at + 1]));
}
std::uint32_t be32(Bytes in, std::size_t at) noexcept {
    return std::uint32_t{be16(in, at)} << 16 | be16(in, at + 2);
}
Mac mac_at(Bytes in, std::size_t at) noexcept {
    Mac mac;
    std::memcpy(mac.data(), in.data() + at, mac.size());
    return mac;
}

// RFC 1071. Any length; an odd last byte counts as if a zero followed.
std::uint16_t checksum(Bytes in) noexcept {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i + 1 < in.size(); i += 2) sum += be16(in, i);
    if (in.size() % 2 != 0) sum += std::to_integer<unsigned>(in.back()) << 8;
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

class Writer {
public:
    explicit Writer(std::size_t reserve) { out_.reserve(std::max(reserve, kShortestFrame)); }
    void u8(unsigned v) { out_.push_back(static_cast<std::byte>(v)); }
    void u16(unsigned v) { u8(v >> 8 & 0xff), u8(v & 0xff); }
    void u32(std::uint32_t v) { u16(v >> 16), u16(v & 0xffff); }
    void mac(const Mac& m) {
        for (const auto b : m) u8(b);
    }
    void bytes(Bytes b) { out_.insert(out_.end(), b.begin(), b.end()); }
    void set16(std::size_t at, unsigned v) {
        out_[at] = static_cast<std::byte>(v >> 8 & 0xff);
        out_[at + 1] = static_cast<std::byte>(v & 0xff);
    }
    [[nodiscard]] Bytes from(std::size_t at, std::size_t size) const { return Bytes(out_).subspan(at, size); }
    [[nodiscard]] std::size_t size() const { return out_.size(); }
    Frame done() {
        if (out_.size() < kShortestFrame) out_.resize(kShortestFrame);
        return std::move(out_);
    }

private:
    Frame out_;
};

void put_ethernet(Writer& w, const Mac& to, const Mac& from, std::uint16_t type) {
    w.mac(to);
    w.mac(from);
    w.u16(type);
}

void put_ipv4(Writer& w, std::uint32_t from, std::uint32_t to, std::uint8_t protocol, std::size_t payload_bytes) {
    const std::size_t begin = w.size();
    w.u16(0x4500);
    w.u16(static_cast<unsigned>(kIpv4Bytes + payload_bytes));
    w.u32(0x00004000);  // no fragments, ever
    w.u8(64);
    w.u8(protocol);
    w.u16(0);
    w.u32(from);
    w.u32(to);
    w.set16(begin + 10, checksum(w.from(begin, kIpv4Bytes)));
}

}  // namespace

std::optional<Ethernet> parse_ethernet(Bytes frame) noexcept {
    if (frame.size() < kEthernetBytes) return {};
    return Ethernet{mac_at(frame, 0), mac_at(frame, 6), be16(frame, 12), frame.subspan(kEthernetBytes)};
}

std::optional<Arp> parse_arp(const Ethernet& in) noexcept {
    const Bytes p = in.payload;
    if (in.type != kTypeArp || p.size() < kArpBytes) return {};
    if (be16(p, 0) != 1 || be16(p, 2) != kTypeIpv4 || be16(p, 4) != 0x0604) return {};
    const std::uint16_t operation = be16(p, 6);
    if (operation != 1 && operation != 2) return {};
    return Arp{operation == 1, mac_at(p, 8), be32(p, 14), be32(p, 24)};
}

std::optional<Ipv4> parse_ipv4(const Ethernet& in) noexcept {
    const Bytes p = in.payload;
    if (in.type != kTypeIpv4 || p.size() < kIpv4Bytes) return {};
    const auto first = std::to_integer<unsigned>(p[0]);
    const std::size_t header = (first & 0xf) * std::size_t{4}, total = be16(p, 2);
    if (first >> 4 != 4 || header < kIpv4Bytes || total < header || total > p.size()) return {};
    if (checksum(p.first(header)) != 0) return {};
    Ipv4 out{be32(p, 12), be32(p, 16), std::to_integer<std::uint8_t>(p[9]), (be16(p, 6) & 0x3fff) != 0,
             p.subspan(header, total - header)};
    return out;
}

std::optional<Udp> parse_udp(const Ipv4& in) noexcept {
    const Bytes p = in.payload;
    if (in.protocol != IPPROTO_UDP || in.fragment || p.size() < kUdpBytes) return {};
    const std::size_t total = be16(p, 4);
    if (total < kUdpBytes || total > p.size()) return {};
    return Udp{be16(p, 0), be16(p, 2), p.subspan(kUdpBytes, total - kUdpBytes)};
}

Frame make_arp_reply(const Arp& request, const Mac& own) {
    Writer w(kEthernetBytes + kArpBytes);
    put_ethernet(w, request.sender_mac, own, kTypeArp);
    w.u16(1);
    w.u16(kTypeIpv4);
    w.u16(0x0604);
    w.u16(2);
    w.mac(own);
    w.u32(request.target);
    w.mac(request.sender_mac);
    w.u32(request.sender);
    return w.done();
}

Frame make_udp(const Route& route, Bytes payload) {
    Writer w(kEthernetBytes + kIpv4Bytes + kUdpBytes + payload.size());
    put_ethernet(w, route.to_mac, route.from_mac, kTypeIpv4);
    put_ipv4(w, route.from, route.to, IPPROTO_UDP, kUdpBytes + payload.size());
    w.u16(route.from_port);
    w.u16(route.to_port);
    w.u16(static_cast<unsigned>(kUdpBytes + payload.size()));
    w.u16(0);
    w.bytes(payload);
    return w.done();
}

std::optional<Frame> make_echo_reply(const Ethernet& frame, const Ipv4& in, const Mac& own) {
    const Bytes p = in.payload;
    if (in.protocol != IPPROTO_ICMP || in.fragment || p.size() < kEchoBytes) return {};
    if (std::to_integer<std::uint8_t>(p[0]) != kEchoRequest) return {};
    Writer w(kEthernetBytes + kIpv4Bytes + p.size());
    put_ethernet(w, frame.from, own, kTypeIpv4);
    put_ipv4(w, in.to, in.from, IPPROTO_ICMP, p.size());
    const std::size_t begin = w.size();
    w.u8(kEchoReply);
    w.u8(0);
    w.u16(0);
    w.bytes(p.subspan(4));
    w.set16(begin + 2, checksum(w.from(begin, p.size())));
    return w.done();
}

std::optional<Mac> parse_mac(std::string_view text) {
    Mac mac{};
    if (text.size() != 17) return {};
    for (std::size_t i = 0; i < mac.size(); ++i) {
        const char* const at = text.data() + i * 3;
        const auto [end, error] = std::from_chars(at, at + 2, mac[i], 16);
        if (error != std::errc{} || end != at + 2 || (i < 5 && at[2] != ':')) return {};
    }
    return mac;
}

std::optional<std::uint32_t> parse_address(const std::string& text) {
    in_addr address{};
    if (::inet_pton(AF_INET, text.c_str(), &address) != 1) return {};
    return ntohl(address.s_addr);
}

std::string address_text(std::uint32_t address) {
    const in_addr in{htonl(address)};
    char text[INET_ADDRSTRLEN] = "";
    ::inet_ntop(AF_INET, &in, text, sizeof text);
    return text;
}

}  // namespace farlane::link
