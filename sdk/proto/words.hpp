// SPDX-License-Identifier: Apache-2.0
// Receives: places in a frame. Hands on: words of 8 bytes, little-endian. Owns: nothing.
// Structs of the hot path are read and written in such words: fields stored one by one and then copied in larger
// pieces stall the store buffer, 15 ns a record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <farlane/uapi/frame.h>
#include <farlane/uapi/tlp.h>

namespace farlane::proto {

inline void store_word(std::byte* to, std::uint64_t value) noexcept {
    const fl_le64 word(value);
    std::memcpy(to, &word, sizeof(word));
}

[[nodiscard]] inline std::uint64_t load_word(const std::byte* from) noexcept {
    fl_le64 word;
    std::memcpy(&word, from, sizeof(word));
    return word.get();
}

/// For payloads of registers: nearly all are one word.
inline void copy_small(std::byte* to, std::span<const std::byte> from) noexcept {
    if (from.size() == sizeof(std::uint64_t))
        std::memcpy(to, from.data(), sizeof(std::uint64_t));
    else
        std::memcpy(to, from.data(), from.size());
}

constexpr std::uint64_t word_field(std::uint64_t value, unsigned bit) noexcept {
    return value << bit;
}

// Where the fields of a transaction lie in its words.
static_assert(offsetof(fl_tlp, type) == 1 && offsetof(fl_tlp, record_bytes) == 2 &&
              offsetof(fl_tlp, function_index) == 4 && offsetof(fl_tlp, function_generation) == 6 &&
              offsetof(fl_tlp, pasid) == 12 && offsetof(fl_tlp, attr) == 16 && offsetof(fl_tlp, byte_enables) == 17 &&
              offsetof(fl_tlp, bar) == 18 && offsetof(fl_tlp, code) == 19 && offsetof(fl_tlp, length_bytes) == 20 &&
              offsetof(fl_tlp, offset_bytes) == 22);

}  // namespace farlane::proto
