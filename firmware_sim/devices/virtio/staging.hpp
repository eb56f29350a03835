// SPDX-License-Identifier: Apache-2.0
// Receives: requests for staging memory. Hands on: blocks of one size. Owns: the memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <farlane/status.hpp>

namespace farlane::firmware::virtio {

/// What a block of staging memory is used for.
struct Block {
    enum class Use : std::uint8_t {
        free,
        available,
        used_index,
        descriptors,
        gather,
        scatter,
        kept /* by the device */
    };
    Use use = Use::free;
    Status status = Status::ok;   // the first error of its transfers
    std::uint16_t queue = 0;      // whose it is
    std::uint16_t slot = 0;       // ... and of which request
    std::uint32_t serial = 0;     // ... if that is still the same one
    std::uint32_t bytes = 0;      // in use
    std::uint32_t pending = 0;    // DMA transfers that have not ended
    std::uint32_t unordered = 0;  // writes that have not been given to the host
    std::uint64_t offset = 0;     // of the bytes in the request
};

/// Every DMA goes to or comes from such a block: a late answer after a reset then hits memory that is still
/// reserved for it, and what is sent again has not changed meanwhile.
class Staging {
public:
    Staging(std::uint32_t blocks, std::uint32_t block_bytes)
        : block_bytes_(block_bytes), memory_(std::size_t{blocks} * block_bytes), blocks_(blocks) {
        free_.reserve(blocks);
        for (std::uint32_t i = blocks; i-- > 0;) free_.push_back(i);
    }
    [[nodiscard]] std::uint32_t available() const noexcept { return static_cast<std::uint32_t>(free_.size()); }
    [[nodiscard]] std::uint32_t block_bytes() const noexcept { return block_bytes_; }
    /// Precondition: available() != 0.
    [[nodiscard]] std::uint32_t take() noexcept {
        const std::uint32_t i = free_.back();
        free_.pop_back();
        blocks_[i] = {};
        blocks_[i].use = Block::Use::kept;
        return i;
    }
    void give(std::uint32_t index) noexcept {
        if (blocks_[index].use == Block::Use::free) return;
        blocks_[index].use = Block::Use::free;
        free_.push_back(index);
    }
    /// Takes back every block that a device holds.
    void reclaim() noexcept {
        for (std::uint32_t i = 0; i < blocks_.size(); ++i)
            if (blocks_[i].use == Block::Use::kept) give(i);
    }
    [[nodiscard]] Block& operator[](std::uint32_t index) noexcept { return blocks_[index]; }
    [[nodiscard]] std::span<std::byte> bytes(std::uint32_t index) noexcept {
        return {memory_.data() + std::size_t{index} * block_bytes_, block_bytes_};
    }
    [[nodiscard]] std::span<std::byte> used_bytes(std::uint32_t index) noexcept {
        return bytes(index).first(blocks_[index].bytes);
    }

private:
    std::uint32_t block_bytes_;
    std::vector<std::byte> memory_;
    std::vector<Block> blocks_;
    std::vector<std::uint32_t> free_;
};

}  // namespace farlane::firmware::virtio
