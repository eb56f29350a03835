// SPDX-License-Identifier: Apache-2.0
// Receives: a copy of a submit slot. Hands on: the transaction it asks for, or why not.
// Owns: nothing. The one place where what an application writes is checked (fuzzed).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <farlane/uapi/ring.h>

#include "proto/tlp.hpp"

namespace farlane::daemon {

#define FL_SLOT_ERRORS(X)                                                         \
    X(none, "valid")                                                              \
    X(family, "family is not FL_FAMILY_TLP")                                      \
    X(type, "type that an application may not send")                              \
    X(reserved, "a field that the daemon fills, or a reserved one, is not 0")     \
    X(attributes, "attribute bit that is unknown or does not fit the type")       \
    X(pasid, "PASID other than 0")                                                \
    X(bar, "BAR does not fit the type")                                           \
    X(length, "length does not fit the type")                                     \
    X(address, "address wraps, is not aligned or leaves the configuration space") \
    X(byte_enables, "byte enables beyond the length")                             \
    X(kind, "kind of payload is unknown or does not fit the type")                \
    X(buffer, "no such buffer, or outside it")

enum class SlotError : std::uint8_t {
#define FL_SLOT_ERROR_ENUM(name, text) name,
    FL_SLOT_ERRORS(FL_SLOT_ERROR_ENUM)
#undef FL_SLOT_ERROR_ENUM
};
[[nodiscard]] std::string_view slot_error_text(SlotError e) noexcept;

/// What a reference may name.
class BufferTable {
public:
    virtual ~BufferTable() = default;
    /// The memory of a buffer; empty = there is none of that number.
    [[nodiscard]] virtual std::span<std::byte> buffer(std::uint32_t number) const noexcept = 0;
};

struct CheckedSlot {
    proto::Tlp tlp;
    proto::RecordClass record_class = proto::RecordClass::posted;
    std::uint64_t cookie = 0;
    std::uint32_t result_bytes = 0;  ///< of a request that has a result
    std::span<std::byte> reference;  ///< FL_SLOT_REFERENCE: source, or where the result goes
};

/// `slot` is this side's copy. The function is never taken from it: it follows from the channel.
[[nodiscard]] SlotError check_slot(const fl_slot& slot, const BufferTable& buffers, CheckedSlot& out) noexcept;

}  // namespace farlane::daemon
