// SPDX-License-Identifier: Apache-2.0
// Receives: sizes of writes. Hands on: memory for each. Owns: that memory.
#include "lib/staging.hpp"

namespace farlane::provider {

std::optional<Staging::Part> Staging::take(std::size_t bytes, bool more) {
    constexpr std::size_t kAlign = 64;
    const std::size_t room = (bytes + kAlign - 1) / kAlign * kAlign;
    if (room > kBlockBytes - used_ && !next_block(more)) return std::nullopt;
    Block& block = blocks_[current_];
    const Part part{{block.memory.get() + used_, bytes}, current_};
    used_ += room;
    ++block.out;
    return part;
}

/// The block that was given back last is the warmest.
bool Staging::next_block(bool more) {
    if (!blocks_.empty() && blocks_[current_].out == 0) {
        used_ = 0;
        return true;
    }
    if (!free_.empty()) {
        current_ = free_.back();
        free_.pop_back();
    } else if (blocks_.size() < (more ? kMaxBlocks : kFewBlocks)) {
        free_.reserve(blocks_.size() + 1);
        blocks_.push_back({std::make_unique_for_overwrite<std::byte[]>(kBlockBytes), 0});
        current_ = static_cast<std::uint32_t>(blocks_.size() - 1);
    } else {
        return false;
    }
    used_ = 0;
    return true;
}

void Staging::give_back(std::uint32_t block) noexcept {
    if (block >= blocks_.size() || blocks_[block].out == 0) return;
    if (--blocks_[block].out == 0 && block != current_) free_.push_back(block);
}

void Staging::clear() noexcept {
    free_.clear();
    for (std::uint32_t i = 0; i < blocks_.size(); ++i) {
        blocks_[i].out = 0;
        if (i != current_) free_.push_back(i);
    }
    used_ = blocks_.empty() ? kBlockBytes : 0;
}

}  // namespace farlane::provider
