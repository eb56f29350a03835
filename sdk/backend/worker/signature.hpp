// SPDX-License-Identifier: Apache-2.0
// Receives: what a worker says of a kernel; argument blocks. Hands on: which launches fit the kernel, and what they
// name. Owns: the list of a kernel's arguments. Pure; both inputs are hostile. docs/accelerator.md, "Argument block".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backend/executor.hpp"

namespace farlane::backend::worker {

/// One argument as it stands in a block.
struct Argument {
    fl_accel_argument_kind kind = FL_ACCEL_ARGUMENT_VALUE;
    std::uint32_t bytes = 0;          ///< of the data; SHARED: of the memory
    std::span<const std::byte> data;  ///< empty with SHARED
    std::uint32_t offset = 0;         ///< of the data (SHARED: of the record) in the block, for errors
    [[nodiscard]] std::uint64_t address() const noexcept;  ///< of an ADDRESS
};

/// Walks an argument block. next(): false = at the end, or broken().
class ArgumentReader {
public:
    explicit ArgumentReader(std::span<const std::byte> block) noexcept : block_(block) {}
    [[nodiscard]] bool next(Argument& argument) noexcept;
    /// What is wrong, when next() gave false too early.
    [[nodiscard]] const Outcome& error() const noexcept { return error_; }

private:
    bool fail(fl_accel_reason reason, std::size_t detail) noexcept {
        error_ = {reason, static_cast<std::uint32_t>(detail), 0};
        return false;
    }
    std::span<const std::byte> block_;
    std::size_t at_ = 0;
    Outcome error_;
};

/// What is known of a kernel that is not built in.
class Signature {
public:
    struct Parameter {
        std::uint32_t kind = 0;   ///< fl_accel_argument_kind; 0 = not known
        std::uint32_t bytes = 0;  ///< 0 = not known
        bool is_const = false;
    };

    /// From fl_accel_kernel_report and its argument reports, whole. nullopt: it is not one.
    /// `open_ended`: the runtime does not know the arguments, any will do.
    [[nodiscard]] static std::optional<Signature> parse(std::span<const std::byte> report, bool open_ended = false);

    /// Bytes of an argument block; 0 = not the same for all launches.
    [[nodiscard]] std::uint32_t block_bytes() const noexcept;
    /// Number, kinds and sizes of arguments; work items and blocks.
    [[nodiscard]] Outcome check(const LaunchRequest& request) const noexcept;
    [[nodiscard]] bool writes(std::size_t argument) const noexcept {
        return argument >= parameters_.size() || !parameters_[argument].is_const;
    }
    [[nodiscard]] std::uint64_t shared_bytes() const noexcept { return shared_bytes_; }

private:
    [[nodiscard]] Outcome check_shape(const LaunchRequest& request) const noexcept;
    [[nodiscard]] Outcome check_argument(const Argument& argument, const Parameter& parameter) const noexcept;

    std::vector<Parameter> parameters_;
    bool open_ended_ = false;
    std::uint64_t max_block_ = 0;  ///< 0 = not known
    std::uint64_t shared_bytes_ = 0;
    std::array<std::uint32_t, 3> required_block_{};
};

}  // namespace farlane::backend::worker
