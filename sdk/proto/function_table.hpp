// SPDX-License-Identifier: Apache-2.0
// Receives: functions by the index of their handle. Hands on: the function of an index. Owns: the table.
// A target's indices are those of all its exports: a session's begin anywhere, and are close to each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "proto/slab.hpp"

namespace farlane::proto {

class FunctionCore;

class FunctionTable {
public:
    [[nodiscard]] FunctionCore* at(std::uint16_t index) const noexcept {
        const std::size_t place = std::size_t{index} - first_;  // below first_: larger than any size
        return place < here_.size() ? here_[place] : nullptr;
    }
    /// Generation that was taken out of this place last, with kPastBit; 0 = none.
    [[nodiscard]] std::uint32_t past(std::uint16_t index) const noexcept {
        const std::size_t place = std::size_t{index} - first_;
        return place < past_.size() ? past_[place] : 0;
    }
    static constexpr std::uint32_t kPastBit = 1u << 16;

    void put(std::uint16_t index, FunctionCore* f) {
        reach(index);
        here_[index - first_] = f;
    }
    /// Precondition: it is or was there.
    void take_out(std::uint16_t index, std::uint16_t generation) noexcept {
        here_[index - first_] = nullptr;
        past_[index - first_] = kPastBit | generation;
    }
    /// Places, from the lowest index that was ever used: null where nothing is.
    [[nodiscard]] std::size_t size() const noexcept { return here_.size(); }
    [[nodiscard]] FunctionCore* operator[](std::size_t place) const noexcept { return here_[place]; }
    [[nodiscard]] std::uint16_t index_of(std::size_t place) const noexcept {
        return static_cast<std::uint16_t>(first_ + place);
    }

private:
    void reach(std::uint16_t index) {
        if (here_.empty()) first_ = index;
        if (index < first_) {
            here_.insert(here_.begin(), first_ - index, nullptr);
            past_.insert(past_.begin(), first_ - index, 0);
            first_ = index;
        } else if (index - first_ >= here_.size()) {
            here_.resize(index - first_ + 1, nullptr);
            past_.resize(here_.size(), 0);
        }
    }

    std::size_t first_ = 0;
    std::vector<FunctionCore*, SlabAllocator<FunctionCore*>> here_;
    std::vector<std::uint32_t> past_;
};

}  // namespace farlane::proto
