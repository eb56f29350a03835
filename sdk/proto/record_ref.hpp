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

struct RecordRef {
    std::uint64_t sequence = 0;
    std::uint16_t function = 0;  ///< index in the session
    std::uint16_t binding = 0;   ///< which binding of that index: older ones are void
    RefKind kind = RefKind::keepalive;
    GranuleRun run;
};
static_assert(sizeof(RecordRef) == 16);

}  // namespace farlane::proto
