// SPDX-License-Identifier: Apache-2.0
// Receives: a decoded configuration space. Hands on: text for people, or JSON.
// Owns: nothing.
#pragma once

#include <cstddef>
#include <ostream>
#include <span>

#include "farlane/config_space.hpp"
#include "farlane/output.hpp"

namespace farlane::cli {

void print_config(std::ostream& out, const ConfigSpace& space);
[[nodiscard]] Json config_json(const ConfigSpace& space);
/// 16 bytes a line; lines that are all zero are left out, the last one says so.
void print_hex(std::ostream& out, std::span<const std::byte> bytes);

}  // namespace farlane::cli
