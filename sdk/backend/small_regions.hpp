// SPDX-License-Identifier: Apache-2.0
// Receives: names. Hands on: a cache line for each, which lies beside those of other names. Owns: the table of names,
// in regions of a Memory, so that it outlives the process as they do. What is found there is checked, never trusted.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.hpp"

namespace farlane::backend {

/// Regions `lines-0`, `lines-1`, ... of `memory`. Private to sdk/backend.
class SmallRegions {
public:
    explicit SmallRegions(Memory& memory) noexcept : memory_(memory) {}
    [[nodiscard]] Result<std::span<std::byte>> region(const std::string& what, bool& fresh);

private:
    static constexpr unsigned kLines = 256;  // of one file
    static constexpr std::size_t kNameBytes = 256;
    struct File {
        std::byte lines[kLines][kSmallRegionBytes];
        char names[kLines][kNameBytes];  // "" = free
    };
    [[nodiscard]] Result<bool> open_next();

    Memory& memory_;
    std::vector<File*> files_;
    std::map<std::string, std::span<std::byte>> known_;
    std::vector<unsigned> used_;  // of each file: the first so many lines
};

}  // namespace farlane::backend
