// SPDX-License-Identifier: Apache-2.0
// Receives: admin commands that change queues or the namespace. Hands on: queues. Owns: nothing.
// NVM Express 1.4, 5.1, 5.3 to 5.6, 5.23.
#include "devices/nvme/controller.hpp"

namespace farlane::firmware::nvme {

bool Controller::applying(std::uint32_t slot) const noexcept {
    return command_state(slot) == CommandState::applying;
}

void Controller::apply(std::uint32_t slot) noexcept {
    set_state(slot, CommandState::applying);
    faults().point("applying");
}

// What creating either kind of queue has in common: identifier, size, place.
std::uint16_t Controller::check_queue(const Sqe& sqe) const noexcept {
    const std::uint32_t qid = sqe.dword(10) & 0xffff, entries = (sqe.dword(10) >> 16) + 1;
    if (qid == 0 || qid > identity_.limits.io_queues) return kQueueId;
    // Entry sizes are in CC (3.1.5); 64 and 16 bytes are all there is
    const std::uint32_t cc = state_.registers.cc;
    if (entries < 2 || entries > kMaxQueueEntries || (cc >> 16 & 0xf) != 6 || (cc >> 20 & 0xf) != 4) return kQueueSize;
    if ((sqe.dword(11) & 1) == 0) return kInvalidField;  // CAP.CQR: physically contiguous
    return (sqe.prp1() & (kPageBytes - 1)) != 0 ? kPrpOffset : kOk;
}

std::uint16_t Controller::create_cq(std::uint32_t slot, const Sqe& sqe) noexcept {
    if (const auto s = check_queue(sqe); s != kOk) return s;
    CompletionQueue& q = state_.session.cq[sqe.dword(10) & 0xffff];
    const std::uint64_t serial = command(slot).serial;
    if (q.serial == serial) return kOk;  // made before a kill, by this command
    if (q.serial != 0) return kQueueId;
    const std::uint32_t vector = sqe.dword(11) >> 16;
    if (vector > identity_.limits.io_queues) return kInterruptVector;
    q = {0, sqe.prp1(), 0, 0, (sqe.dword(10) >> 16) + 1, vector, sqe.dword(11) >> 1 & 1};
    publish(q.serial, serial);
    faults().point("completion queue made");
    return kOk;
}

std::uint16_t Controller::create_sq(std::uint32_t slot, const Sqe& sqe) noexcept {
    if (const auto s = check_queue(sqe); s != kOk) return s;
    const std::uint32_t cqid = sqe.dword(11) >> 16;
    if (cqid == 0 || cqid > identity_.limits.io_queues) return kQueueId;
    if (state_.session.cq[cqid].serial == 0) return kCqInvalid;
    SubmissionQueue& q = state_.session.sq[sqe.dword(10) & 0xffff];
    const std::uint64_t serial = command(slot).serial;
    if (q.serial == serial) return kOk;
    if (q.serial != 0) return kQueueId;
    q = {0, sqe.prp1(), 0, 0, (sqe.dword(10) >> 16) + 1, cqid, 0};
    publish(q.serial, serial);
    faults().point("submission queue made");
    return kOk;
}

std::uint16_t Controller::delete_cq(std::uint32_t slot, const Sqe& sqe) noexcept {
    const std::uint32_t qid = sqe.dword(10) & 0xffff;
    if (!applying(slot)) {
        if (qid == 0 || qid > identity_.limits.io_queues || state_.session.cq[qid].serial == 0) return kQueueId;
        for (const SubmissionQueue& q : state_.session.sq)
            if (q.serial != 0 && q.cqid == qid) return kQueueDeletion;
        apply(slot);
    }
    publish(state_.session.cq[qid].serial, std::uint64_t{0});
    return kOk;
}

// 5.6: commands of the queue that are at work end first, what was not fetched is never looked at.
std::uint16_t Controller::delete_sq(std::uint32_t slot, const Sqe& sqe) noexcept {
    const std::uint32_t qid = sqe.dword(10) & 0xffff;
    const bool second_life = applying(slot);
    if (!second_life) {
        if (qid == 0 || qid > identity_.limits.io_queues || state_.session.sq[qid].serial == 0) return kQueueId;
        if ((deleting_ >> qid & 1) != 0) return kQueueId;
        apply(slot);
    } else if (state_.session.sq[qid].serial == 0) {
        return kOk;
    }
    deleting_ |= std::uint64_t{1} << qid;
    deletions_.push(runs_, slot);
    return kLater;
}

std::uint32_t Controller::deletable() const noexcept {
    for (std::uint32_t slot = deletions_.front(); slot != kNoSlot; slot = runs_[slot].next) {
        const std::uint32_t qid = Sqe(state_.session.commands[slot].sqe).dword(10) & 0xffff;
        if (live_[qid] == 0 && (fetching_ >> qid & 1) == 0) return slot;
    }
    return kNoSlot;
}

bool Controller::run_deletions() noexcept {
    bool did = false;
    for (std::uint32_t slot = deletable(); slot != kNoSlot; slot = deletable()) {
        const std::uint32_t qid = sqe(slot).dword(10) & 0xffff;
        deletions_.remove(runs_, slot);
        publish(state_.session.sq[qid].serial, std::uint64_t{0});
        faults().point("submission queue deleted");
        deleting_ &= ~(std::uint64_t{1} << qid);
        rung_ &= ~(std::uint64_t{1} << qid);
        finish(slot, kOk);
        did = true;
    }
    return did;
}

// 5.1: best effort. What can be aborted are events that wait; everything else is on its way.
std::uint16_t Controller::abort(std::uint32_t slot, const Sqe& entry) noexcept {
    const std::uint32_t sqid = entry.dword(10) & 0xffff, cid = entry.dword(10) >> 16;
    command(slot).dw0 = 1;
    for (std::uint32_t i = events_.front(); sqid == 0 && i != kNoSlot; i = run(i).next) {
        if (sqe(i).cid() != cid) continue;
        events_.remove(runs_, i);
        finish(i, kAbortRequested);
        command(slot).dw0 = 0;
        break;
    }
    return kOk;
}

std::uint16_t Controller::format(std::uint32_t slot, const Sqe& entry) noexcept {
    const std::uint32_t d = entry.dword(10), lbaf = d & 0xf;
    if (!applying(slot)) {
        if (entry.nsid() != 1 && entry.nsid() != kAllNamespaces) return kInvalidNamespace;
        // Two formats, no metadata, no protection; SES 2 (cryptographic) is not offered (FNA)
        if (lbaf > 1 || (d >> 4 & 0x1f) != 0) return kInvalidFormat;
        if ((d >> 9 & 0x7) > 1) return kInvalidField;
        if (state_.lasting.formatting != 0) return kFormatInProgress;
        apply(slot);
    } else if (state_.lasting.formatted_by == command(slot).serial) {  // before a kill
        formatted(slot, kOk);
        return kLater;
    }
    publish(state_.lasting.formatting, (lbaf == 0 ? 9u : 12u) + 1);
    faults().point("format begun");
    Run& r = run(slot);
    r.cursor = 0;
    r.end = media_->size_bytes();
    zeroing_.push(runs_, slot);
    return kLater;
}

// The event comes first: a command that has its result is not looked at again.
void Controller::formatted(std::uint32_t slot, std::uint16_t status) noexcept {
    publish(state_.lasting.formatting, std::uint32_t{0});
    publish(state_.session.namespace_changed, std::uint32_t{1});
    event(kEventNotice, 0x00, 0x04);
    faults().point("format: event recorded");
    finish(slot, status);
}

}  // namespace farlane::firmware::nvme
