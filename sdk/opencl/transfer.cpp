// SPDX-License-Identifier: Apache-2.0
// Receives: transfers that can be sent. Hands on: COPY and FILL commands, pushes.
// Owns: what transfer.hpp says. docs/accelerator.md, "Memory commands".
#include "opencl/transfer.hpp"

#include <algorithm>
#include <cstring>

#include "opencl/queue.hpp"

namespace farlane::opencl {
namespace {

constexpr std::uint32_t kSlots = 4;  // a COPY and what may have to be waited for
/// The bytes between the rows are fetched, too, when that is not much more.
constexpr std::size_t kSpanFactor = 4;
/// From here on memory of the application is mapped: it takes a look at the process's map and two calls of the fabric.
constexpr std::size_t kInPlaceBytes = 8 << 20;

fl_accel_command copy_command(fl_accel_copy_kind kind, std::uint64_t to, std::uint64_t from, std::size_t bytes) {
    fl_accel_command c{};
    c.head.opcode = FL_ACCEL_OP_COPY;
    c.u.copy.destination.set(to);
    c.u.copy.source.set(from);
    c.u.copy.bytes.set(bytes);
    c.u.copy.kind.set(kind);
    return c;
}

void copy_on_device(Submission& s, lib::BufferState& to, std::uint64_t to_offset, lib::BufferState& from,
                    std::uint64_t from_offset, std::size_t bytes) {
    s.engine.make_room(s.guard, s.track, kSlots);
    auto& state = s.engine.state();
    auto& q = *s.track.queue;
    state.admit(q, &to, to_offset, bytes);
    state.admit(q, &from, from_offset, bytes);
    auto c = copy_command(FL_ACCEL_COPY_DEVICE_TO_DEVICE, to.address + to_offset, from.address + from_offset, bytes);
    const auto t = state.submit(q, c, {}, "of a buffer", to.address + to_offset);
    to.uses.note(q, t);
    from.uses.note(q, t);
}

void copy_to_host(Submission& s, std::uint64_t iova, lib::BufferState& from, std::uint64_t offset, std::size_t bytes) {
    s.engine.make_room(s.guard, s.track, kSlots);
    auto& state = s.engine.state();
    auto& q = *s.track.queue;
    state.admit(q, &from, offset, bytes);
    auto c = copy_command(FL_ACCEL_COPY_DEVICE_TO_HOST, iova, from.address + offset, bytes);
    from.uses.note(q, state.submit(q, c, {}, "of a download", from.address + offset));
}

template <class Each>
void each_row(const Extent3& e, Each&& each) {
    for (std::size_t slice = 0; slice < e.slices; ++slice) {
        for (std::size_t row = 0; row < e.rows; ++row) each(row, slice);
    }
}

Layout packed(const Extent3& e) {
    return {0, e.row_bytes, e.row_bytes * e.rows};
}

}  // namespace

// --- read

ReadWork::ReadWork(Memory& memory, const Layout& device, std::byte* to, const Layout& host, const Extent3& extent)
    : memory_(&memory), device_(device), host_(host), to_(to), extent_(extent) {
    merge_rows(extent_, device_, host_);
}

/// Not every provider can do it, nor all memory be mapped.
bool ReadWork::map_in_place(Engine& engine, std::size_t bytes) {
    try {
        mapping_ =
            engine.state().provider().domain().map(std::span(to_ + host_.offset, bytes), DmaDirection::from_device);
        return true;
    } catch (const Error&) {
        return false;
    }
}

void ReadWork::submit(Submission& s) {
    lib::BufferState& from = memory_->state();
    const std::size_t span = device_.span(extent_);
    if (extent_.count() == 1 && span >= kInPlaceBytes && map_in_place(s.engine, span)) {
        return copy_to_host(s, mapping_.iova(), from, memory_->offset() + device_.offset, span);
    }
    const bool whole = extent_.count() == 1 || span / kSpanFactor <= extent_.bytes();
    block_layout_ = whole ? Layout{0, device_.row_pitch, device_.slice_pitch} : packed(extent_);
    block_ = s.engine.take_host(s.guard, whole ? span : extent_.bytes());
    const std::uint64_t base = memory_->offset();
    if (whole) return copy_to_host(s, block_.iova(), from, base + device_.offset, span);
    each_row(extent_, [&](std::size_t row, std::size_t slice) {
        copy_to_host(s, block_.iova() + block_layout_.at(row, slice), from, base + device_.at(row, slice),
                     extent_.row_bytes);
    });
}

void ReadWork::finish(bool ok) noexcept {
    if (mapping_.valid()) {
        try {
            mapping_.unmap();
        } catch (const Error& e) {
            log_error("unmap", e);
        }
        return;
    }
    if (!ok) return;
    each_row(extent_, [&](std::size_t row, std::size_t slice) {
        std::memcpy(to_ + host_.at(row, slice), block_.data() + block_layout_.at(row, slice), extent_.row_bytes);
    });
}

bool ReadWork::writes_host(const std::byte* begin, std::size_t bytes) const noexcept {
    const std::byte* first = to_ + host_.offset;
    return begin < first + host_.span(extent_) && first < begin + bytes;
}

// --- write

WriteWork::WriteWork(Memory& memory, const Layout& device, const std::byte* from, const Layout& host,
                     const Extent3& extent, std::shared_ptr<std::byte[]> keeps)
    : memory_(&memory), device_(device), host_(host), from_(from), extent_(extent), keeps_(std::move(keeps)) {
    merge_rows(extent_, device_, host_);
}

/// What is read into the application's memory on behalf of earlier commands is there first.
bool WriteWork::ready(Engine& engine) {
    if (engine.host_is_written(from_ + host_.offset, host_.span(extent_))) return false;
    return engine.upload_is_quick(memory_->state(), memory_->offset() + device_.offset, device_.span(extent_));
}

void WriteWork::submit(Submission& s) {
    lib::BufferState& to = memory_->state();
    const std::uint64_t first = memory_->offset() + device_.offset;
    const bool direct = to.uses.done() && s.engine.state().device().aperture(to.address + first, device_.span(extent_));
    if (extent_.count() > 1 && !direct) return submit_packed(s);
    each_row(extent_, [&](std::size_t row, std::size_t slice) {
        s.engine.upload(s.guard, s.track, to, memory_->offset() + device_.at(row, slice),
                        std::span(from_ + host_.at(row, slice), extent_.row_bytes));
    });
}

/// Rows for memory that is in use: they go to staging memory together.
void WriteWork::submit_packed(Submission& s) {
    const Layout layout = packed(extent_);
    std::vector<std::byte> rows(extent_.bytes());
    each_row(extent_, [&](std::size_t row, std::size_t slice) {
        std::memcpy(rows.data() + layout.at(row, slice), from_ + host_.at(row, slice), extent_.row_bytes);
    });
    s.engine.make_own_room(s.guard, kSlots);
    auto staging = s.engine.state().allocate(rows.size(), accel::detail::Place::aperture);
    s.engine.upload(s.guard, s.track, *staging, 0, rows);
    each_row(extent_, [&](std::size_t row, std::size_t slice) {
        copy_on_device(s, memory_->state(), memory_->offset() + device_.at(row, slice), *staging, layout.at(row, slice),
                       extent_.row_bytes);
    });
}

// --- copy

CopyWork::CopyWork(Memory& to, const Layout& to_layout, Memory& from, const Layout& from_layout, const Extent3& extent)
    : to_(&to), from_(&from), to_layout_(to_layout), from_layout_(from_layout), extent_(extent) {
    merge_rows(extent_, to_layout_, from_layout_);
}

void CopyWork::submit(Submission& s) {
    each_row(extent_, [&](std::size_t row, std::size_t slice) {
        copy_on_device(s, to_->state(), to_->offset() + to_layout_.at(row, slice), from_->state(),
                       from_->offset() + from_layout_.at(row, slice), extent_.row_bytes);
    });
}

// --- fill

FillWork::FillWork(Memory& memory, const void* pattern, std::size_t pattern_bytes, std::size_t offset,
                   std::size_t bytes)
    : memory_(&memory), pattern_bytes_(pattern_bytes), offset_(offset), bytes_(bytes) {
    std::memcpy(pattern_.data(), pattern, pattern_bytes);
}

void FillWork::submit(Submission& s) {
    if (bytes_ == 0) return;
    if (pattern_bytes_ > FL_ACCEL_PATTERN_BYTES) return submit_doubling(s);
    s.engine.make_room(s.guard, s.track, kSlots);
    auto& state = s.engine.state();
    auto& q = *s.track.queue;
    lib::BufferState& to = memory_->state();
    const std::uint64_t first = memory_->offset() + offset_;
    state.admit(q, &to, first, bytes_);
    fl_accel_command c{};
    c.head.opcode = FL_ACCEL_OP_FILL;
    c.u.fill.destination.set(to.address + first);
    c.u.fill.bytes.set(bytes_);
    std::memcpy(c.u.fill.pattern, pattern_.data(), pattern_bytes_);
    c.u.fill.pattern_bytes.set(static_cast<std::uint32_t>(pattern_bytes_));
    to.uses.note(q, state.submit(q, c, {}, "of a buffer", to.address + first));
}

/// The device's patterns end at 16 bytes: a longer one is written once and copied behind itself.
void FillWork::submit_doubling(Submission& s) {
    lib::BufferState& to = memory_->state();
    const std::uint64_t first = memory_->offset() + offset_;
    s.engine.upload(s.guard, s.track, to, first, std::span(pattern_).first(pattern_bytes_));
    for (std::size_t done = pattern_bytes_; done < bytes_;) {
        const std::size_t n = std::min(done, bytes_ - done);
        copy_on_device(s, to, first + done, to, first, n);
        done += n;
    }
}

}  // namespace farlane::opencl
