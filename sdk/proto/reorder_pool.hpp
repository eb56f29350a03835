// SPDX-License-Identifier: Apache-2.0
// Receives: sizes. Hands on: blocks for payloads that came too early. Owns: them, until it
// goes. Blocks are powers of two; what is handed out is bounded by `limit_bytes`, so nothing a
// peer sends makes it grow further. docs/wire.md, "Credits".
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <farlane/uapi/tlp.h>

namespace farlane::proto {

class ReorderPool {
public:
    explicit ReorderPool(std::uint32_t limit_bytes) : limit_bytes_(limit_bytes) {}

    /// A block of at least `bytes` (1..4096), or null when the limit is reached.
    [[nodiscard]] std::byte* take(unsigned bytes) {
        if (used_bytes_ + bytes > limit_bytes_) return nullptr;
        auto& list = free_[index(bytes)];
        if (list.empty()) refill(index(bytes));
        std::byte* block = list.back();
        list.pop_back();
        used_bytes_ += bytes;
        return block;
    }
    void give(std::byte* block, unsigned bytes) noexcept {
        used_bytes_ -= bytes;
        free_[index(bytes)].push_back(block);  // has held it before: no growth
    }
    [[nodiscard]] std::uint64_t used_bytes() const noexcept { return used_bytes_; }

private:
    static constexpr unsigned kSmallest = 128;
    static constexpr std::size_t kChunkBytes = 65536;

    [[nodiscard]] static constexpr unsigned index(unsigned bytes) noexcept {
        return bytes <= kSmallest ? 0 : static_cast<unsigned>(std::bit_width(bytes - 1)) - 7;
    }
    void refill(unsigned i) {
        const std::size_t block = std::size_t{kSmallest} << i;
        chunks_.push_back(std::make_unique<std::byte[]>(kChunkBytes));
        blocks_[i] += kChunkBytes / block;
        free_[i].reserve(blocks_[i]);
        for (std::size_t at = 0; at < kChunkBytes; at += block) free_[i].push_back(chunks_.back().get() + at);
    }

    static_assert(FL_TLP_MAX_PAYLOAD_BYTES == 4096);
    std::array<std::vector<std::byte*>, 6> free_;  // 128, 256 ... 4096
    std::array<std::size_t, 6> blocks_{};
    std::vector<std::unique_ptr<std::byte[]>> chunks_;
    std::uint64_t limit_bytes_;
    std::uint64_t used_bytes_ = 0;
};

}  // namespace farlane::proto
