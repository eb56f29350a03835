// SPDX-License-Identifier: Apache-2.0
// What the tests of the instruction emulator share: its C interface, and ordinary memory as its memory.
#pragma once

#include <cstdint>
#include <cstring>

extern "C" {
#include "decode.h"
}

namespace farlane::kmod {

/// Addresses are those of this process.
inline bool plain_read(void*, __u64 address, void* into, unsigned bytes) {
    std::memcpy(into, reinterpret_cast<const void*>(address), bytes);
    return true;
}
inline bool plain_write(void*, __u64 address, const void* from, unsigned bytes) {
    std::memcpy(reinterpret_cast<void*>(address), from, bytes);
    return true;
}
inline bool plain_copy(void*, __u64 to, __u64 from, unsigned bytes) {
    std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
    return true;
}

template <class T>
bool try_atomic(enum fl_atomic kind, __u64 address, __u64 operand, __u64 compare, __u64* old) {
    auto* place = reinterpret_cast<T*>(address);
    if (kind == FL_ATOMIC_ADD) {
        *old = __atomic_fetch_add(place, static_cast<T>(operand), __ATOMIC_SEQ_CST);
    } else if (kind == FL_ATOMIC_SWAP) {
        *old = __atomic_exchange_n(place, static_cast<T>(operand), __ATOMIC_SEQ_CST);
    } else {
        T expected = static_cast<T>(compare);
        __atomic_compare_exchange_n(place, &expected, static_cast<T>(operand), false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
        *old = expected;
    }
    return true;
}
inline enum fl_atomic_result plain_atomic(void*, enum fl_atomic kind, __u64 address, unsigned bytes, __u64 operand,
                                          __u64 compare, __u64* old) {
    if (bytes == 4)
        try_atomic<std::uint32_t>(kind, address, operand, compare, old);
    else
        try_atomic<std::uint64_t>(kind, address, operand, compare, old);
    return FL_ATOMIC_DONE;
}

}  // namespace farlane::kmod
