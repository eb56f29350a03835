// SPDX-License-Identifier: Apache-2.0
// Receives: sizes of writes. Hands on: memory for each, until it is given back, about in the order of taking.
// Owns: that memory: as much as the writes under way need, within a limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace farlane::provider {

/// Blocks that are filled one behind the other; a block is used again when all that was taken from it is back. One
/// thread at a time; give_back() does not allocate.
class Staging {
public:
    static constexpr std::size_t kBlockBytes = std::size_t{1} << 20;
    static constexpr std::size_t kMaxBlocks = 64;
    static constexpr std::size_t kFewBlocks = 2;  ///< enough for short links

    struct Part {
        std::span<std::byte> bytes;
        std::uint32_t block = 0;  ///< for give_back()
    };
    /// Nothing: wait for a give_back(), or, when that takes long because the link is, take `more` than kFewBlocks.
    /// Precondition: bytes <= kBlockBytes.
    [[nodiscard]] std::optional<Part> take(std::size_t bytes, bool more);
    void give_back(std::uint32_t block) noexcept;
    /// Everything is back.
    void clear() noexcept;

private:
    struct Block {
        std::unique_ptr<std::byte[]> memory;
        std::uint32_t out = 0;  ///< parts that are not back
    };
    [[nodiscard]] bool next_block(bool more);

    std::vector<Block> blocks_;
    std::vector<std::uint32_t> free_;
    std::uint32_t current_ = 0;
    std::size_t used_ = kBlockBytes;  ///< of the current block
};

}  // namespace farlane::provider
