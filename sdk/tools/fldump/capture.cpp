// SPDX-License-Identifier: Apache-2.0
// Receives: the bytes of a capture file. Hands on: its packets. Owns: nothing.
#include "tools/fldump/capture.hpp"

#include <cstring>

namespace farlane::fldump {

namespace {

constexpr std::size_t kFileHeaderBytes = 24;
constexpr std::size_t kPacketHeaderBytes = 16;
constexpr std::uint32_t kMagicMicroseconds = 0xa1b2c3d4;
constexpr std::uint32_t kMagicNanoseconds = 0xa1b23c4d;
constexpr std::uint32_t kPcapng = 0x0a0d0d0a;
constexpr std::uint32_t kMaxPacketBytes = 1u << 20;  // no port sends more; larger is a broken file

std::uint32_t host_number(Bytes at) noexcept {
    std::uint32_t v;
    std::memcpy(&v, at.data(), sizeof(v));
    return v;
}

}  // namespace

bool is_pcapng(Bytes file) noexcept {
    return file.size() >= 4 && host_number(file) == kPcapng;
}

bool link_type_known(LinkType type) noexcept {
    switch (type) {
        case LinkType::null:
        case LinkType::ethernet:
        case LinkType::raw_ip:
        case LinkType::loop:
        case LinkType::linux_cooked:
        case LinkType::linux_cooked2: return true;
    }
    return false;
}

std::uint32_t CaptureReader::number(std::size_t at) const noexcept {
    const std::uint32_t v = host_number(rest_.subspan(at, 4));
    return swapped_ ? __builtin_bswap32(v) : v;
}

std::optional<CaptureReader> CaptureReader::open(Bytes file) noexcept {
    if (file.size() < kFileHeaderBytes) return std::nullopt;
    CaptureReader reader(file);
    std::uint32_t magic = host_number(file);
    if (magic != kMagicMicroseconds && magic != kMagicNanoseconds) {
        magic = __builtin_bswap32(magic);
        reader.swapped_ = true;
    }
    if (magic != kMagicMicroseconds && magic != kMagicNanoseconds) return std::nullopt;
    reader.nanoseconds_ = magic == kMagicNanoseconds;
    // The upper bits say how long a frame check sequence is; the link type is below.
    reader.link_type_ = static_cast<LinkType>(reader.number(20) & 0x0fffffff);
    reader.rest_ = file.subspan(kFileHeaderBytes);
    return reader;
}

bool CaptureReader::next(Packet& out) noexcept {
    if (rest_.empty() || truncated_) return false;
    if (rest_.size() < kPacketHeaderBytes) {
        truncated_ = true;
        return false;
    }
    const std::uint32_t captured = number(8);
    if (captured > kMaxPacketBytes || captured > rest_.size() - kPacketHeaderBytes) {
        truncated_ = true;
        return false;
    }
    out.seconds = number(0);
    const std::uint64_t fraction = std::uint64_t{number(4)} * (nanoseconds_ ? 1 : 1000);
    out.seconds += fraction / 1000000000;
    out.nanoseconds = static_cast<std::uint32_t>(fraction % 1000000000);
    out.original_bytes = number(12);
    out.data = rest_.subspan(kPacketHeaderBytes, captured);
    rest_ = rest_.subspan(kPacketHeaderBytes + captured);
    return true;
}

}  // namespace farlane::fldump
