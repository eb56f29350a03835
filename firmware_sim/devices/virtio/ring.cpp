// SPDX-License-Identifier: Apache-2.0
// Receives: available rings of the driver. Hands on: requests, in the order in which they were made available; used
// entries and interrupts. Owns: nothing; positions are in Queue. Virtio 1.2, 2.7.
//
// The available ring is read whole, index and entries in one round trip. Entries that one read brings are not yet
// certain, since nothing orders the parts of a read: their descriptors are fetched at once, but they are used only
// when the next read has shown them again, or when a notification told an index behind them. With
// VIRTIO_F_EVENT_IDX the next read is needed anyway, to see what came before avail_event was written.
//
// After a kill: requests are completed in the order in which they were made available. So the used index in host
// memory is the first position that has not been completed, whatever was on its way, and everything from there
// on is done again: reads and writes of a disk can be repeated, and queues whose requests can not (once()) record
// which they have executed. Entries behind the used index are written again; the driver has not looked at them.
#include <algorithm>
#include <cstring>

#include <farlane/uapi/types.h>

#include "devices/virtio/transport.hpp"

namespace farlane::firmware::virtio {
namespace {

constexpr std::uint32_t kIndexAt = 2, kRingAt = 4, kHinted = 0x10000;
constexpr unsigned kUsedBatch = 8;  // entries of 8 bytes: what a write takes without waiting for its release

std::uint16_t word(std::span<const std::byte> raw, std::size_t at) noexcept {
    fl_le16 v;
    std::memcpy(&v, raw.data() + at, sizeof v);
    return v.get();
}

}  // namespace

void Transport::start_queues() noexcept {
    for (unsigned n = 0; n < profile_.queues; ++n) {
        Queue& q = queues_[n];
        q.forget();
        q.running = q.read_wanted = state_.session.queues[n].enabled != 0;
    }
    on_started();
}

bool Transport::wants_read(const Queue& q) const noexcept {
    return !q.reading && (q.recovering || (q.running && q.read_wanted));
}

bool Transport::ask(unsigned n, std::uint64_t iova, std::uint32_t bytes, Block::Use use) noexcept {
    Queue& q = queues_[n];
    const std::uint32_t index = staging_.take();
    Block& b = staging_[index];
    b.use = use;
    b.queue = static_cast<std::uint16_t>(n);
    b.bytes = bytes;
    b.pending = 1;
    if (q.hinted) b.offset = kHinted | q.hint;
    const Status s = dma().read(iova, staging_.used_bytes(index), index);
    if (s != Status::ok) {
        staging_.give(index);
        if (s != Status::would_block && s != Status::denied) broken(Fault::memory);
        return false;
    }
    q.reading = true;
    q.hinted = q.read_wanted = false;
    q.covers = q.used;
    ++ring_reads_;
    return true;
}

bool Transport::read_rings(unsigned n) noexcept {
    Queue& q = queues_[n];
    if (!wants_read(q) || !can_move()) return false;
    const QueueState& s = state_.session.queues[n];
    if (q.recovering) return ask(n, s.device, kRingAt, Block::Use::used_index);
    const bool events = negotiated(feature::kEventIndex);
    if (q.event_due && events) {
        // 2.7.7: from here on the driver notifies of the entry behind those that were seen; the read sees the others
        const fl_le16 event(q.seen);
        const std::uint64_t at = s.device + kRingAt + std::uint64_t{s.size} * kUsedEntryBytes;
        const Status status = dma().write_now(at, std::as_bytes(std::span{&event, 1}));
        if (status == Status::would_block || status == Status::denied) return false;
        if (status != Status::ok) return broken(Fault::memory), true;
        q.event_due = false;
    }
    return ask(n, s.driver, kRingAt + 2 * s.size + (events ? 2 : 0), Block::Use::available);
}

void Transport::ring_answered(const Block& b, std::span<const std::byte> raw) noexcept {
    if (!running()) return;
    Queue& q = queues_[b.queue];
    q.reading = false;
    if (b.status != Status::ok) return broken(Fault::memory);
    if (b.use == Block::Use::used_index) return used_index_read(b.queue, raw);
    faults().point("available ring read");
    const std::uint16_t index = word(raw, kIndexAt), before = q.seen;
    if (!take_entries(b.queue, index, raw)) return broken(Fault::index);
    const auto hint = static_cast<std::uint16_t>(b.offset);
    if ((b.offset & kHinted) != 0 && distance(q.confirmed, hint) <= distance(q.confirmed, q.seen)) q.confirmed = hint;
    if (q.seen != before && negotiated(feature::kEventIndex)) q.event_due = q.read_wanted = true;
    if (q.confirmed != q.seen) q.read_wanted = true;
    available_read(b.queue, raw);
}

// How the driver wants to be told of used buffers.
void Transport::available_read(unsigned n, std::span<const std::byte> raw) noexcept {
    Queue& q = queues_[n];
    q.driver_flags = word(raw, 0);
    if (negotiated(feature::kEventIndex)) q.used_event = word(raw, raw.size() - 2);
    signal(n, true);
}

bool Transport::take_entries(unsigned n, std::uint16_t index, std::span<const std::byte> raw) noexcept {
    Queue& q = queues_[n];
    const std::uint32_t size = state_.session.queues[n].size;
    if (distance(q.used, index) > size || distance(q.used, index) < distance(q.used, q.seen)) return false;
    const auto entry = [&](std::uint16_t p) { return word(raw, kRingAt + 2 * (p & (size - 1))); };
    for (std::uint16_t p = q.confirmed; p != q.seen; ++p) {
        if (q.heads[p & (size - 1)] == entry(p)) continue;
        q.heads[p & (size - 1)] = entry(p);
        if (distance(q.used, p) < distance(q.used, q.fetched)) rewind(q, p);
    }
    q.confirmed = q.seen;
    for (; q.seen != index; ++q.seen) q.heads[q.seen & (size - 1)] = entry(q.seen);
    return true;
}

void Transport::used_index_read(unsigned n, std::span<const std::byte> raw) noexcept {
    Queue& q = queues_[n];
    QueueState& s = state_.session.queues[n];
    const std::uint16_t used = word(raw, kIndexAt);
    q.forget();
    q.seen = q.confirmed = q.fetched = q.started = q.first_open = used;
    q.used_written = q.used = q.signaled = q.covers = used;
    if (distance(used, static_cast<std::uint16_t>(s.executed)) > s.size) s.executed = used;
    q.running = q.read_wanted = q.event_due = true;
    faults().point("used index read");
}

bool Transport::startable(unsigned n) const noexcept {
    const Queue& q = queues_[n];
    return q.running && q.started != q.confirmed && q.started != q.fetched && q.at(q.started).step == Step::ready;
}

bool Transport::start_requests(unsigned n) noexcept {
    Queue& q = queues_[n];
    bool did = false;
    while (dma().ready() && startable(n)) {
        Request& r = q.at(q.started);
        did = true;
        if (r.fault != Fault::none) return broken(r.fault), true;
        r.step = Step::running;
        ++q.started;
        ++requests_;
        const auto ahead = distance(r.position, static_cast<std::uint16_t>(state_.session.queues[n].executed));
        if (once(n) && ahead != 0 && ahead <= state_.session.queues[n].size)
            r.step = Step::done;  // it had its effect before a kill
        else
            proceed(r);
    }
    return did;
}

bool Transport::usable(const Queue& q) const noexcept {
    if (!q.running) return false;
    return q.used != q.used_written || (q.used_written != q.started && q.at(q.used_written).step == Step::done);
}

bool Transport::write_used(unsigned n) noexcept {
    Queue& q = queues_[n];
    if (!usable(q) || !dma().ready()) return false;
    const QueueState& s = state_.session.queues[n];
    const auto refused = [this](Status status) {
        if (status == Status::ok) return false;
        if (status != Status::would_block && status != Status::denied) broken(Fault::memory);
        return true;
    };
    while (q.used_written != q.started && q.at(q.used_written).step == Step::done) {
        std::array<fl_le32, std::size_t{2} * kUsedBatch> entries;
        const std::uint32_t at = q.used_written & (s.size - 1);
        unsigned count = 0;
        for (; count < kUsedBatch && at + count < s.size; ++count) {
            const auto p = static_cast<std::uint16_t>(q.used_written + count);
            if (p == q.started || q.at(p).step != Step::done) break;
            entries[std::size_t{2} * count].set(q.at(p).head);
            entries[std::size_t{2} * count + 1].set(q.at(p).written);
        }
        const auto raw = std::as_bytes(std::span(entries).first(std::size_t{2} * count));
        if (refused(dma().write_now(s.device + kRingAt + std::uint64_t{at} * kUsedEntryBytes, raw))) return true;
        for (; count != 0; --count, ++q.used_written)
            if (q.first_open == q.used_written) ++q.first_open;
        faults().point("used entries given");
    }
    const fl_le16 index(q.used_written);
    if (refused(dma().write_now(s.device + kIndexAt, std::as_bytes(std::span{&index, 1})))) return true;
    faults().point("used index given");
    for (; q.used != q.used_written; ++q.used) q.at(q.used).step = Step::free;
    signal(n, false);
    return true;
}

// 2.7.7 and 2.7.10: what is known of the driver's wish may be old. Told to interrupt, that is done; told not to, its
// wish is read anew, behind the used index. `fresh`: it was just read, after index `covers` was given.
void Transport::signal(unsigned n, bool fresh) noexcept {
    Queue& q = queues_[n];
    if (q.signaled == q.used) return;
    const bool wanted = negotiated(feature::kEventIndex) ? passes(q.used_event, q.used, q.signaled)
                                                         : (q.driver_flags & kNoInterrupt) == 0;
    if (wanted) {
        q.signaled = q.used;
        if (!interrupts().using_msix()) state_.session.isr |= isr::kQueue;
        if (const std::uint32_t v = state_.session.queues[n].vector; v != kNoVector) raise(v);
        return;
    }
    if (fresh) {
        interrupts_suppressed_ += distance(q.signaled, q.covers);
        q.signaled = q.covers;
    }
    if (q.signaled != q.used) q.read_wanted = true;
}

}  // namespace farlane::firmware::virtio
