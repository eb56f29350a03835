// SPDX-License-Identifier: Apache-2.0
// Receives: who sent a frame of no session. Hands on: whether it may be told so now. Owns: a table
// of fixed size; sources that share a place in it share its rate.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "proto/time.hpp"
#include "transport/port.hpp"

namespace farlane::lane {

class HintLimit {
public:
    static constexpr proto::Duration kBetween = std::chrono::milliseconds(100);  ///< to one source: 10 a second
    static constexpr std::size_t kSources = 256;                                 ///< so at most 2560 a second in all

    [[nodiscard]] bool allow(const transport::Address* from, proto::Time now) noexcept {
        proto::Time& next = next_[place(from)];
        if (now < next) return false;
        next = now + kBetween;
        return true;
    }

private:
    static std::size_t place(const transport::Address* from) noexcept {
        std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
        for (std::size_t i = 0; from != nullptr && i < from->size; ++i)
            hash = (hash ^ std::to_integer<std::uint64_t>(from->bytes[i])) * 0x100000001b3;
        return static_cast<std::size_t>((hash ^ hash >> 32) % kSources);
    }
    std::array<proto::Time, kSources> next_{};
};

}  // namespace farlane::lane
