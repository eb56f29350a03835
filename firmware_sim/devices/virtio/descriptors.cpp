// SPDX-License-Identifier: Apache-2.0
// Receives: heads of descriptor chains. Hands on: requests with their segments. Owns: nothing. Virtio 1.2, 2.7.5.
//
// A read brings a run of descriptors, since drivers mostly chain neighbours; an indirect table comes whole.
#include <algorithm>
#include <cstring>

#include <farlane/uapi/types.h>

#include "devices/virtio/transport.hpp"

namespace farlane::firmware::virtio {
namespace {

constexpr std::uint32_t kRun = 16;

struct Descriptor {
    fl_le64 iova;
    fl_le32 bytes;
    fl_le16 flags, next;
};
static_assert(sizeof(Descriptor) == kDescriptorBytes);

}  // namespace

bool Transport::fetchable(unsigned n) const noexcept {
    const Queue& q = queues_[n];
    if (!q.running || q.fetched == q.seen || distance(q.used, q.fetched) >= q.window()) return false;
    // A number beyond the table may be a read that was not whole; once it is certain it is an error
    const std::uint32_t size = state_.session.queues[n].size;
    const bool certain = distance(q.used, q.fetched) < distance(q.used, q.confirmed);
    return q.heads[q.fetched & (size - 1)] < size || certain;
}

bool Transport::fetch(unsigned n) noexcept {
    Queue& q = queues_[n];
    bool did = false;
    while (can_move() && fetchable(n)) {
        const std::uint32_t size = state_.session.queues[n].size;
        if (q.heads[q.fetched & (size - 1)] >= size) return broken(Fault::descriptor), true;
        begin_fetch(n, q.fetched++);
        did = true;
    }
    return did;
}

void Transport::begin_fetch(unsigned n, std::uint16_t position) noexcept {
    Queue& q = queues_[n];
    Request& r = q.at(position);
    r.step = Step::reading;
    r.fault = Fault::none;
    r.in_table = r.stalled = false;
    r.position = position;
    r.head = r.next = q.heads[position & (state_.session.queues[n].size - 1)];
    r.serial = ++next_serial_;
    r.written = r.segments = r.readable = r.table_entries = 0;
    r.table = r.out_bytes = r.in_bytes = 0;
    r.work = {};
    ask_descriptors(r);
}

// Everything from `position` on is fetched again.
void Transport::rewind(Queue& q, std::uint16_t position) noexcept {
    for (std::uint16_t p = position; p != q.fetched; ++p) q.at(p).step = Step::free;
    q.fetched = position;
}

void Transport::ask_descriptors(Request& r) noexcept {
    const QueueState& s = state_.session.queues[r.queue];
    const std::uint64_t base = r.in_table ? r.table : s.descriptors;
    const std::uint32_t left = (r.in_table ? r.table_entries : s.size) - r.next;
    const std::uint32_t count = r.in_table ? left : std::min(left, kRun);
    const std::uint32_t index = staging_.take();
    Block& b = staging_[index];
    b.use = Block::Use::descriptors;
    b.queue = r.queue;
    b.slot = r.slot;
    b.serial = r.serial;
    b.bytes = count * kDescriptorBytes;
    b.offset = r.next;
    b.pending = 1;
    const Status status =
        dma().read(base + std::uint64_t{r.next} * kDescriptorBytes, staging_.used_bytes(index), index);
    if (status == Status::ok) return;
    staging_.give(index);
    if (status == Status::denied || status == Status::would_block)
        rewind(queues_[r.queue], r.position);  // bus mastering went off
    else
        parsed(r, Fault::memory);
}

void Transport::parsed(Request& r, Fault fault) noexcept {
    r.fault = fault;
    r.step = Step::ready;
}

Fault Transport::add_segment(Request& r, std::uint64_t iova, std::uint32_t bytes, bool writable) noexcept {
    if (r.segments == kMaxSegments) return Fault::chain;
    if (!writable && r.readable != r.segments) return Fault::order;
    if (bytes == 0 || iova + (bytes - 1) < iova) return Fault::length;
    r.segment[r.segments++] = {iova, bytes};
    if (!writable) ++r.readable;
    (writable ? r.in_bytes : r.out_bytes) += bytes;
    return r.in_bytes + r.out_bytes > 0xffffffffu ? Fault::length : Fault::none;
}

Fault Transport::enter_table(Request& r, std::uint64_t iova, std::uint32_t bytes, bool more) const noexcept {
    // 2.7.5.3: neither in a table nor with a next descriptor
    const bool allowed = negotiated(feature::kIndirect) && !r.in_table && !more;
    if (!allowed || bytes == 0 || bytes % kDescriptorBytes != 0 || bytes > kMaxSegments * kDescriptorBytes ||
        iova + (bytes - 1) < iova)
        return Fault::indirect;
    r.in_table = true;
    r.table = iova;
    r.table_entries = bytes / kDescriptorBytes;
    r.next = 0;
    return Fault::none;
}

// `raw`: descriptors from number `first` on. True = more of them are needed.
bool Transport::take_descriptors(Request& r, std::span<const std::byte> raw, std::uint64_t first) noexcept {
    const std::uint64_t end = first + raw.size() / kDescriptorBytes;
    while (r.next >= first && r.next < end) {
        Descriptor d;
        std::memcpy(&d, raw.data() + (r.next - first) * kDescriptorBytes, sizeof d);
        const unsigned flags = d.flags.get();
        const bool more = (flags & kDescriptorNext) != 0;
        if ((flags & kDescriptorIndirect) != 0) {
            const Fault f = enter_table(r, d.iova.get(), d.bytes.get(), more);
            if (f != Fault::none) parsed(r, f);
            return f == Fault::none;
        }
        Fault f = add_segment(r, d.iova.get(), d.bytes.get(), (flags & kDescriptorWrite) != 0);
        const std::uint32_t limit = r.in_table ? r.table_entries : state_.session.queues[r.queue].size;
        if (f == Fault::none && more && d.next.get() >= limit) f = Fault::descriptor;
        if (f != Fault::none || !more) {
            parsed(r, f);
            return false;
        }
        r.next = d.next.get();
    }
    return true;
}

}  // namespace farlane::firmware::virtio
