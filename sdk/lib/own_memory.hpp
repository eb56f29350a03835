// SPDX-License-Identifier: Apache-2.0
// Receives: memory of the application. Hands on: whether a device can be let at it, in the words of every
// provider. Owns: nothing.
#pragma once

#include <cstddef>
#include <span>

#include <farlane/domain.hpp>

namespace farlane::provider {

inline constexpr const char* kKindsThatCanBeMapped =
    "this kind of memory can not be: use anonymous memory, shared memory (MAP_SHARED, memfd, shmem) or huge pages, "
    "not a file's or a device's";
inline constexpr const char* kReadOnly =
    "the device is to write it and the application may not: map it to_device, or make it writable";
inline constexpr const char* kNothingThere = "nothing is mapped at a part of these addresses";

/// As the kernel's module judges, for a provider that has no module: a program finds the same limits with
/// each. Throws Error: unsupported, denied, invalid.
void check_own_memory(std::span<std::byte> memory, DmaDirection direction);

}  // namespace farlane::provider
