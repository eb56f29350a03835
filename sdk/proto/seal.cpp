// SPDX-License-Identifier: Apache-2.0
// Receives: a frame with its header filled in, or a received one. Hands on: its CRC32C
// trailer, or the verdict. Owns: nothing. docs/wire.md, "Trailer".
#include "proto/seal.hpp"

#include <isa-l/crc.h>

#include <cstring>

#if defined(__SSE4_2__)
#include <nmmintrin.h>
#endif

#include <farlane/uapi/frame.h>

namespace farlane::proto {

namespace {

#if defined(__SSE4_2__)
// Below this, ISA-L's wide loads wait for the narrow stores that have just filled the frame, and
// its folding costs more than it saves.
constexpr std::size_t kShortBytes = 256;

std::uint32_t crc32c_short(const std::byte* at, std::size_t bytes) noexcept {
    std::uint64_t crc = 0xffffffffu;
    for (; bytes >= 8; at += 8, bytes -= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, at, sizeof word);
        crc = _mm_crc32_u64(crc, word);
    }
    for (; bytes > 0; ++at, --bytes)
        crc = _mm_crc32_u8(static_cast<std::uint32_t>(crc), std::to_integer<unsigned char>(*at));
    return ~static_cast<std::uint32_t>(crc);
}
#else
constexpr std::size_t kShortBytes = 0;

std::uint32_t crc32c_short(const std::byte*, std::size_t) noexcept {
    return 0;
}  // never called
#endif

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept {
    if (bytes.size() < kShortBytes) return crc32c_short(bytes.data(), bytes.size());
    // ISA-L neither inverts its start value nor its result, and takes a non-const pointer it
    // only reads through.
    auto* data = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
    return ~crc32_iscsi(data, static_cast<int>(bytes.size()), 0xffffffffu);
}

std::size_t ClearSeal::trailer_bytes() const noexcept {
    return FL_FRAME_CRC_BYTES;
}

std::uint8_t ClearSeal::frame_flags() const noexcept {
    return 0;
}

void ClearSeal::seal(std::span<std::byte> frame, std::uint64_t /*packet_number*/) noexcept {
    const std::size_t body = frame.size() - FL_FRAME_CRC_BYTES;
    const fl_le32 crc(crc32c(frame.first(body)));
    std::memcpy(frame.data() + body, &crc, sizeof(crc));
}

bool ClearSeal::open(std::span<std::byte> frame, std::uint64_t /*packet_number*/) noexcept {
    if (frame.size() < FL_FRAME_CRC_BYTES) return false;
    const std::size_t body = frame.size() - FL_FRAME_CRC_BYTES;
    fl_le32 crc;
    std::memcpy(&crc, frame.data() + body, sizeof(crc));
    return crc.get() == crc32c(frame.first(body));
}

}  // namespace farlane::proto
