// SPDX-License-Identifier: Apache-2.0
// Receives: recorded commands. Hands on: to the handler of the opcode; executed ones to their completion queue.
// Owns: nothing.
//
// A command may be executed twice, once before and once after a kill. What makes that harmless:
//   read, identify, get log, get features     no effect here; the data at the host is written again
//   write, write zeroes, dataset management   the host keeps buffer and intent until it has the completion, and may
//                                             not count on any order against commands that are open at the same time
//   create queue                              the queue's serial is the command's: it exists already by this command
//   delete queue, format                      state `applying` says that the checks are passed; the effect repeats
//   set features                              the same value again
#include "devices/nvme/controller.hpp"

namespace farlane::firmware::nvme {

void Controller::start(std::uint32_t slot) noexcept {
    Command& c = command(slot);
    Run& r = run(slot);
    r = Run{};
    const Sqe entry = sqe(slot);
    c.host_data = 0;
    std::uint16_t status = kOk;
    if (entry.fused() || entry.sgl())
        status = kInvalidField;  // neither is advertised (5.15.2.2: FUSES, SGLS)
    else
        status = c.sqid == 0 ? start_admin(slot, entry) : start_io(slot, entry);
    if (status != kLater) finish(slot, status);
}

std::uint16_t Controller::start_admin(std::uint32_t slot, const Sqe& entry) noexcept {
    switch (static_cast<Admin>(entry.opcode())) {
        case Admin::delete_sq: return delete_sq(slot, entry);
        case Admin::create_sq: return create_sq(slot, entry);
        case Admin::get_log_page: return get_log(slot, entry);
        case Admin::delete_cq: return delete_cq(slot, entry);
        case Admin::create_cq: return create_cq(slot, entry);
        case Admin::identify: return identify(slot, entry);
        case Admin::abort: return abort(slot, entry);
        case Admin::set_features: return set_features(slot, entry);
        case Admin::get_features: return get_features(slot, entry);
        case Admin::async_event: return async_event(slot);
        case Admin::format: return format(slot, entry);
    }
    return kInvalidOpcode;
}

void Controller::finish(std::uint32_t slot, std::uint16_t status) noexcept {
    Run& r = run(slot);
    Command& c = command(slot);
    r.executed = true;
    if (r.scratch >= 0) {
        scratch_used_ &= ~(std::uint64_t{1} << r.scratch);
        r.scratch = -1;
    }
    c.status = status;
    ++commands_done_;
    if (status != kOk) {
        ++commands_failed_;
        log_error(c, status);
    }
    faults().point("4 executed");
    // A read stays `fetched`: until its completion is released its data may be lost with this life
    if (r.move == Move::to_host && status == kOk)
        c.host_data = 1;
    else
        set_state(slot, CommandState::done);
    faults().point("5 result recorded");
    if (faults().on_command()) report_error(faults().error_severity, faults().error_source);
    if (faults().delay_completion_ns != 0 && port() != nullptr) {
        r.ready_at_ns = port()->now_ns() + faults().delay_completion_ns;
        delayed_.push(runs_, slot);
        return;
    }
    ready(slot);
}

void Controller::ready(std::uint32_t slot) noexcept {
    const unsigned cqid = command(slot).cqid;
    ready_[cqid].push(runs_, slot);
    ready_queues_ |= std::uint64_t{1} << cqid;
}

bool Controller::run_delayed() noexcept {
    bool did = false;
    while (!delayed_.empty() && run(delayed_.front()).ready_at_ns <= port()->now_ns()) {
        ready(delayed_.pop(runs_));
        did = true;
    }
    return did;
}

// Error Information log, 5.14.1.1
void Controller::log_error(const Command& c, std::uint16_t status) noexcept {
    Lasting& l = state_.lasting;
    const Sqe entry{c.sqe};
    const std::uint64_t count = l.errors + 1;
    ErrorEntry& e = l.error_log[(count - 1) % kErrorEntries];
    e = {count, c.sqid != 0 ? entry.qword(10) : 0, c.sqid, entry.cid(), status, 0xffff, entry.nsid(), 0};
    publish(l.errors, count);
}

}  // namespace farlane::firmware::nvme
