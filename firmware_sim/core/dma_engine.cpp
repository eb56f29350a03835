// SPDX-License-Identifier: Apache-2.0
// Receives: transfers. Hands on: records of at most 4096 bytes. Owns: the pool of transfers (dma_engine.hpp).
#include "core/dma_engine.hpp"

#include <algorithm>

namespace farlane::firmware {
namespace {

constexpr std::size_t kCopiedBytes = 64;  // HostPort::dma_write copies sources up to this size

std::uint64_t make_cookie(std::uint32_t index, std::uint32_t generation) noexcept {
    return std::uint64_t{generation} << 32 | index;
}

}  // namespace

DmaEngine::DmaEngine(DmaClient& client, Faults& faults, std::uint32_t transfers)
    : client_(client), faults_(faults), transfers_(transfers) {
    for (std::uint32_t i = transfers; i-- > 0;) {
        transfers_[i].next = free_head_;
        free_head_ = i;
    }
    free_count_ = transfers;
}

Status DmaEngine::write(std::uint64_t iova, std::span<const std::byte> source, DmaOrder order, std::uint64_t tag,
                        std::uint32_t pasid) noexcept {
    const bool relaxed = order == DmaOrder::relaxed && relaxed_ordering_;
    // One descriptor serves both directions; give_record() never writes through a write's pointer.
    return start(Kind::write, iova, const_cast<std::byte*>(source.data()), source.size(), relaxed, tag, pasid, writes_);
}

Status DmaEngine::read(std::uint64_t iova, std::span<std::byte> into, std::uint64_t tag, std::uint32_t pasid) noexcept {
    const Status s = start(Kind::read, iova, into.data(), into.size(), false, tag, pasid, reads_);
    return s == Status::pending ? Status::ok : s;
}

Status DmaEngine::write_now(std::uint64_t iova, std::span<const std::byte> source, std::uint32_t pasid) noexcept {
    if (!ready()) {
        ++counters_.refused;
        return Status::denied;
    }
    const Status s = port_->dma_write(faults_.dma_address(iova), source, false, 0, false, pasid);
    if (s == Status::ok) {
        ++counters_.records_written;
        counters_.bytes_written += source.size();
    } else if (s != Status::would_block) {
        ++counters_.failed;
    }
    return s;
}

Status DmaEngine::start(Kind kind, std::uint64_t iova, std::byte* memory, std::size_t bytes, bool relaxed,
                        std::uint64_t tag, std::uint32_t pasid, Queue& queue) noexcept {
    if (bytes == 0) return Status::invalid;
    if (iova + (bytes - 1) < iova) return Status::out_of_bounds;  // wraps around the address space
    if (!ready()) {
        ++counters_.refused;
        return Status::denied;
    }
    if (free_count_ == 0) return Status::would_block;
    const std::uint32_t index = free_head_;
    Transfer& t = transfers_[index];
    free_head_ = t.next;
    --free_count_;
    t.iova = iova;
    t.memory = memory;
    t.bytes = bytes;
    t.given = 0;
    t.records = 0;
    t.tag = tag;
    t.pasid = pasid;
    t.outstanding = 0;
    t.next = kNone;
    t.status = Status::ok;
    t.kind = kind;
    t.relaxed = relaxed;
    t.queued = false;

    t.ordered_due = false;

    const Status s = queue.head == kNone ? give(index) : Status::would_block;
    if (s == Status::ok) {
        if (t.outstanding == 0) append(queue, index);  // copied already: poll() says so, never this call
        return s;
    }
    // Nothing was given: refuse. Else the failure comes with dma_ordered and dma_done.
    if (s != Status::would_block && t.records == 0) {
        ++counters_.failed;
        free(index);
        return s;
    }
    t.ordered_due = true;
    append(queue, index);
    return Status::pending;
}

void DmaEngine::append(Queue& queue, std::uint32_t index) noexcept {
    transfers_[index].queued = true;
    transfers_[index].next = kNone;
    if (queue.head == kNone)
        queue.head = index;
    else
        transfers_[queue.tail].next = index;
    queue.tail = index;
}

Status DmaEngine::give_record(Transfer& t, std::uint32_t index, std::size_t bytes) noexcept {
    const std::uint64_t at = faults_.dma_address(t.iova + t.given);
    const std::uint64_t cookie = make_cookie(index, t.generation);
    if (t.kind == Kind::read) {
        const Status s = port_->dma_read(at, {t.memory + t.given, bytes}, cookie, t.pasid);
        if (patient_ && s == Status::timeout) return Status::would_block;  // until the host answers again
        if (s != Status::ok) return s;
        ++t.outstanding;
        ++counters_.records_read;
        counters_.bytes_read += bytes;
        return s;
    }
    const bool notify = bytes > kCopiedBytes;
    const Status s = port_->dma_write(at, {t.memory + t.given, bytes}, t.relaxed, cookie, notify, t.pasid);
    if (s != Status::ok) return s;
    if (notify) ++t.outstanding;
    ++counters_.records_written;
    counters_.bytes_written += bytes;
    return s;
}

// Gives as many records as the port takes. ok: all of them. An error is also in t.status.
Status DmaEngine::give(std::uint32_t index) noexcept {
    Transfer& t = transfers_[index];
    while (t.given < t.bytes) {
        const std::size_t to_boundary = kRecordBytes - ((t.iova + t.given) & (kRecordBytes - 1));
        const std::size_t bytes = std::min(to_boundary, t.bytes - t.given);
        const Status s = give_record(t, index, bytes);
        if (s == Status::would_block) return s;
        if (s != Status::ok) {
            t.status = s;
            t.given = t.bytes;  // the rest is not asked for
            return s;
        }
        ++t.records;
        t.given += bytes;
    }
    return Status::ok;
}

bool DmaEngine::drain(Queue& queue) noexcept {
    bool did = false;
    while (queue.head != kNone && ready()) {
        const std::uint32_t index = queue.head;
        Transfer& t = transfers_[index];
        const std::size_t given_before = t.given;
        const Status s = give(index);
        did |= t.given != given_before;
        if (s == Status::would_block) break;
        queue.head = t.next;
        t.queued = false;
        did = true;
        const std::uint32_t generation = t.generation;
        if (t.ordered_due && t.kind == Kind::write) client_.dma_ordered(t.tag, t.status);
        // The client may have reset everything meanwhile
        if (t.generation == generation && t.outstanding == 0) ended(index);
    }
    return did;
}

bool DmaEngine::poll() noexcept {
    if (!ready()) return false;
    const bool wrote = drain(writes_);
    return drain(reads_) || wrote;
}

// All records are answered.
void DmaEngine::ended(std::uint32_t index) noexcept {
    Transfer& t = transfers_[index];
    if (!patient_ || t.kind != Kind::read || t.status != Status::timeout || port_ == nullptr) return finish(index);
    t.status = Status::ok;
    t.given = t.records = 0;
    ++counters_.asked_again;
    append(reads_, index);
}

void DmaEngine::finish(std::uint32_t index) noexcept {
    Transfer& t = transfers_[index];
    const Status status = t.status;
    const std::uint64_t tag = t.tag;
    if (status == Status::canceled)
        ++counters_.canceled;
    else if (status != Status::ok)
        ++counters_.failed;
    free(index);
    client_.dma_done(tag, status);
}

void DmaEngine::free(std::uint32_t index) noexcept {
    Transfer& t = transfers_[index];
    t.kind = Kind::free;
    ++t.generation;
    t.next = free_head_;
    free_head_ = index;
    ++free_count_;
}

void DmaEngine::answered(std::uint64_t cookie, Kind kind, Status status) noexcept {
    const auto index = static_cast<std::uint32_t>(cookie);
    if (index >= transfers_.size()) return;
    Transfer& t = transfers_[index];
    if (t.kind != kind || t.generation != cookie >> 32 || t.outstanding == 0) return;
    --t.outstanding;
    if (status != Status::ok && t.status == Status::ok) {
        t.status = status;
        t.given = t.bytes;  // the rest need not be asked for
    }
    if (t.outstanding == 0 && !t.queued) ended(index);
}

void DmaEngine::read_done(std::uint64_t cookie, Status status) noexcept {
    answered(cookie, Kind::read, status);
}

void DmaEngine::released(std::uint64_t cookie) noexcept {
    answered(cookie, Kind::write, Status::ok);
}

void DmaEngine::abort() noexcept {
    for (Queue* queue : {&writes_, &reads_}) {
        std::uint32_t index = queue->head;
        *queue = {};
        while (index != kNone) {
            Transfer& t = transfers_[index];
            const std::uint32_t next = t.next;
            t.queued = false;
            t.given = t.bytes;
            t.status = Status::canceled;
            if (t.outstanding == 0) finish(index);
            index = next;
        }
    }
    for (Transfer& t : transfers_)
        if (t.kind != Kind::free) t.status = Status::canceled;
}

void DmaEngine::disconnect() noexcept {
    port_ = nullptr;
    abort();
    for (std::uint32_t i = 0; i < transfers_.size(); ++i) {
        if (transfers_[i].kind == Kind::free) continue;
        transfers_[i].outstanding = 0;
        finish(i);
    }
}

}  // namespace farlane::firmware
