// SPDX-License-Identifier: Apache-2.0
// Receives: doorbells. Hands on: commands to execute.cpp; completions and interrupts to the host.
// Owns: nothing; queues and commands are in State. NVM Express 1.4, 4.1 and 7.2.
//
// Crash points, in order; "again" = what the next life does:
//   1 entry read, nothing recorded                  head is behind it: read again, the host may not change it yet
//   2 command recorded, head not advanced           recorded position >= head: head is moved behind it
//   3 head advanced, not executed                   execute
//   4 executed, result not recorded                 execute again: every effect can be repeated (execute.cpp)
//   5 result recorded, completion not given         give the completion
//   6 sequence of the completion recorded, not given    its sequence is not released: as 5
//   7 completion given, queue tail not advanced     released: tail is moved behind it. Not released: as 5
//   8 tail advanced, completion not released        tail goes back to it: as 5 (reads: as 3, their data may be lost)
//   9 completion released, command slot not freed   free it
// A completion is never written into a slot again that the host has released: only 8 moves a tail back, and
// only to completions that are not released. Interrupts are repeated: a spurious one is harmless.
#include "devices/nvme/controller.hpp"

#include <algorithm>
#include <bit>

namespace farlane::firmware::nvme {

void Controller::ring_doorbell(std::uint32_t offset, std::uint32_t v) noexcept {
    if (!running()) return;
    const unsigned number = (offset - reg::kDoorbells) / 4;  // CAP.DSTRD 0
    const unsigned qid = number / 2;
    const bool head = (number & 1) != 0;
    Session& s = state_.session;
    const bool exists = (head ? s.cq[qid].serial : s.sq[qid].serial) != 0;
    const std::uint32_t size = head ? s.cq[qid].size : s.sq[qid].size;
    bool valid = exists && v < size;
    if (valid && head) {  // not beyond the tail
        const CompletionQueue& q = s.cq[qid];
        const auto tail = static_cast<std::uint32_t>(q.posted % size);
        valid = (v + size - q.head) % size <= (tail + size - q.head) % size;
    }
    if (!valid) {  // 5.2.1: invalid doorbell register or value; the write changes nothing
        ++doorbells_bad_;
        event(kEventError, exists ? 0x01 : 0x00, 0x01);
        return;
    }
    if (head) {
        publish(s.cq[qid].head, v);
        return;
    }
    publish(s.sq[qid].tail, v);
    if (v != s.sq[qid].fetched % size) rung_ |= std::uint64_t{1} << qid;
}

// Slots that a fetch of this queue may take: the last ones are the admin queue's.
bool Controller::fetchable() const noexcept {
    if (!dma().ready() || staging_.empty() || dma().room() == 0) return false;
    const std::uint64_t waiting = rung_ & ~fetching_ & ~deleting_;
    if (waiting == 0) return false;
    const std::uint32_t room = slots_.size() - reserved_slots_;
    if (room > kAdminReserve) return true;
    if ((waiting & 1) != 0 && room != 0) return true;
    return !posted_.empty() && port()->writes_released() >= state_.session.commands[posted_.front()].cqe_sequence;
}

bool Controller::fetch() noexcept {
    if (!dma().ready()) return false;
    bool did = false;
    // Round robin, one fetch per queue under way (4.13.1); of a queue up to a page of entries at once
    for (unsigned i = 0; i < kMaxQueues; ++i) {
        const std::uint64_t waiting = rung_ & ~fetching_ & ~deleting_;
        if (waiting == 0) break;
        const unsigned qid =
            (next_queue_ + static_cast<unsigned>(std::countr_zero(std::rotr(waiting, static_cast<int>(next_queue_))))) %
            kMaxQueues;
        if (!fetch_from(qid)) break;
        next_queue_ = (qid + 1) % kMaxQueues;
        did = true;
    }
    return did;
}

bool Controller::fetch_from(unsigned qid) noexcept {
    const SubmissionQueue& q = state_.session.sq[qid];
    const auto head = static_cast<std::uint32_t>(q.fetched % q.size);
    const std::uint32_t available = slots_.size() - reserved_slots_;
    const std::uint32_t kept = qid == 0 ? 0 : kAdminReserve;
    if (available <= kept || staging_.empty()) {
        if (available <= kept) port()->hurry();  // slots come back when completions are released
        return false;
    }
    const std::uint32_t entries = q.tail >= head ? q.tail - head : q.size - head;
    const std::uint32_t n = std::min({entries, available - kept, kPageBytes / kSqeBytes});
    const std::uint32_t index = staging_.take();
    staging_[index] = {Block::Use::fetch, qid, epoch_, head, n * kSqeBytes, 1};
    const Status s = dma().read(q.base + std::uint64_t{head} * kSqeBytes, staging_.bytes(index, n * kSqeBytes), index);
    if (s != Status::ok) {
        staging_.give(index);
        if (s != Status::would_block && s != Status::denied) fatal();
        return false;
    }
    fetching_ |= std::uint64_t{1} << qid;
    reserved_slots_ += n;
    return true;
}

void Controller::fetched(const Block& b, std::uint32_t index, Status status) noexcept {
    const unsigned qid = b.owner;
    fetching_ &= ~(std::uint64_t{1} << qid);
    reserved_slots_ -= b.bytes / kSqeBytes;
    if (!running() || (deleting_ >> qid & 1) != 0) return;
    if (status != Status::ok) return fatal();  // 9.5: a queue that can not be read ends in CSTS.CFS
    faults().point("1 entries read");
    for (std::uint32_t at = 0; at < b.bytes && running(); at += kSqeBytes)
        take(qid, staging_.bytes(index, b.bytes).subspan(at).first<kSqeBytes>());
    const SubmissionQueue& q = state_.session.sq[qid];
    if (q.tail == q.fetched % q.size) rung_ &= ~(std::uint64_t{1} << qid);
}

void Controller::take(unsigned qid, std::span<const std::byte, kSqeBytes> raw) noexcept {
    SubmissionQueue& q = state_.session.sq[qid];
    const std::uint32_t slot = slots_.take();
    const std::uint64_t serial = state_.lasting.next_serial + 1;
    publish(state_.lasting.next_serial, serial);
    Command& c = command(slot);
    c.sqid = static_cast<std::uint16_t>(qid);
    c.cqid = static_cast<std::uint16_t>(q.cqid);
    c.serial = serial;
    c.sq_serial = q.serial;
    c.cq_serial = state_.session.cq[q.cqid].serial;
    c.position = q.fetched;
    c.cqe_position = c.cqe_sequence = 0;
    c.dw0 = 0;
    c.status = c.host_data = 0;
    std::memcpy(c.sqe.data(), raw.data(), kSqeBytes);
    set_state(slot, CommandState::fetched);
    faults().point("2 command recorded");
    publish(q.fetched, q.fetched + 1);
    faults().point("3 head advanced");
    ++live_[qid];
    start(slot);
}

bool Controller::full(const CompletionQueue& cq) const noexcept {
    return (cq.posted + 1) % cq.size == cq.head;
}

bool Controller::post_completions() noexcept {
    bool did = false;
    for (std::uint64_t todo = ready_queues_; todo != 0; todo &= todo - 1) {
        const auto qid = static_cast<unsigned>(std::countr_zero(todo));
        SlotList& list = ready_[qid];
        while (!list.empty() && running()) {
            const CompletionQueue& cq = state_.session.cq[qid];
            if (full(cq)) break;
            const Status s = post(list.front());
            if (s == Status::would_block || s == Status::denied) return did;
            if (s != Status::ok) {
                fatal();  // 9.5: a queue that can not be written
                return true;
            }
            const std::uint32_t slot = list.pop(runs_);
            --live_[command(slot).sqid];
            posted_.push(slot);
            if (cq.interrupts != 0) due_ |= std::uint64_t{1} << cq.vector;
            did = true;
        }
        if (list.empty()) ready_queues_ &= ~(std::uint64_t{1} << qid);
    }
    return did;
}

// 4.6. The order of the stores is what recovery.cpp relies on.
Status Controller::post(std::uint32_t slot) noexcept {
    Command& c = command(slot);
    CompletionQueue& cq = state_.session.cq[c.cqid];
    const SubmissionQueue& sq = state_.session.sq[c.sqid];
    const auto before = command_state(slot);
    c.cqe_position = cq.posted;
    publish(c.cqe_sequence, port()->writes_submitted() + 1);
    set_state(slot, CommandState::posted);
    faults().point("6 completion recorded");

    const auto index = static_cast<std::uint32_t>(cq.posted % cq.size);
    const std::uint32_t phase = (cq.posted / cq.size & 1) == 0 ? 1 : 0;
    std::array<std::byte, kCqeBytes> raw{};
    Page cqe(raw);
    cqe.u32(0, c.dw0);
    cqe.u16(8, static_cast<std::uint32_t>(sq.size != 0 ? sq.fetched % sq.size : 0));
    cqe.u16(10, c.sqid);
    cqe.u16(12, sqe(slot).cid());
    cqe.u16(14, std::uint32_t{c.status} << 1 | phase);
    const Status s = dma().write_now(cq.base + std::uint64_t{index} * kCqeBytes, raw);
    if (s != Status::ok) {
        set_state(slot, before);
        return s;
    }
    faults().point("7 completion given");
    // The same value again, unless the port numbers its writes in some other way
    publish(c.cqe_sequence, port()->writes_submitted());
    publish(cq.posted, cq.posted + 1);
    faults().point("8 tail advanced");
    return s;
}

// Commands whose completion the host has are over.
bool Controller::reap() noexcept {
    if (posted_.empty() || port() == nullptr) return false;
    const std::uint64_t released = port()->writes_released();
    bool did = false;
    while (!posted_.empty() && command(posted_.front()).cqe_sequence <= released) {
        const std::uint32_t slot = posted_.front();
        faults().point("9 completion released");
        set_state(slot, CommandState::free);
        posted_.pop();
        slots_.give(slot);
        did = true;
    }
    return did;
}

// 3.1.3: INTMS masks pin-based and MSI interrupts, not MSI-X.
std::uint64_t Controller::due_vectors() const noexcept {
    return interrupts().using_msix() ? due_ : due_ & ~std::uint64_t{state_.registers.intm};
}

bool Controller::raise_due() noexcept {
    const std::uint64_t now = due_vectors();
    due_ &= ~now;
    for (std::uint64_t todo = now; todo != 0; todo &= todo - 1) raise(static_cast<unsigned>(std::countr_zero(todo)));
    return now != 0;
}

}  // namespace farlane::firmware::nvme
