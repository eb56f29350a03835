// SPDX-License-Identifier: Apache-2.0
// Receives: ALLOC, FREE, COPY and FILL. Hands on: changes of the memory map, DMA, jobs.
// Owns: nothing of its own (processor.hpp). docs/accelerator.md, "Memory commands".
#include <algorithm>
#include <cstring>

#include "devices/accel/processor.hpp"

namespace farlane::firmware::accel {
namespace {

constexpr std::uint32_t kOperands = offsetof(fl_accel_command, u);
constexpr std::uint32_t kDestination = kOperands + offsetof(fl_accel_copy_command, destination);
constexpr std::uint32_t kSource = kOperands + offsetof(fl_accel_copy_command, source);
constexpr std::uint32_t kCopyBytes = kOperands + offsetof(fl_accel_copy_command, bytes);
constexpr std::uint32_t kFillBytes = kOperands + offsetof(fl_accel_fill_command, bytes);

constexpr std::uint64_t kInLaneBytes = 16 * 1024;  // done by the lane itself: about a microsecond
constexpr std::uint64_t kOutBytes = 256 * 1024;    // of one transfer to the host
constexpr std::uint64_t kInBytes = 64 * 1024;      // of one transfer from the host
constexpr std::uint32_t kReadsInFlight = 8;

bool touches_range(const backend::AccessList& touches, std::uint64_t address, std::uint64_t bytes,
                   bool same_context) noexcept {
    if (touches.all() && same_context) return true;
    const auto items = touches.items();
    return std::any_of(items.begin(), items.end(),
                       [&](const auto& t) { return ranges_overlap(t.address, t.bytes, address, bytes); });
}

bool valid_pattern(std::uint32_t bytes) noexcept {
    return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8 || bytes == 16;
}

}  // namespace

/// What every command does that touches device memory: is it poisoned, is it allowed, may it now?
std::optional<Step> Processor::admit(QueuePair& q) noexcept {
    if (const auto culprit = poisoned_by(q)) return depends(q, *culprit);
    if (const auto bad = map_.check(q.active.touches, q.context); !bad.ok()) return fail(q, bad.reason, bad.detail);
    if (pins_.blocks(q.active.touches, layout_.plan, q.context)) return wait_for_host();
    return std::nullopt;
}

/// Another pair's command works on it right now.
bool Processor::in_use_elsewhere(const QueuePair& q, std::uint64_t address, std::uint64_t bytes) const noexcept {
    for (const QueuePair& other : queues_) {
        const Active& a = other.active;
        if (other.number == q.number) continue;
        const bool going_on =
            a.has_job || a.reads != 0 || (a.stage == Stage::running && other.state == FL_ACCEL_QUEUE_ENABLED);
        if (going_on && touches_range(a.touches, address, bytes, other.context == q.context)) return true;
        if (other.flying == 0) continue;
        for (std::uint32_t n = other.flight_head; n != other.flight_tail; ++n) {
            const Flight& f = other.flights[n % kMaxFlights];
            if (!f.done && touches_range(f.touches, address, bytes, other.context == q.context)) return true;
        }
    }
    return false;
}

Step Processor::begin_alloc(QueuePair& q) noexcept {
    const auto& c = q.active.command.u.alloc;
    const auto outcome = map_.allocate(c.address.get(), c.bytes.get(), q.context);
    if (!outcome.ok()) return fail(q, outcome.reason, outcome.detail);
    q.active.outcome = {};
    return given(q, executor_.commit(job_of(q), owner_of(q), c.address.get(), c.bytes.get()));
}

Step Processor::begin_free(QueuePair& q) noexcept {
    const std::uint64_t address = q.active.command.u.alloc.address.get();
    const Allocation* a = map_.find(address, q.context);
    if (a == nullptr) {
        if (const auto culprit = poisoned_by(q, Object::memory, address, 1)) return depends(q, *culprit);
        return fail(q, FL_ACCEL_REASON_BAD_FREE, kOperands + offsetof(fl_accel_alloc_command, address));
    }
    if (pins_.overlaps(a->address, a->bytes)) return wait_for_host();
    if (in_use_elsewhere(q, a->address, a->bytes)) return Step::wait;
    q.active.touches.clear();
    (void)q.active.touches.add({a->address, a->bytes, true, 0});
    q.active.outcome = {FL_ACCEL_REASON_NONE, 0, a->bytes};
    const bool plain = layout_.plan.stride == 0;  // with ranges of their own the executor takes it away from kernels
    if (plain && a->bytes <= kInLaneBytes) {
        std::memset(bytes_at(a->address, a->bytes).data(), 0, a->bytes);
        map_.remove(address);
        return Step::done;
    }
    return given(q, executor_.scrub(job_of(q), owner_of(q), a->address, a->bytes));  // landed() takes it off the map
}

Step Processor::begin_fill(QueuePair& q) noexcept {
    const auto& c = q.active.command.u.fill;
    const std::uint64_t bytes = c.bytes.get();
    const std::uint32_t pattern_bytes = c.pattern_bytes.get();
    q.active.touches.clear();
    if (bytes > 0) (void)q.active.touches.add({c.destination.get(), bytes, true, kDestination});
    if (!valid_pattern(pattern_bytes)) {
        return fail(q, FL_ACCEL_REASON_BAD_PATTERN, kOperands + offsetof(fl_accel_fill_command, pattern_bytes));
    }
    const auto* rest = c.pattern + pattern_bytes;
    if (std::any_of(rest, c.pattern + sizeof c.pattern, [](__u8 b) { return b != 0; })) {
        return fail(q, FL_ACCEL_REASON_RESERVED, kOperands + offsetof(fl_accel_fill_command, pattern) + pattern_bytes);
    }
    if (bytes == 0) return fail(q, FL_ACCEL_REASON_BAD_LENGTH, kFillBytes);
    if (bytes % pattern_bytes != 0) return fail(q, FL_ACCEL_REASON_MISALIGNED, kFillBytes);
    if (c.destination.get() % pattern_bytes != 0) return fail(q, FL_ACCEL_REASON_MISALIGNED, kDestination);
    if (const auto stopped = admit(q)) return *stopped;
    q.active.outcome = {FL_ACCEL_REASON_NONE, 0, bytes};
    return fill_job(q);
}

Step Processor::fill_job(QueuePair& q) noexcept {
    const auto& c = q.active.command.u.fill;
    const std::uint64_t at = c.destination.get(), bytes = c.bytes.get();
    const std::span pattern{reinterpret_cast<const std::byte*>(c.pattern), c.pattern_bytes.get()};
    const bool chains = executor_.chains(at, at);
    const bool behind = q.in_flight() != 0;
    if (behind && (!chains || q.in_flight() == kMaxFlights)) return Step::wait;
    if (chains) {
        return flown(q, executor_.fill(job_of(q, q.next_flight()), owner_of(q), at, bytes, pattern, behind));
    }
    if (bytes <= kInLaneBytes && !map_.is_local(at)) {
        const auto to = bytes_at(at, bytes);
        for (std::size_t i = 0; i < to.size(); i += pattern.size()) std::copy(pattern.begin(), pattern.end(), &to[i]);
        return Step::done;
    }
    return given(q, executor_.fill(job_of(q), owner_of(q), at, bytes, pattern, false));
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
    if (q.in_flight() != 0) return Step::wait;
    const std::uint64_t iova = to_device ? c.source.get() : c.destination.get();
    if (iova + (bytes - 1) < iova) return fail(q, FL_ACCEL_REASON_HOST_ADDRESS, to_device ? kSource : kDestination);
    return Step::run;  // host_step() does it
}

Step Processor::copy_within(QueuePair& q) noexcept {
    const auto& c = q.active.command.u.copy;
    const std::uint64_t bytes = c.bytes.get(), to = c.destination.get(), from = c.source.get();
    const bool chains = executor_.chains(to, from);
    const bool behind = q.in_flight() != 0;
    if (behind && (!chains || q.in_flight() == kMaxFlights)) return Step::wait;
    if (chains) return flown(q, executor_.copy(job_of(q, q.next_flight()), owner_of(q), to, from, bytes, behind));
    if (bytes <= kInLaneBytes && !map_.is_local(to) && !map_.is_local(from)) {
        std::memmove(bytes_at(to, bytes).data(), bytes_at(from, bytes).data(), bytes);
        return Step::done;
    }
    return given(q, executor_.copy(job_of(q), owner_of(q), to, from, bytes, false));
}

/// Gets on with a copy to or from the host; called until it is done.
Step Processor::host_step(QueuePair& q) noexcept {
    const auto& c = q.active.command.u.copy;
    const bool out = c.kind.get() == FL_ACCEL_COPY_DEVICE_TO_HOST;
    if (map_.is_local(out ? c.source.get() : c.destination.get())) return out ? copy_out_local(q) : copy_in_local(q);
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
    if (pins_.full(q.context, open_contexts_)) return wait_for_host();
    const std::uint64_t n = std::min(kOutBytes, bytes - a.given);
    const std::uint64_t from = c.source.get() + a.given;
    const std::size_t pin = pins_.add({from, n, q.number, a.serial, q.context});
    const std::uint64_t tag = tag_of(static_cast<std::uint32_t>(pin), false);
    const Status status = dma_.write(c.destination.get() + a.given, bytes_at(from, n), DmaOrder::relaxed, tag, q.pasid);
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
    const Status status = dma_.read(c.source.get() + a.given, bytes_at(c.destination.get() + a.given, n),
                                    tag_of(q.number, true), q.pasid);
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
        const auto index = static_cast<std::uint32_t>(tag);
        const Pins::Pin pin = pins_.at(index);
        pins_.remove(index);
        if (const auto chunk = pin.bytes == 0 ? std::nullopt : chunk_at(pin.address)) {
            free_chunk(queues_[pin.queue], *chunk);
        }
    } else {
        const std::uint32_t index = static_cast<std::uint32_t>(tag & ~kReadTag);
        QueuePair& q = queues_[index & 0xff];
        if (q.active.reads != 0) --q.active.reads;
        if (status != Status::ok && q.active.outcome.ok()) host_failed(q, status);
        if (index >> 8 != 0) chunk_moved(q, (index >> 8) - 1, {});
    }
    unblock_all();
}

}  // namespace farlane::firmware::accel
