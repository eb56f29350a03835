// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the reference that a sent packet keeps to what was in it.
// Owns: nothing. A resend reads its source again; no frame is kept. docs/wire.md, "Loss".
#pragma once

#include <cstdint>

#include "proto/granules.hpp"

namespace farlane::proto {

enum class RefKind : std::uint8_t {
    posted,      ///< part of a posted record of a function
    non_posted,  ///< request
    completion,  ///< part of a completion
    credit,      ///< credit record; `sequence` = its serial number
    control,     ///< reliable control record
    mtu_probe,   ///< path MTU probe; `sequence` = its size
    keepalive,   ///< nothing to resend
};

/// Two words, so that it is stored and copied without waiting for parts of it.
class RecordRef {
public:
    RecordRef() = default;
    /// `function`: index in the session; `binding`: which binding of that index, older ones are void.
    constexpr RecordRef(RefKind kind, std::uint64_t sequence, std::uint16_t function = 0, std::uint16_t binding = 0,
                        GranuleRun run = {}) noexcept
        : sequence_(sequence),
          where_(std::uint64_t{function} | std::uint64_t{binding} << 16 |
                 std::uint64_t{static_cast<std::uint8_t>(kind)} << 32 | std::uint64_t{run.first} << 40 |
                 std::uint64_t{run.count} << 48) {}

    [[nodiscard]] constexpr std::uint64_t sequence() const noexcept { return sequence_; }
    [[nodiscard]] constexpr std::uint16_t function() const noexcept { return static_cast<std::uint16_t>(where_); }
    [[nodiscard]] constexpr std::uint16_t binding() const noexcept { return static_cast<std::uint16_t>(where_ >> 16); }
    [[nodiscard]] constexpr RefKind kind() const noexcept { return static_cast<RefKind>(where_ >> 32 & 0xff); }
    [[nodiscard]] constexpr GranuleRun run() const noexcept {
        return {static_cast<std::uint8_t>(where_ >> 40), static_cast<std::uint8_t>(where_ >> 48)};
    }

private:
    std::uint64_t sequence_ = 0;
    std::uint64_t where_ = std::uint64_t{static_cast<std::uint8_t>(RefKind::keepalive)} << 32;
};
static_assert(sizeof(RecordRef) == 16);

}  // namespace farlane::proto
