// SPDX-License-Identifier: Apache-2.0
// Receives: bytes. Hands on: their CRC32C, whole or in parts, also of bytes that are copied on the way.
// Owns: nothing. docs/wire.md, "Trailer".
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

/// CRC32C (Castagnoli) of `bytes`, as in iSCSI (RFC 3720, 12.1).
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept;

/// Below this, wide loads would wait for the narrow stores that have just filled the frame, and folding costs more than
/// it saves.
constexpr std::size_t kCrcShortBytes = 256;

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
    return crc.get() == (body < kCrcShortBytes ? crc32c_words(frame.data(), body) : crc32c(frame.first(body)));
}

// In parts: a register, which is neither inverted at its start nor at its end. crc32c(x) = ~crc_register(~0u, x).

/// The register after `bytes`, when it was `before`.
[[nodiscard]] std::uint32_t crc_register(std::uint32_t before, std::span<const std::byte> bytes) noexcept;

/// Payloads are copied and summed in one pass where that is faster: in whole blocks, from so many bytes on.
constexpr std::size_t kSumBlockBytes = 256, kSumLeastBytes = 1024, kSumMostBytes = 4096;
[[nodiscard]] constexpr bool can_sum(std::size_t bytes) noexcept {
    return bytes % kSumBlockBytes == 0 && bytes >= kSumLeastBytes && bytes <= kSumMostBytes;
}
/// What this processor can do. Without it copy_summed() and crc_join() must not be called.
[[nodiscard]] bool copies_sum() noexcept;
/// Copies `bytes` (can_sum) and returns crc_register(0, them). Each byte is read once.
[[nodiscard]] std::uint32_t copy_summed(std::byte* to, const std::byte* from, std::size_t bytes) noexcept;
/// The register after `bytes` (can_sum) whose register is `sum` when it begins with 0, when it was `before`.
[[nodiscard]] std::uint32_t crc_join(std::uint32_t before, std::uint32_t sum, std::size_t bytes) noexcept;

/// A part of a frame that was summed when it was copied there.
struct SummedPart {
    const std::byte* at = nullptr;
    std::uint32_t bytes = 0;  ///< can_sum
    std::uint32_t sum = 0;    ///< its register, begun with 0
};

}  // namespace farlane::proto
