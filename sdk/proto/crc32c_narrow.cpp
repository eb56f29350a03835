// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the word that copies are not summed here. Owns: nothing.
// For processors of another kind than those of crc32c_wide.cpp.
#include "proto/crc32c.hpp"

namespace farlane::proto {

bool copies_sum() noexcept {
    return false;
}

std::uint32_t copy_summed(std::byte*, const std::byte*, std::size_t) noexcept {
    return 0;
}  // never called

std::uint32_t crc_join(std::uint32_t, std::uint32_t, std::size_t) noexcept {
    return 0;
}  // never called

}  // namespace farlane::proto
