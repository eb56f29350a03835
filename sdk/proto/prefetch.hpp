// SPDX-License-Identifier: Apache-2.0
// Receives: a payload that is copied soon. Hands on: nothing. Owns: nothing.
#pragma once

#include <cstddef>

namespace farlane::proto {

/// Asks the cache for a long payload. While a frame is checked memory has nothing to do: what the next frame's copies
/// need comes then. Only a hint: wherever it points, nothing is read or written.
inline void prefetch_long(const std::byte* at, std::size_t bytes) noexcept {
    constexpr std::size_t kLine = 64, kLong = 1024;
    if (bytes < kLong) return;
    for (std::size_t i = 0; i < bytes; i += kLine) __builtin_prefetch(at + i);
}
/// Two of the longest payloads fit a frame: the next frame has the one that is so many further.
constexpr unsigned kFrameAhead = 2;

}  // namespace farlane::proto
