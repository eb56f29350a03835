// SPDX-License-Identifier: Apache-2.0
// Receives: a picture or matrix of four-byte elements and weights. Hands on: the filtered one.
// Owns: nothing; a ring of padded source rows lives in the scratch of the thread.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "devices/accel/cpu/tasks.hpp"

namespace farlane::firmware::accel {
namespace {

constexpr std::size_t kElement = 4;
constexpr std::uint32_t kMostOf32Bits = 0x400000;              // absolute weights in all
constexpr std::size_t kPartOperations = std::size_t{4} << 20;  // products a part should do at least

}  // namespace

template <class Args>
void ConvTask::set_picture(const View& view, const Args& args) noexcept {
    to_ = view.at(args.destination.get());
    from_ = view.at(args.source.get());
    weights_ = view.at(args.weights.get());
    width_ = args.width.get();
    height_ = args.height.get();
    to_pitch_ = args.destination_pitch_bytes.get();
    from_pitch_ = args.source_pitch_bytes.get();
    size_ = args.size.get();
    clamp_ = args.border.get() == FL_ACCEL_BORDER_CLAMP;
    // Each part pads size - 1 rows more than it yields: at least four times as many rows as that.
    const std::size_t per_row = width_ * size_ * size_;
    rows_per_part_ = std::max<std::size_t>({1, kPartOperations / per_row, std::size_t{4} * (size_ - 1)});
}

ConvTask::ConvTask(const View& view, const KernelTable& loops, const fl_accel_args_conv2d_f32& args) noexcept
    : loops_(&loops) {
    set_picture(view, args);
}

ConvTask::ConvTask(const View& view, const KernelTable& loops, const fl_accel_args_conv2d_rgba8& args) noexcept
    : loops_(&loops), rgba_(true), shift_(args.shift.get()), bias_(static_cast<std::int32_t>(args.bias.get())) {
    keep_alpha_ = (args.flags.get() & FL_ACCEL_CONV2D_KEEP_ALPHA) != 0;
    set_picture(view, args);
}

backend::Outcome ConvTask::run(std::size_t part, Scratch& scratch, const std::atomic<bool>& stop) {
    // The weights may be written by the host while we run: use one copy, looked at once.
    alignas(64) std::array<std::byte, FL_ACCEL_CONV2D_MAX_SIZE * FL_ACCEL_CONV2D_MAX_SIZE * sizeof(float)> weights;
    std::memcpy(weights.data(), weights_, std::size_t{size_} * size_ * (rgba_ ? 2 : 4));
    const bool wide = rgba_ && !sums_fit(weights.data());
    ConvTask with_copy = *this;
    with_copy.weights_ = weights.data();

    const std::size_t padded_bytes = (width_ + size_ - 1 + kConvSlack) * kElement;
    std::byte* ring = scratch.get(0, padded_bytes * size_);
    std::memset(ring, 0, padded_bytes * size_);
    const auto slot = [&](std::int64_t y) {
        return ring + static_cast<std::size_t>((y + static_cast<std::int64_t>(size_)) % size_) * padded_bytes;
    };
    const std::int64_t radius = size_ / 2;
    const auto begin = static_cast<std::int64_t>(part * rows_per_part_);
    const auto end = static_cast<std::int64_t>(std::min(height_, (part + 1) * rows_per_part_));
    for (std::int64_t y = begin - radius; y < begin + radius; ++y) pad_row(y, slot(y));
    for (std::int64_t y = begin; y < end; ++y) {
        if (stop.load(std::memory_order_relaxed)) return {FL_ACCEL_REASON_EXECUTION, 0, 0};
        pad_row(y + radius, slot(y + radius));
        std::array<const std::byte*, FL_ACCEL_CONV2D_MAX_SIZE> rows{};
        for (std::int64_t j = 0; j < size_; ++j) rows[static_cast<std::size_t>(j)] = slot(y - radius + j);
        if (wide) {
            with_copy.row_rgba_wide(rows.data(), static_cast<std::size_t>(y));
        } else if (rgba_) {
            with_copy.row_rgba(rows.data(), static_cast<std::size_t>(y));
        } else {
            with_copy.row_f32(rows.data(), static_cast<std::size_t>(y));
        }
    }
    return {};
}

/// Source row `y`, which may be outside, with what the border rule puts left and right of it.
void ConvTask::pad_row(std::int64_t y, std::byte* to) const noexcept {
    const std::size_t side = size_ / 2 * kElement;
    const std::size_t row_bytes = width_ * kElement;
    const auto last = static_cast<std::int64_t>(height_) - 1;
    if (!clamp_ && (y < 0 || y > last)) {
        std::memset(to, 0, row_bytes + 2 * side);
        return;
    }
    const std::byte* from = from_ + static_cast<std::size_t>(std::clamp<std::int64_t>(y, 0, last)) * from_pitch_;
    std::memcpy(to + side, from, row_bytes);
    if (!clamp_) {
        std::memset(to, 0, side);
        std::memset(to + side + row_bytes, 0, side);
        return;
    }
    for (std::size_t at = 0; at < side; at += kElement) {
        std::memcpy(to + at, to + side, kElement);
        std::memcpy(to + side + row_bytes + at, to + row_bytes + side - kElement, kElement);
    }
}

void ConvTask::row_f32(const std::byte* const* rows, std::size_t y) const noexcept {
    ConvF32Row row;
    row.rows = rows;
    row.weights = reinterpret_cast<const float*>(weights_);
    row.size = size_;
    row.width = static_cast<std::uint32_t>(width_);
    row.out = to_ + y * to_pitch_;
    loops_->conv_f32_row(row);
}

void ConvTask::row_rgba(const std::byte* const* rows, std::size_t y) const noexcept {
    ConvRgbaRow row;
    row.rows = rows;
    row.weights = reinterpret_cast<const std::int16_t*>(weights_);
    row.size = size_;
    row.width = static_cast<std::uint32_t>(width_);
    row.round = shift_ == 0 ? 0 : 1 << (shift_ - 1);
    row.shift = shift_;
    row.bias = bias_;
    row.out = to_ + y * to_pitch_;
    loops_->conv_rgba_row(row);
    if (keep_alpha_) copy_alpha(rows, row.out);
}

/// For weights that hardly anybody has: slow, with sums of 64 bits.
void ConvTask::row_rgba_wide(const std::byte* const* rows, std::size_t y) const noexcept {
    const auto* weights = reinterpret_cast<const std::int16_t*>(weights_);
    const std::int64_t round = shift_ == 0 ? 0 : 1 << (shift_ - 1);
    std::byte* out = to_ + y * to_pitch_;
    for (std::size_t at = 0; at < width_ * kElement; ++at) {
        std::int64_t sum = 0;
        for (std::size_t t = 0; t < std::size_t{size_} * size_; ++t) {
            sum += std::int64_t{weights[t]} * std::to_integer<std::int64_t>(rows[t / size_][at + t % size_ * kElement]);
        }
        out[at] = static_cast<std::byte>(std::clamp<std::int64_t>(((sum + round) >> shift_) + bias_, 0, 255));
    }
    if (keep_alpha_) copy_alpha(rows, out);
}

void ConvTask::copy_alpha(const std::byte* const* rows, std::byte* out) const noexcept {
    const std::byte* centre = rows[size_ / 2] + size_ / 2 * kElement;
    for (std::size_t at = 3; at < width_ * kElement; at += kElement) out[at] = centre[at];
}

/// The sums of the loops stay within 32 bits.
bool ConvTask::sums_fit(const std::byte* weights) const noexcept {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < std::size_t{size_} * size_; ++i) {
        std::int16_t w;
        std::memcpy(&w, weights + i * sizeof w, sizeof w);
        sum += static_cast<std::uint32_t>(std::abs(std::int32_t{w}));
    }
    return sum <= kMostOf32Bits;
}

}  // namespace farlane::firmware::accel
