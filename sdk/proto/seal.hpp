// SPDX-License-Identifier: Apache-2.0
// Receives: a frame with its header filled in. Hands on: the frame with its trailer,
// or the verdict on a received one. Owns: keys, once there are any.
// This is the place where identity and AEAD plug in; today there is ClearSeal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#if defined(__SSE4_2__)
#include <nmmintrin.h>
#endif

#include <farlane/uapi/frame.h>

namespace farlane::proto {

/// Integrity (and later secrecy) of the frames of one session.
/// One per session, used by its lane only. noexcept and without allocation.
class Seal {
public:
    virtual ~Seal() = default;
    /// Bytes the trailer takes.
    [[nodiscard]] virtual std::size_t trailer_bytes() const noexcept = 0;
    /// fl_frame_header.flags of frames sealed by it.
    [[nodiscard]] virtual std::uint8_t frame_flags() const noexcept = 0;
    /// `frame` = header, records and room for the trailer, which is written here.
    virtual void seal(std::span<std::byte> frame, std::uint64_t packet_number) noexcept = 0;
    /// True when the frame is authentic; with keys it is decrypted in place.
    [[nodiscard]] virtual bool open(std::span<std::byte> frame, std::uint64_t packet_number) noexcept = 0;
};

/// CRC32C, no keys. Detects accidents, not attackers.
class ClearSeal final : public Seal {
public:
    [[nodiscard]] std::size_t trailer_bytes() const noexcept override;
    [[nodiscard]] std::uint8_t frame_flags() const noexcept override;
    void seal(std::span<std::byte> frame, std::uint64_t packet_number) noexcept override;
    [[nodiscard]] bool open(std::span<std::byte> frame, std::uint64_t packet_number) noexcept override;
};

/// CRC32C (Castagnoli) of `bytes`, as in iSCSI (RFC 3720, 12.1).
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept;

/// The same of a small frame: `bytes` is a multiple of 8, at least 64.
[[nodiscard]] inline std::uint32_t crc32c_words(const std::byte* at, std::size_t bytes) noexcept {
#if defined(__SSE4_2__)
    std::uint64_t crc = 0xffffffffu;
    const auto take = [&crc](const std::byte* word) {
        std::uint64_t value = 0;
        std::memcpy(&value, word, sizeof value);
        crc = _mm_crc32_u64(crc, value);
    };
    for (unsigned i = 0; i < 8; ++i) take(at + std::size_t{i} * 8);
    for (std::size_t i = 64; i < bytes; i += 8) take(at + i);
    return ~static_cast<std::uint32_t>(crc);
#else
    return crc32c({at, bytes});
#endif
}
/// A whole frame with one record: its trailer is that of what is in front of it.
[[nodiscard]] inline bool crc_is_right(std::span<const std::byte> frame) noexcept {
    const std::size_t body = frame.size() - FL_FRAME_CRC_BYTES;
    fl_le32 crc;
    std::memcpy(&crc, frame.data() + body, sizeof crc);
    constexpr std::size_t kShort = 256;
    return crc.get() == (body < kShort ? crc32c_words(frame.data(), body) : crc32c(frame.first(body)));
}

}  // namespace farlane::proto
