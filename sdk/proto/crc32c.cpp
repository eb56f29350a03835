// SPDX-License-Identifier: Apache-2.0
// Receives: bytes. Hands on: their CRC32C. Owns: nothing. docs/wire.md, "Trailer".
#include "proto/crc32c.hpp"

#include <isa-l/crc.h>

#include <cstring>

namespace farlane::proto {

namespace {

#if defined(__SSE4_2__)
std::uint32_t short_register(std::uint32_t before, const std::byte* at, std::size_t bytes) noexcept {
    std::uint64_t crc = before;
    for (; bytes >= 8; at += 8, bytes -= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, at, sizeof word);
        crc = _mm_crc32_u64(crc, word);
    }
    for (; bytes > 0; ++at, --bytes)
        crc = _mm_crc32_u8(static_cast<std::uint32_t>(crc), std::to_integer<unsigned char>(*at));
    return static_cast<std::uint32_t>(crc);
}
#endif

}  // namespace

std::uint32_t crc_register(std::uint32_t before, std::span<const std::byte> bytes) noexcept {
#if defined(__SSE4_2__)
    if (bytes.size() < kCrcShortBytes) return short_register(before, bytes.data(), bytes.size());
#endif
    // ISA-L neither inverts its start value nor its result, and takes a non-const pointer it
    // only reads through.
    auto* data = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
    return crc32_iscsi(data, static_cast<int>(bytes.size()), before);
}

std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept {
    return ~crc_register(~std::uint32_t{0}, bytes);
}

}  // namespace farlane::proto
