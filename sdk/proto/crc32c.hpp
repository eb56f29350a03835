// SPDX-License-Identifier: Apache-2.0
// Receives: bytes. Hands on: their CRC32C, whole or in parts, also of bytes that are copied on the way.
// Owns: nothing. docs/wire.md, "Trailer".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace farlane::proto {

/// CRC32C (Castagnoli) of `bytes`, as in iSCSI (RFC 3720, 12.1).
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept;

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
