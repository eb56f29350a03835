// SPDX-License-Identifier: Apache-2.0
// Receives: frames. Hands on: packets and capture files around them. Owns: nothing.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include <farlane/uapi/frame.h>

namespace farlane::test {

using ByteVector = std::vector<std::byte>;

inline void append(ByteVector& out, std::initializer_list<unsigned> bytes) {
    for (const unsigned b : bytes) out.push_back(static_cast<std::byte>(b));
}
inline void append(ByteVector& out, std::span<const std::byte> bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}
inline void big16(ByteVector& out, std::size_t v) {
    append(out, {unsigned(v >> 8 & 0xff), unsigned(v & 0xff)});
}
inline void little32(ByteVector& out, std::uint32_t v) {
    append(out, {v & 0xff, v >> 8 & 0xff, v >> 16 & 0xff, v >> 24});
}
inline void big32(ByteVector& out, std::uint32_t v) {
    append(out, {v >> 24, v >> 16 & 0xff, v >> 8 & 0xff, v & 0xff});
}

inline ByteVector udp(std::span<const std::byte> payload, unsigned from = 40000, unsigned to = FL_UDP_PORT) {
    ByteVector out;
    big16(out, from);
    big16(out, to);
    big16(out, payload.size() + 8);
    append(out, {0, 0});
    append(out, payload);
    return out;
}

/// 10.0.0.1 to 10.0.0.2, with `option_words` words of options and the fragment field given.
inline ByteVector ipv4(std::span<const std::byte> payload, unsigned option_words = 0, unsigned fragment = 0x4000,
                       unsigned protocol = 17) {
    ByteVector out;
    append(out, {0x45 + option_words, 0});
    big16(out, 20 + option_words * 4 + payload.size());
    append(out, {0, 1});
    big16(out, fragment);
    append(out, {64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2});
    for (unsigned i = 0; i < option_words; ++i) append(out, {1, 1, 1, 1});
    append(out, payload);
    return out;
}

/// ::1 to ::2, with a destination options header when asked for.
inline ByteVector ipv6(std::span<const std::byte> payload, bool options = false) {
    ByteVector out;
    append(out, {0x60, 0, 0, 0});
    big16(out, payload.size() + (options ? 8 : 0));
    append(out, {options ? 60u : 17u, 64});
    for (const unsigned last : {1u, 2u}) {
        for (unsigned i = 0; i < 15; ++i) append(out, {0});
        append(out, {last});
    }
    if (options) append(out, {17, 0, 1, 4, 0, 0, 0, 0});
    append(out, payload);
    return out;
}

inline ByteVector ethernet(std::span<const std::byte> payload, unsigned ether_type, unsigned vlan_tags = 0) {
    ByteVector out;
    append(out, {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1});
    for (unsigned i = 0; i < vlan_tags; ++i) append(out, {0x81, 0, 0, 5});
    big16(out, ether_type);
    append(out, payload);
    return out;
}

/// A classic pcap file of the packets, one second apart.
inline ByteVector capture(std::initializer_list<ByteVector> packets, unsigned link_type = 1, bool nanoseconds = false,
                          bool big_endian = false) {
    ByteVector out;
    const auto number = [&](std::uint32_t v) { big_endian ? big32(out, v) : little32(out, v); };
    number(nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4);
    number(big_endian ? 0x00020004 : 0x00040002);
    number(0);
    number(0);
    number(65535);
    number(link_type);
    std::uint32_t second = 1700000000;
    for (const ByteVector& p : packets) {
        number(second++);
        number(123456);
        number(static_cast<std::uint32_t>(p.size()));
        number(static_cast<std::uint32_t>(p.size()));
        append(out, p);
    }
    return out;
}

}  // namespace farlane::test
