// SPDX-License-Identifier: Apache-2.0
// Receives: launches of built-in kernels on local memory. Hands on: the same as launches of the kernels in source.cpp.
// Owns: nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/executor.hpp"

namespace farlane::backend::worker {

/// A launch of a kernel of the source, with as many items as there is work for, but not more than keep a device busy.
struct BuiltinCall {
    std::vector<std::byte> arguments;  ///< an argument block
    std::uint32_t groups = 1;
    std::uint32_t group_items = 1;
};
/// Start and length of the allocation that an address lies in.
using FindAllocation = std::function<std::optional<std::pair<std::uint64_t, std::uint64_t>>(std::uint64_t)>;

/// `arguments` were checked against the kernel `name` (the contract's).
[[nodiscard]] BuiltinCall translate_builtin(std::string_view name, std::span<const std::byte> arguments,
                                            const FindAllocation& find);

/// What the kernel is called in the source.
[[nodiscard]] std::string builtin_source_name(std::string_view name);

}  // namespace farlane::backend::worker
