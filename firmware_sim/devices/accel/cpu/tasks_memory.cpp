// SPDX-License-Identifier: Apache-2.0
// Receives: ranges of device memory. Hands on: filled, copied and zeroed memory.
// Owns: nothing.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "devices/accel/cpu/tasks.hpp"

namespace farlane::firmware::accel {

FillTask::FillTask(std::byte* to, std::uint64_t bytes, std::span<const std::byte> pattern) noexcept
    : to_(to), bytes_(bytes) {
    for (std::size_t i = 0; i < pattern_.size(); ++i) pattern_[i] = pattern[i % pattern.size()];
}

backend::Outcome FillTask::run(std::size_t part, Scratch&, const std::atomic<bool>&) {
    // A part begins at a multiple of 16 bytes from the start, so the pattern is in step.
    std::byte* to = to_ + part * kPartBytes;
    const std::size_t bytes = std::min(kPartBytes, bytes_ - part * kPartBytes);
    const bool same = std::all_of(pattern_.begin(), pattern_.end(), [&](std::byte b) { return b == pattern_[0]; });
    if (same) {
        std::memset(to, std::to_integer<int>(pattern_[0]), bytes);
        return {};
    }
    std::size_t i = 0;
    for (; i + pattern_.size() <= bytes; i += pattern_.size()) std::memcpy(to + i, pattern_.data(), pattern_.size());
    std::memcpy(to + i, pattern_.data(), bytes - i);
    return {};
}

CopyTask::CopyTask(std::byte* to, const std::byte* from, std::uint64_t bytes) noexcept
    : to_(to), from_(from), row_bytes_(bytes), bytes_per_part_(kPartBytes) {
    const bool overlap = to < from + bytes && from < to + bytes;
    if (overlap) bytes_per_part_ = bytes;
    parts_ = (bytes + bytes_per_part_ - 1) / bytes_per_part_;
}

CopyTask::CopyTask(const View& view, const fl_accel_args_copy& args) noexcept
    : to_(view.at(args.destination.get())),
      from_(view.at(args.source.get())),
      to_pitch_(args.destination_pitch_bytes.get()),
      from_pitch_(args.source_pitch_bytes.get()),
      row_bytes_(args.row_bytes.get()),
      rows_(args.rows.get()),
      bytes_per_part_(rows_ == 1 ? kPartBytes : row_bytes_) {
    if (rows_ == 1) {
        parts_ = (row_bytes_ + bytes_per_part_ - 1) / bytes_per_part_;
    } else {
        rows_per_part_ = std::max<std::size_t>(1, kPartBytes / row_bytes_);
        parts_ = (rows_ + rows_per_part_ - 1) / rows_per_part_;
    }
}

backend::Outcome CopyTask::run(std::size_t part, Scratch&, const std::atomic<bool>& stop) {
    if (rows_ == 1) {
        const std::size_t at = part * bytes_per_part_;
        std::memmove(to_ + at, from_ + at, std::min(bytes_per_part_, row_bytes_ - at));
        return {};
    }
    const std::size_t end = std::min(rows_, (part + 1) * rows_per_part_);
    for (std::size_t row = part * rows_per_part_; row < end; ++row) {
        if (stop.load(std::memory_order_relaxed)) return {FL_ACCEL_REASON_EXECUTION, 0, 0};
        std::memcpy(to_ + row * to_pitch_, from_ + row * from_pitch_, row_bytes_);
    }
    return {};
}

backend::Outcome ScrubTask::run(std::size_t, Scratch&, const std::atomic<bool>&) {
    // Pages that are given back read as zero when they are touched again; memset is the rest.
    if (madvise(to_, bytes_, MADV_DONTNEED) != 0) std::memset(to_, 0, bytes_);
    return {};
}

}  // namespace farlane::firmware::accel
