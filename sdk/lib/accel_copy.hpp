// SPDX-License-Identifier: Apache-2.0
// Receives: addresses. Hands on: COPY commands. Owns: nothing. docs/accelerator.md, "Memory commands".
#pragma once

#include <cstdint>

#include <farlane/uapi/accel.h>

namespace farlane::accel::detail {

inline fl_accel_command copy_command(fl_accel_copy_kind kind, std::uint64_t to, std::uint64_t from,
                                     std::uint64_t bytes) noexcept {
    fl_accel_command c{};
    c.head.opcode = FL_ACCEL_OP_COPY;
    c.u.copy.destination.set(to);
    c.u.copy.source.set(from);
    c.u.copy.bytes.set(bytes);
    c.u.copy.kind.set(kind);
    return c;
}

}  // namespace farlane::accel::detail
