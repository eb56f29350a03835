// SPDX-License-Identifier: Apache-2.0
// Receives: a value for a field of memory that outlives the daemon. Hands on: the store, in program order.
// Owns: nothing.
#pragma once

#include <atomic>

namespace farlane::firmware {

/// Stores `value` behind every store before it and ahead of every store after it. After a kill the
/// next life sees all stores that were executed, so program order is all that has to be kept: the
/// fences bind the compiler, the atomic store makes the field change in one piece.
template <class T>
inline void publish(T& field, T value) noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::atomic_ref<T>(field).store(value, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace farlane::firmware
