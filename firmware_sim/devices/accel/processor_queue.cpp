// SPDX-License-Identifier: Apache-2.0
// Receives: queue registers, doorbells, finished commands. Hands on: completions, interrupts.
// Owns: the life of a queue pair: disabled, enabled, error, disabling (processor.hpp).
#include <algorithm>
#include <bit>
#include <cstring>

#include "devices/accel/processor.hpp"

namespace farlane::firmware::accel {
namespace {

/// Replaces one half of a 64-bit register.
std::uint64_t with_dword(std::uint64_t old, bool high, std::uint32_t value) noexcept {
    return high ? (old & 0xffffffffu) | std::uint64_t{value} << 32 : (old & ~std::uint64_t{0xffffffffu}) | value;
}

bool valid_entries(std::uint32_t entries) noexcept {
    return std::has_single_bit(entries) && entries >= FL_ACCEL_MIN_ENTRIES && entries <= kSqEntries;
}

}  // namespace

// --- registers

void Processor::write_queue(std::uint32_t n, std::uint32_t offset, std::uint32_t value) noexcept {
    using R = fl_accel_queue_registers;
    QueuePair& q = queues_[n];
    if (offset == offsetof(R, control)) {
        const bool on = (value & FL_ACCEL_QUEUE_ENABLE) != 0;
        if (on && q.state == FL_ACCEL_QUEUE_DISABLED) enable(q);
        if (!on) disable(q);
        return;
    }
    if (q.state != FL_ACCEL_QUEUE_DISABLED) return;
    switch (offset) {
        case offsetof(R, cq_iova): q.cq_iova = with_dword(q.cq_iova, false, value); break;
        case offsetof(R, cq_iova) + 4: q.cq_iova = with_dword(q.cq_iova, true, value); break;
        case offsetof(R, sq_entries): q.sq_entries = value; break;
        case offsetof(R, cq_entries): q.cq_entries = value; break;
        case offsetof(R, context): q.context = value; break;
        case offsetof(R, pasid): q.pasid = value; break;
        case offsetof(R, vector): q.vector = value; break;
        default: break;  // read-only
    }
}

void Processor::write_context(std::uint32_t n, std::uint32_t offset, std::uint32_t value) noexcept {
    using R = fl_accel_context_registers;
    if (contexts_[n].queues != 0) return;
    MemoryMap::Part part = map_.part(n);
    const bool high = offset % sizeof(std::uint64_t) != 0;
    auto& field = offset < offsetof(R, part_bytes) ? part.address : part.bytes;
    field = with_dword(field, high, value);
    map_.set_part(n, part);
}

fl_accel_reason Processor::check_enable(const QueuePair& q) const noexcept {
    if (life_ != Life::ready) return FL_ACCEL_REASON_NOT_READY;
    const std::uint64_t cq_bytes = std::uint64_t{q.cq_entries} * FL_ACCEL_COMPLETION_BYTES;
    const bool entries = valid_entries(q.sq_entries) && valid_entries(q.cq_entries);
    const bool address = q.cq_iova != 0 && q.cq_iova % 64 == 0 && q.cq_iova <= ~std::uint64_t{0} - cq_bytes;
    const bool vector = q.vector == FL_ACCEL_NO_VECTOR || q.vector < layout_.vectors;
    if (!entries || !address || !vector) return FL_ACCEL_REASON_BAD_QUEUE;
    if (q.context >= layout_.plan.contexts || q.pasid > FL_PASID_MAX) return FL_ACCEL_REASON_BAD_CONTEXT;
    if (contexts_[q.context].ending()) return FL_ACCEL_REASON_NOT_READY;
    const auto owned_by_other = [&](const QueuePair& o) {
        return o.state != FL_ACCEL_QUEUE_DISABLED && o.context == q.context && o.pasid != q.pasid;
    };
    if (std::ranges::any_of(queues_, owned_by_other)) return FL_ACCEL_REASON_BAD_CONTEXT;
    return FL_ACCEL_REASON_NONE;
}

void Processor::enable(QueuePair& q) noexcept {
    q.reason = check_enable(q);
    if (q.reason != FL_ACCEL_REASON_NONE) return;
    q.sq_tail = q.sq_head = q.cq_tail = q.cq_head = q.cq_arm = 0;
    q.armed = q.report_error = false;
    q.commands = 0;
    q.failures = q.first_failure = 0;
    q.flight_head = q.flight_tail = q.flying = 0;
    q.poison.clear();
    q.active.stage = Stage::none;
    q.state = FL_ACCEL_QUEUE_ENABLED;
    ++context_of(q).users;
    if (context_of(q).queues++ != 0) return;
    ++open_contexts_;
    executor_.open(q.context);
}

void Processor::disable(QueuePair& q) noexcept {
    if (q.state == FL_ACCEL_QUEUE_DISABLED || q.state == FL_ACCEL_QUEUE_DISABLING) return;
    // A FREE goes on where its memory has to be scrubbed before anybody else can have it; a range of its own is made
    // zero with the context, and a worker that does not answer must not keep it.
    cancel_jobs(q, layout_.plan.stride != 0);
    q.state = FL_ACCEL_QUEUE_DISABLING;
    q.report_error = false;
    q.ready = true;
    --context_of(q).users;
}

void Processor::cancel_jobs(QueuePair& q, bool free_too) noexcept {
    const bool is_free = q.active.command.head.opcode == FL_ACCEL_OP_FREE;
    if (q.active.has_job && (free_too || !is_free)) executor_.cancel(job_of(q));
    for (std::uint32_t n = q.flight_head; n != q.flight_tail; ++n) {
        if (!q.flight(n).done) executor_.cancel(job_of(q, n % kMaxFlights + 1));
    }
    for (std::uint32_t i = 0; q.active.chunks != 0 && i < kChunks; ++i) {
        if (chunks_of(q)[i].queue == q.number) executor_.cancel(job_of(q, kMaxFlights + 1 + i));
    }
}

/// Lets go of what the pair has in flight; the last pair of a context takes the context along.
bool Processor::disabling(QueuePair& q) noexcept {
    const Active& a = q.active;
    drop_full_chunks(q);
    if (a.has_job || a.reads != 0 || a.chunks != 0 || q.flying != 0 || pins_.count_of(q.number) != 0) {
        hurry();
        block(q);
        return false;
    }
    if (a.stage == Stage::running) give_up_active(q);
    q.active.stage = Stage::none;
    q.active.touches.clear();
    q.flight_head = q.flight_tail;
    Context& context = contexts_[q.context];
    if (context.queues == 1 && end_context(q)) return true;
    if (--context.queues == 0) --open_contexts_;
    const fl_accel_reason reason = q.reason;
    // Whoever has the pair next finds no commands. Now, not when it is enabled: a host may push right behind that.
    const auto slots = bytes_at(sq_address(q.number), std::uint64_t{q.sq_entries} * FL_ACCEL_COMMAND_BYTES);
    std::fill(slots.begin(), slots.end(), std::byte{0});
    q.clear();
    q.reason = reason;
    unblock_all();
    return true;
}

/// The active command was begun and ends without a completion: what it holds is given back.
void Processor::give_up_active(QueuePair& q) noexcept {
    const fl_accel_command& c = q.active.command;
    Context& context = context_of(q);
    switch (c.head.opcode) {
        case FL_ACCEL_OP_FREE:
        case FL_ACCEL_OP_ALLOC: map_.remove(c.u.alloc.address.get()); break;
        case FL_ACCEL_OP_MODULE_LOAD: context.modules[c.u.module.module.get()] = {}; break;
        case FL_ACCEL_OP_KERNEL_BIND: context.kernels[c.u.bind.kernel.get()] = {}; break;
        default: break;
    }
}

/// Takes the context apart, one job at a time; false = nothing is left of it.
bool Processor::end_context(QueuePair& q) noexcept {
    Context& context = contexts_[q.context];
    // Ranges of their own are made zero with the context; in a shared one each allocation is, as a FREE would.
    // A part is made zero as a whole: what was pushed beside the allocations must not be there for the next.
    const MemoryMap::Part part = map_.part(q.context);
    const bool has_part = layout_.plan.stride == 0 && map_.is_part(part, q.context);
    if (has_part && !context.wiped) {
        context.wiped = true;
        q.active.command = {};
        q.active.command.head.opcode = FL_ACCEL_OP_FREE;
        q.active.command.u.alloc.address = fl_le64(part.address);
        if (given(q, executor_.scrub(job_of(q), owner_of(q), part.address, part.bytes)) == Step::run) {
            q.active.stage = Stage::running;
        }
        return true;
    }
    const bool own_range = layout_.plan.stride != 0 || has_part;
    if (const Allocation* a = own_range ? nullptr : map_.any_of(q.context)) {
        q.active.command = {};
        q.active.command.head.opcode = FL_ACCEL_OP_FREE;
        q.active.command.u.alloc.address = fl_le64(a->address);
        if (given(q, executor_.scrub(job_of(q), owner_of(q), a->address, a->bytes)) == Step::run) {
            q.active.stage = Stage::running;
        }
        return true;
    }
    if (!context.closed) {
        context.closed = true;
        q.active.command = {};
        if (!executor_.close(job_of(q), q.context)) {
            q.active.has_job = true;
            ++jobs_;
            return true;
        }
    }
    map_.remove_all(q.context);
    const std::uint32_t queues = context.queues;
    context = Context{};
    context.queues = queues;
    return false;
}

void Processor::stop(QueuePair& q, fl_accel_reason reason) noexcept {
    q.state = FL_ACCEL_QUEUE_ERROR;
    q.reason = reason;
    // Without a completion queue that can be written, registers and vector 0 are all there is.
    q.report_error = reason != FL_ACCEL_REASON_CQ_ADDRESS;
    q.ready = q.report_error;
    error_ = {true, q.number, reason};
    ++stopped_;
    if (port_ != nullptr) interrupts_.raise(*port_, 0);
}

// --- doorbells

void Processor::ring(std::uint32_t n, std::uint32_t offset, std::uint32_t value) noexcept {
    QueuePair& q = queues_[n];
    if (q.state != FL_ACCEL_QUEUE_ENABLED) return;
    switch (offset) {
        case offsetof(fl_accel_doorbell, sq_tail):
            if (!ring_sq_tail(q, value)) return stop(q, FL_ACCEL_REASON_BAD_DOORBELL);
            break;
        case offsetof(fl_accel_doorbell, cq_head):
            if (!ring_cq_head(q, value)) return stop(q, FL_ACCEL_REASON_BAD_DOORBELL);
            break;
        case offsetof(fl_accel_doorbell, cq_arm): return arm(q, value);
        default: return;
    }
    if (q.active.stage == Stage::none) q.ready = true;
}

void Processor::arm(QueuePair& q, std::uint32_t value) noexcept {
    q.cq_arm = value;
    q.armed = true;
    interrupt_if_due(q);
}

/// One interrupt once more than cq_arm completions are posted; free-running counts.
void Processor::interrupt_if_due(QueuePair& q) noexcept {
    if (!q.armed || static_cast<std::int32_t>(q.cq_tail - q.cq_arm) <= 0) return;
    q.armed = false;
    if (q.vector != FL_ACCEL_NO_VECTOR && port_ != nullptr) interrupts_.raise(*port_, q.vector);
}

// --- completions

/// Posts into the next entry. would_block, denied (bus mastering is off): try again later.
Status Processor::post(QueuePair& q, fl_accel_completion completion) noexcept {
    const std::uint32_t slot = q.cq_tail & (q.cq_entries - 1);
    const bool odd_round = (q.cq_tail / q.cq_entries) % 2 != 0;
    completion.phase.set(odd_round ? 0 : FL_ACCEL_PHASE);
    const std::uint64_t iova = q.cq_iova + std::uint64_t{slot} * FL_ACCEL_COMPLETION_BYTES;
    const Status status = dma_.write_now(iova, std::as_bytes(std::span{&completion, 1}), q.pasid);
    if (status != Status::ok) return status;
    ++q.cq_tail;
    interrupt_if_due(q);
    return Status::ok;
}

/// The active command is finished: tells the host, then lets it take effect on others.
bool Processor::complete(QueuePair& q) noexcept {
    if (q.in_flight() != 0) {
        q.ready = false;  // flight_done() goes on
        return false;
    }
    const fl_accel_header head = q.active.command.head;
    switch (post(q, make_completion(q, head, q.active.outcome))) {
        case Status::ok: break;
        case Status::would_block: return false;  // stays ready: the next turn tries again
        case Status::denied: block(q); return false;
        default: stop(q, FL_ACCEL_REASON_CQ_ADDRESS); return true;
    }
    account(q, head, q.active.outcome.ok());
    if (!q.active.outcome.ok()) spread_poison(q);
    q.active.touches.clear();
    q.active.stage = Stage::none;
    unblock_all();
    return true;
}

/// The same for the oldest flight.
bool Processor::complete_flight(QueuePair& q) noexcept {
    Flight& f = q.flight(q.flight_head);
    switch (post(q, make_completion(q, f.head, f.outcome))) {
        case Status::ok: break;
        case Status::would_block: return false;
        case Status::denied: block(q); return false;
        default: stop(q, FL_ACCEL_REASON_CQ_ADDRESS); return true;
    }
    account(q, f.head, f.outcome.ok());
    if (!f.outcome.ok()) {
        const bool depends = f.outcome.reason == FL_ACCEL_REASON_POISONED;
        poison_written(q, f.touches, depends ? f.outcome.detail : f.head.command_id.get());
    }
    f.done = false;
    ++q.flight_head;
    unblock_all();
    return true;
}

void Processor::account(QueuePair& q, const fl_accel_header& head, bool ok) noexcept {
    ++q.commands;
    ++completed_;
    if (ok) return;
    ++failed_;
    if (q.failures++ == 0) q.first_failure = head.command_id.get();
}

bool Processor::report_stop(QueuePair& q) noexcept {
    if (!q.report_error) {
        q.ready = false;
        return false;
    }
    const Status status = post(q, make_error_completion(q));
    if (status == Status::would_block) return false;
    q.report_error = false;
    q.ready = false;
    return true;
}

}  // namespace farlane::firmware::accel
