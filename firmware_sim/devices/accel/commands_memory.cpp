// SPDX-License-Identifier: Apache-2.0
// Receives: ALLOC, FREE, COPY and FILL. Hands on: changes of the memory map, DMA, jobs.
// Owns: nothing of its own (processor.hpp). docs/accelerator.md, "Memory commands".
#include <algorithm>
#include <cstring>

#include "devices/accel/processor.hpp"

namespace farlane::firmware::accel {
namespace {

constexpr std::uint32_t kOperands = offsetof(fl_accel_command, u);
constexpr std::uint32_t kDestination = kOperands + offsetof(fl_accel_copy, destination);
constexpr std::uint32_t kSource = kOperands + offsetof(fl_accel_copy, source);
constexpr std::uint32_t kCopyBytes = kOperands + offsetof(fl_accel_copy, bytes);
constexpr std::uint32_t kFillBytes = kOperands + offsetof(fl_accel_fill, bytes);

constexpr std::uint64_t kInLaneBytes = 16 * 1024;  // done by the lane itself: about a microsecond
constexpr std::uint64_t kOutBytes = 256 * 1024;    // of one transfer to the host
constexpr std::uint64_t kInBytes = 64 * 1024;      // of one transfer from the host
constexpr std::uint32_t kReadsInFlight = 8;
constexpr std::uint64_t kReadTag = std::uint64_t{1} << 31;

bool valid_pattern(std::uint32_t bytes) noexcept {
    return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8 || bytes == 16;
}

}  // namespace

/// What every command does that touches device memory: is it poisoned, is it allowed, may it now?
std::optional<Step> Processor::admit(QueuePair& q) noexcept {
    if (const auto culprit = poisoned_by(q)) return depends(q, *culprit);
    if (const auto bad = map_.check(q.active.touches, q.context); !bad.ok()) return fail(q, bad.reason, bad.detail);
    if (pins_.blocks(q.active.touches)) {
        hurry();
        return Step::wait;
    }
    return std::nullopt;
}

/// Another pair's command works on it right now.
bool Processor::in_use_elsewhere(const QueuePair& q, std::uint64_t address, std::uint64_t bytes) const noexcept {
    for (const QueuePair& other : queues_) {
        const Active& a = other.active;
        const bool going_on =
            a.has_job || a.reads != 0 || (a.stage == Stage::running && other.state == FL_ACCEL_QUEUE_ENABLED);
        if (other.number == q.number || !going_on) continue;
        for (const auto& t : a.touches.items()) {
            if (ranges_overlap(t.address, t.bytes, address, bytes)) return true;
        }
    }
    return false;
}

void Processor::start_job(QueuePair& q) noexcept {
    q.active.has_job = true;
    ++jobs_;
}

Step Processor::begin_alloc(QueuePair& q) noexcept {
    const auto& c = q.active.command.u.alloc;
    const auto outcome = map_.allocate(c.address.get(), c.bytes.get(), q.context);
    return outcome.ok() ? succeed(q, 0) : fail(q, outcome.reason, outcome.detail);
}

Step Processor::begin_free(QueuePair& q) noexcept {
    const std::uint64_t address = q.active.command.u.alloc.address.get();
    const Allocation* a = map_.find(address, q.context);
    if (a == nullptr) {
        if (const auto culprit = poisoned_by(q, Object::memory, address, 1)) return depends(q, *culprit);
        return fail(q, FL_ACCEL_REASON_BAD_FREE, kOperands + offsetof(fl_accel_alloc, address));
    }
    if (pins_.overlaps(a->address, a->bytes)) {
        hurry();
        return Step::wait;
    }
    if (in_use_elsewhere(q, a->address, a->bytes)) return Step::wait;
    q.active.touches.clear();
    (void)q.active.touches.add({a->address, a->bytes, true, 0});
    q.active.outcome = {FL_ACCEL_REASON_NONE, 0, a->bytes};
    if (a->bytes <= kInLaneBytes) {
        std::memset(bytes_at(a->address, a->bytes).data(), 0, a->bytes);
        map_.remove(address);
        return Step::done;
    }
    start_job(q);
    executor_.scrub(job_of(q), a->address, a->bytes);
    return Step::run;  // job_done() removes it from the map
}

Step Processor::begin_fill(QueuePair& q) noexcept {
    const auto& c = q.active.command.u.fill;
    const std::uint64_t bytes = c.bytes.get();
    const std::uint32_t pattern_bytes = c.pattern_bytes.get();
    q.active.touches.clear();
    if (bytes > 0) (void)q.active.touches.add({c.destination.get(), bytes, true, kDestination});
    if (!valid_pattern(pattern_bytes)) {
        return fail(q, FL_ACCEL_REASON_BAD_PATTERN, kOperands + offsetof(fl_accel_fill, pattern_bytes));
    }
    const auto* rest = c.pattern + pattern_bytes;
    if (std::any_of(rest, c.pattern + sizeof c.pattern, [](__u8 b) { return b != 0; })) {
        return fail(q, FL_ACCEL_REASON_RESERVED, kOperands + offsetof(fl_accel_fill, pattern) + pattern_bytes);
    }
    if (bytes == 0) return fail(q, FL_ACCEL_REASON_BAD_LENGTH, kFillBytes);
    if (bytes % pattern_bytes != 0) return fail(q, FL_ACCEL_REASON_MISALIGNED, kFillBytes);
    if (c.destination.get() % pattern_bytes != 0) return fail(q, FL_ACCEL_REASON_MISALIGNED, kDestination);
    if (const auto stopped = admit(q)) return *stopped;
    q.active.outcome = {FL_ACCEL_REASON_NONE, 0, bytes};
    const std::span pattern{reinterpret_cast<const std::byte*>(c.pattern), pattern_bytes};
    if (bytes <= kInLaneBytes) {
        const auto to = bytes_at(c.destination.get(), bytes);
        for (std::size_t i = 0; i < to.size(); i += pattern.size()) std::copy(pattern.begin(), pattern.end(), &to[i]);
        return Step::done;
    }
    start_job(q);
    executor_.fill(job_of(q), c.destination.get(), bytes, pattern);
    return Step::run;
}

Step Processor::begin_copy(QueuePair& q) noexcept {
    const auto& c = q.active.command.u.copy;
    const std::uint64_t bytes = c.bytes.get();
    const std::uint32_t kind = c.kind.get();
    auto& touches = q.active.touches;
    touches.clear();
    const bool to_device = kind == FL_ACCEL_COPY_DEVICE_TO_DEVICE || kind == FL_ACCEL_COPY_HOST_TO_DEVICE;
    const bool from_device = kind == FL_ACCEL_COPY_DEVICE_TO_DEVICE || kind == FL_ACCEL_COPY_DEVICE_TO_HOST;
    if (bytes > 0 && to_device) (void)touches.add({c.destination.get(), bytes, true, kDestination});
    if (bytes > 0 && from_device) (void)touches.add({c.source.get(), bytes, false, kSource});
    if (!to_device && !from_device) return fail(q, FL_ACCEL_REASON_BAD_KIND, kind);
    if (bytes == 0) return fail(q, FL_ACCEL_REASON_BAD_LENGTH, kCopyBytes);
    if (const auto stopped = admit(q)) return *stopped;
    q.active.outcome = {FL_ACCEL_REASON_NONE, 0, bytes};
    if (to_device && from_device) return copy_within(q);
    const std::uint64_t iova = to_device ? c.source.get() : c.destination.get();
    if (iova + (bytes - 1) < iova) return fail(q, FL_ACCEL_REASON_HOST_ADDRESS, to_device ? kSource : kDestination);
    return Step::run;  // host_step() does it
}

Step Processor::copy_within(QueuePair& q) noexcept {
    const auto& c = q.active.command.u.copy;
    const std::uint64_t bytes = c.bytes.get();
    if (bytes <= kInLaneBytes) {
        std::memmove(bytes_at(c.destination.get(), bytes).data(), bytes_at(c.source.get(), bytes).data(), bytes);
        return Step::done;
    }
    start_job(q);
    executor_.copy(job_of(q), c.destination.get(), c.source.get(), bytes);
    return Step::run;
}

/// Gets on with a copy to or from the host; called until it is done.
Step Processor::host_step(QueuePair& q) noexcept {
    const bool out = q.active.command.u.copy.kind.get() == FL_ACCEL_COPY_DEVICE_TO_HOST;
    return out ? copy_out(q) : copy_in(q);
}

/// Done when every byte was given to the host: the completion, which is strict, follows them. Their
/// source stays pinned until the host has released them.
Step Processor::copy_out(QueuePair& q) noexcept {
    Active& a = q.active;
    const auto& c = a.command.u.copy;
    const std::uint64_t bytes = c.bytes.get();
    if (a.unordered != 0) return Step::wait;
    if (!a.outcome.ok() || a.given == bytes) return Step::done;
    if (pins_.full()) {
        hurry();
        return Step::wait;
    }
    const std::uint64_t n = std::min(kOutBytes, bytes - a.given);
    const std::uint64_t from = c.source.get() + a.given;
    const std::size_t pin = pins_.add({from, n, q.number, a.serial});
    const std::uint64_t tag = tag_of(static_cast<std::uint32_t>(pin), false);
    const Status status = dma_.write(c.destination.get() + a.given, bytes_at(from, n), DmaOrder::relaxed, tag);
    if (status == Status::ok || status == Status::pending) {
        a.given += n;
        bytes_out_ += n;
        if (status == Status::pending) ++a.unordered;
        return Step::run;
    }
    pins_.remove(pin);
    if (status == Status::would_block) return Step::wait;
    host_failed(q, status);
    return Step::done;
}

Step Processor::copy_in(QueuePair& q) noexcept {
    Active& a = q.active;
    const auto& c = a.command.u.copy;
    const std::uint64_t bytes = c.bytes.get();
    const bool all_given = a.given == bytes || !a.outcome.ok();
    if (all_given && a.reads == 0) return Step::done;
    if (all_given || a.reads == kReadsInFlight) return Step::wait;
    const std::uint64_t n = std::min(kInBytes, bytes - a.given);
    const Status status =
        dma_.read(c.source.get() + a.given, bytes_at(c.destination.get() + a.given, n), tag_of(q.number, true));
    if (status == Status::ok) {
        a.given += n;
        bytes_in_ += n;
        ++a.reads;
        return Step::run;
    }
    if (status == Status::would_block) return Step::wait;
    host_failed(q, status);
    return a.reads == 0 ? Step::done : Step::run;
}

void Processor::host_failed(QueuePair& q, Status status) noexcept {
    const bool out = q.active.command.u.copy.kind.get() == FL_ACCEL_COPY_DEVICE_TO_HOST;
    const bool refused = status == Status::out_of_bounds || status == Status::denied;
    const auto reason = out || refused ? FL_ACCEL_REASON_HOST_ADDRESS : FL_ACCEL_REASON_HOST_READ;
    q.active.outcome = {reason, out ? kDestination : kSource, 0};
}

// --- what the DMA engine says. A tag is generation << 32 | read << 31 | pin or pair.

std::uint64_t Processor::tag_of(std::uint32_t index, bool read) const noexcept {
    return std::uint64_t{generation_} << 32 | (read ? kReadTag : 0) | index;
}

void Processor::dma_ordered(std::uint64_t tag, Status status) noexcept {
    if (tag >> 32 != generation_ || (tag & kReadTag) != 0) return;
    const Pins::Pin& pin = pins_.at(static_cast<std::uint32_t>(tag));
    QueuePair& q = queues_[pin.queue];
    if (pin.bytes == 0 || pin.serial != q.active.serial || q.active.unordered == 0) return;
    --q.active.unordered;
    if (status != Status::ok && q.active.outcome.ok()) host_failed(q, status);
    unblock_all();
}

void Processor::dma_done(std::uint64_t tag, Status status) noexcept {
    if (tag >> 32 != generation_) return;
    if ((tag & kReadTag) == 0) {
        pins_.remove(static_cast<std::uint32_t>(tag));
    } else {
        QueuePair& q = queues_[static_cast<std::uint32_t>(tag & ~kReadTag)];
        if (q.active.reads != 0) --q.active.reads;
        if (status != Status::ok && q.active.outcome.ok()) host_failed(q, status);
    }
    unblock_all();
}

}  // namespace farlane::firmware::accel
