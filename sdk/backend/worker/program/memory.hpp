// SPDX-License-Identifier: Apache-2.0
// Receives: the descriptor of a context's memory. Hands on: that memory, at its device addresses. Owns: the mapping.
#pragma once

#include <cstdint>

#include "backend/worker/protocol.hpp"

namespace farlane::backend::worker {

class Memory {
public:
    /// Maps, out of reach but for bounce memory. False: the place is taken.
    [[nodiscard]] bool map(int fd, const Setup& setup) noexcept;
    [[nodiscard]] bool contains(std::uint64_t address, std::uint64_t bytes) const noexcept {
        return address >= address_ && bytes <= bytes_ && address - address_ <= bytes_ - bytes;
    }
    /// Within reach, or out of it again. False: not in this memory, or no more mappings.
    [[nodiscard]] bool open(std::uint64_t address, std::uint64_t bytes) noexcept;
    bool shut(std::uint64_t address, std::uint64_t bytes) noexcept;

private:
    std::uint64_t address_ = 0, bytes_ = 0;
};

}  // namespace farlane::backend::worker
