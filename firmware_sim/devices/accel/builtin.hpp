// SPDX-License-Identifier: Apache-2.0
// Receives: names and argument blocks of built-in kernels. Hands on: their checks.
// Owns: nothing. docs/accelerator.md, "Built-in kernels". Every executor has these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "backend/executor.hpp"

namespace farlane::firmware::accel {

enum class Builtin : std::uint32_t { fill, copy, axpy_f32, gemm_f32, reduce_f32, conv2d_f32, conv2d_rgba8, sha256 };
inline constexpr std::uint32_t kBuiltinCount = 8;

[[nodiscard]] std::optional<Builtin> find_builtin(std::string_view name) noexcept;
[[nodiscard]] std::string_view builtin_name(Builtin kernel) noexcept;
[[nodiscard]] std::uint32_t builtin_argument_bytes(Builtin kernel) noexcept;

/// Checks every field of the block that can be checked without device memory, and lists what the
/// kernel touches. `arguments` has builtin_argument_bytes().
[[nodiscard]] backend::Outcome check_builtin(Builtin kernel, std::span<const std::byte> arguments,
                                             backend::AccessList& touches) noexcept;

/// Takes a microsecond or two, so that the caller may as well run it itself. Precondition: check_builtin() was content.
[[nodiscard]] bool is_small(Builtin kernel, std::span<const std::byte> arguments) noexcept;

/// The block as its struct; precondition: its size.
template <class Args>
[[nodiscard]] Args read_arguments(std::span<const std::byte> arguments) noexcept {
    Args args;
    std::memcpy(&args, arguments.data(), sizeof args);
    return args;
}

[[nodiscard]] inline float f32_of(fl_le32 field) noexcept {
    const std::uint32_t bits = field.get();
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

}  // namespace farlane::firmware::accel
