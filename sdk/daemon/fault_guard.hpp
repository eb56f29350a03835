// SPDX-License-Identifier: Apache-2.0
// Receives: SIGBUS in memory that an application shares with us. Hands on: zeros instead.
// Owns: the table of guarded ranges, of the whole process.
#pragma once

#include <cstddef>
#include <optional>

namespace farlane::daemon {

/// Guards [base, +bytes), page-aligned. nullopt: the table is full.
[[nodiscard]] std::optional<unsigned> guard_memory(void* base, std::size_t bytes) noexcept;
void unguard_memory(unsigned slot) noexcept;
/// A page of the range was missing when it was touched; the whole range is private zeros since.
[[nodiscard]] bool guard_tripped(unsigned slot) noexcept;

constexpr unsigned kMaxGuards = 8192;

}  // namespace farlane::daemon
