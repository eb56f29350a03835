// SPDX-License-Identifier: Apache-2.0
// Receives: checked arguments and device memory. Hands on: tasks for the pool.
// Owns: nothing but the arguments; device memory belongs to the executor.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>

#include "devices/accel/builtin.hpp"
#include "devices/accel/cpu/kernels.hpp"
#include "devices/accel/cpu/pool.hpp"

namespace farlane::firmware::accel {

/// Device memory as the threads see it. Addresses were checked before.
struct View {
    std::byte* base = nullptr;
    std::uint64_t address = 0;
    [[nodiscard]] std::byte* at(std::uint64_t device_address) const noexcept {
        // as a number: what is said to have no bytes may have any address
        return reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(base) + (device_address - address));
    }
};

/// A part of linear work is about this long: long enough for a hand-over, short enough to share.
inline constexpr std::size_t kPartBytes = std::size_t{512} * 1024;

class FillTask final : public PoolTask {
public:
    FillTask(std::byte* to, std::uint64_t bytes, std::span<const std::byte> pattern) noexcept;
    [[nodiscard]] std::size_t parts() const noexcept { return (bytes_ + kPartBytes - 1) / kPartBytes; }
    backend::Outcome run(std::size_t part, Scratch& scratch, const std::atomic<bool>& stop) override;

private:
    std::byte* to_;
    std::size_t bytes_;
    std::array<std::byte, FL_ACCEL_PATTERN_BYTES> pattern_{};  ///< repeated to 16 bytes
};

/// Rows; one row when it is a plain copy. Plain copies may overlap (then in one part).
class CopyTask final : public PoolTask {
public:
    CopyTask(std::byte* to, const std::byte* from, std::uint64_t bytes) noexcept;
    CopyTask(const View& view, const fl_accel_args_copy& args) noexcept;
    [[nodiscard]] std::size_t parts() const noexcept { return parts_; }
    backend::Outcome run(std::size_t part, Scratch& scratch, const std::atomic<bool>& stop) override;

private:
    std::byte* to_;
    const std::byte* from_;
    std::size_t to_pitch_ = 0, from_pitch_ = 0, row_bytes_, rows_ = 1;
    std::size_t rows_per_part_ = 1, bytes_per_part_;  ///< of one row, when rows_ is 1
    std::size_t parts_;
};

/// Zeroes memory and gives whole pages back to the system.
class ScrubTask final : public PoolTask {
public:
    ScrubTask(std::byte* to, std::uint64_t bytes) noexcept : to_(to), bytes_(bytes) {}
    [[nodiscard]] std::size_t parts() const noexcept { return 1; }
    backend::Outcome run(std::size_t part, Scratch& scratch, const std::atomic<bool>& stop) override;

private:
    std::byte* to_;
    std::size_t bytes_;
};

class AxpyTask final : public PoolTask {
public:
    AxpyTask(const View& view, const KernelTable& loops, const fl_accel_args_axpy_f32& args) noexcept;
    [[nodiscard]] std::size_t parts() const noexcept;
    backend::Outcome run(std::size_t part, Scratch& scratch, const std::atomic<bool>& stop) override;

private:
    const KernelTable* loops_;
    const float* x_;
    float* y_;
    std::size_t count_;
    float a_;
};

class ReduceTask final : public PoolTask {
public:
    static constexpr std::size_t kMaxParts = 64;
    ReduceTask(const View& view, const KernelTable& loops, const fl_accel_args_reduce_f32& args) noexcept;
    [[nodiscard]] std::size_t parts() const noexcept { return (count_ + per_part_ - 1) / per_part_; }
    backend::Outcome run(std::size_t part, Scratch& scratch, const std::atomic<bool>& stop) override;
    backend::Outcome finish() override;

private:
    const KernelTable* loops_;
    std::byte* to_;
    const float* from_;
    std::size_t count_;
    std::uint32_t operation_;
    std::size_t per_part_;
    std::array<ReducePart, kMaxParts> results_{};  ///< combined in order: the same for any thread count
};

class GemmTask final : public PoolTask {
public:
    GemmTask(const View& view, const KernelTable& loops, const fl_accel_args_gemm_f32& args) noexcept;
    [[nodiscard]] std::size_t parts() const noexcept { return row_blocks_ * column_blocks_; }
    backend::Outcome run(std::size_t part, Scratch& scratch, const std::atomic<bool>& stop) override;

private:
    struct Block {
        std::size_t row, rows, column, columns;
    };
    void scale(const Block& block) const noexcept;
    void pack_a(const Block& block, std::size_t k, std::size_t count, float* to) const noexcept;
    void pack_b(const Block& block, std::size_t k, std::size_t count, float* to) const noexcept;
    void multiply(const Block& block, std::size_t count, const float* a, const float* b) const noexcept;

    const KernelTable* loops_;
    const float* a_;
    const float* b_;
    float* c_;
    std::size_t m_, n_, k_, lda_, ldb_, ldc_;
    float alpha_, beta_;
    bool turned_a_, turned_b_;
    std::size_t row_blocks_, column_blocks_;
};

/// Both convolutions: elements of four bytes, rows padded by half the size of the weights.
class ConvTask final : public PoolTask {
public:
    ConvTask(const View& view, const KernelTable& loops, const fl_accel_args_conv2d_f32& args) noexcept;
    ConvTask(const View& view, const KernelTable& loops, const fl_accel_args_conv2d_rgba8& args) noexcept;
    [[nodiscard]] std::size_t parts() const noexcept { return (height_ + rows_per_part_ - 1) / rows_per_part_; }
    backend::Outcome run(std::size_t part, Scratch& scratch, const std::atomic<bool>& stop) override;

private:
    template <class Args>
    void set_picture(const View& view, const Args& args) noexcept;
    void pad_row(std::int64_t y, std::byte* to) const noexcept;
    void row_f32(const std::byte* const* rows, std::size_t y) const noexcept;
    void row_rgba(const std::byte* const* rows, std::size_t y) const noexcept;
    void row_rgba_wide(const std::byte* const* rows, std::size_t y) const noexcept;
    void copy_alpha(const std::byte* const* rows, std::byte* out) const noexcept;
    [[nodiscard]] bool sums_fit(const std::byte* weights) const noexcept;

    const KernelTable* loops_;
    std::byte* to_ = nullptr;
    const std::byte* from_ = nullptr;
    const std::byte* weights_ = nullptr;
    std::size_t width_ = 0, height_ = 0, to_pitch_ = 0, from_pitch_ = 0, rows_per_part_ = 1;
    std::uint32_t size_ = 1;
    bool clamp_ = false;
    bool rgba_ = false;
    bool keep_alpha_ = false;
    std::uint32_t shift_ = 0;
    std::int32_t bias_ = 0;
};

class Sha256Task final : public PoolTask {
public:
    Sha256Task(const View& view, const KernelTable& loops, const fl_accel_args_sha256& args) noexcept;
    [[nodiscard]] std::size_t parts() const noexcept { return (count_ + per_part_ - 1) / per_part_; }
    backend::Outcome run(std::size_t part, Scratch& scratch, const std::atomic<bool>& stop) override;

private:
    bool digest(std::size_t message, const std::atomic<bool>& stop) const noexcept;

    const KernelTable* loops_;
    std::byte* to_;
    const std::byte* from_;
    std::size_t bytes_, stride_, count_, per_part_;
};

/// Any of them, kept in the slot of its job.
using AnyTask =
    std::variant<std::monostate, FillTask, CopyTask, ScrubTask, AxpyTask, ReduceTask, GemmTask, ConvTask, Sha256Task>;

}  // namespace farlane::firmware::accel
