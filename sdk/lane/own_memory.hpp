// SPDX-License-Identifier: Apache-2.0
// Receives: addresses of this process that need not be there any more. Hands on: bytes to and from them, or
// the word that there is nothing. Owns: nothing.
#pragma once

#include <cstddef>
#include <span>

namespace farlane::lane {

/// By system call, which looks at the mapping as it copies: no fault of ours, whatever the application did with
/// its memory. False: not all of it is there, or it is read-only. Lane thread, no allocation.
[[nodiscard]] bool copy_to_own(std::byte* to, std::span<const std::byte> from) noexcept;
[[nodiscard]] bool copy_from_own(std::span<std::byte> into, const std::byte* from) noexcept;

}  // namespace farlane::lane
