// SPDX-License-Identifier: Apache-2.0
// Receives: turns of the lane. Hands on: commands to their begin functions, in order.
// Owns: which pair may get on (processor.hpp).
#include "devices/accel/processor.hpp"

#include <chrono>

namespace farlane::firmware::accel {
namespace {

constexpr unsigned kCommandsPerVisit = 64;  // then the other pairs, and the lane, get their turn

Region aperture_region(const backend::MemoryPlan& plan) noexcept {
    return {plan.address + plan.first, plan.context_bytes, plan.stride};
}
Region local_region(const backend::LocalMemory& local) noexcept {
    return {local.address, local.bytes, local.stride};
}

/// May begin while flights of its stream are on their way.
bool may_chain(std::uint8_t opcode) noexcept {
    return opcode == FL_ACCEL_OP_LAUNCH || opcode == FL_ACCEL_OP_COPY || opcode == FL_ACCEL_OP_FILL;
}
/// Makes sense in a context that has lost its worker.
bool survives_loss(std::uint8_t opcode) noexcept {
    return opcode == FL_ACCEL_OP_NOP || opcode == FL_ACCEL_OP_FENCE || opcode == FL_ACCEL_OP_TIMESTAMP ||
           opcode == FL_ACCEL_OP_QUERY;
}

}  // namespace

Processor::Processor(backend::Executor& executor, DmaEngine& dma, Interrupts& interrupts, const Layout& layout)
    : executor_(executor),
      dma_(dma),
      interrupts_(interrupts),
      layout_(layout),
      map_(aperture_region(layout.plan), local_region(executor.local()), kMaxAllocations, layout.plan.contexts,
           layout.shares),
      queues_(layout.queues),
      contexts_(layout.plan.contexts),
      chunks_(layout.plan.contexts) {
    const bool chains = executor.kind() != FL_ACCEL_EXECUTOR_CPU;
    for (std::uint32_t i = 0; i < layout.queues; ++i) {
        queues_[i].number = i;
        if (chains) queues_[i].flights.resize(kMaxFlights);
    }
}

std::uint64_t Processor::now_ns() noexcept {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count());
}

// --- turns

bool Processor::work() noexcept {
    bool did = collect_jobs();
    if (life_ != Life::ready) {
        settle();
        return did || life_ == Life::ready;
    }
    const std::size_t first = next_visit_;
    next_visit_ = first + 1 == queues_.size() ? 0 : first + 1;
    for (std::size_t i = first; i < queues_.size(); ++i) {
        if (queues_[i].ready) did |= visit(queues_[i]);
    }
    for (std::size_t i = 0; i < first; ++i) {
        if (queues_[i].ready) did |= visit(queues_[i]);
    }
    return did;
}

bool Processor::has_work() const noexcept {
    if (executor_.has_done()) return true;
    if (life_ == Life::draining) return jobs_ == 0 && dma_.in_use() == 0;
    for (const QueuePair& q : queues_) {
        if (q.ready) return true;
    }
    return false;
}

/// Gets on with one pair until it has to wait, or others should have a turn.
bool Processor::visit(QueuePair& q) noexcept {
    bool did = false;
    for (unsigned i = 0; i < kCommandsPerVisit && q.ready && turn(q); ++i) did = true;
    return did;
}

/// One step of one pair. Clears `ready` when only an event can get it on.
bool Processor::turn(QueuePair& q) noexcept {
    if (q.state == FL_ACCEL_QUEUE_DISABLING) return disabling(q);
    if (q.state == FL_ACCEL_QUEUE_ERROR) return report_stop(q);
    if (q.in_flight() != 0 && q.flight(q.flight_head).done) return complete_flight(q);
    Active& a = q.active;
    switch (a.stage) {
        case Stage::none:
            if (!q.fetching() || !q.sq_has_command() || !q.cq_has_room()) {
                q.ready = false;
                return false;
            }
            fetch(q, bytes_at(sq_address(q.number), kSqBytes));
            return true;
        case Stage::begin:
            switch (begin(q)) {
                case Step::done: a.stage = Stage::finished; return true;
                case Step::run: a.stage = Stage::running; return true;
                case Step::flown: a.stage = Stage::none; return true;
                case Step::wait: block(q); return false;
            }
            return false;
        case Stage::running:
            if (a.has_job) {
                q.ready = false;
                return false;
            }
            switch (host_step(q)) {
                case Step::done: a.stage = Stage::finished; return true;
                case Step::run:
                case Step::flown: return true;
                case Step::wait: block(q); return false;
            }
            return false;
        case Stage::finished: return complete(q);
    }
    return false;
}

void Processor::block(QueuePair& q) noexcept {
    q.ready = false;
    q.waiting = true;
}

/// Something ended that somebody may have waited for.
void Processor::unblock_all() noexcept {
    for (QueuePair& q : queues_) {
        if (!q.waiting) continue;
        q.waiting = false;
        q.ready = true;
    }
}

void Processor::enables_changed() noexcept {
    unblock_all();
}

Step Processor::begin(QueuePair& q) noexcept {
    const std::uint8_t opcode = q.active.command.head.opcode;
    if (q.in_flight() != 0 && !may_chain(opcode)) return Step::wait;
    if (executor_.lost(q.context)) [[unlikely]] {
        tell_lost(q.context);
        if (!survives_loss(opcode)) return fail(q, FL_ACCEL_REASON_CONTEXT_LOST, q.context);
    }
    switch (static_cast<fl_accel_opcode>(opcode)) {
        case FL_ACCEL_OP_NOP: return succeed(q, 0);
        case FL_ACCEL_OP_FENCE: return begin_fence(q);
        case FL_ACCEL_OP_ALLOC: return begin_alloc(q);
        case FL_ACCEL_OP_FREE: return begin_free(q);
        case FL_ACCEL_OP_COPY: return begin_copy(q);
        case FL_ACCEL_OP_FILL: return begin_fill(q);
        case FL_ACCEL_OP_MODULE_LOAD: return begin_module_load(q);
        case FL_ACCEL_OP_MODULE_UNLOAD: return begin_module_unload(q);
        case FL_ACCEL_OP_KERNEL_BIND: return begin_bind(q);
        case FL_ACCEL_OP_LAUNCH: return begin_launch(q);
        case FL_ACCEL_OP_EVENT_RECORD: return begin_record(q);
        case FL_ACCEL_OP_EVENT_WAIT: return begin_wait(q);
        case FL_ACCEL_OP_TIMESTAMP: return succeed(q, now_ns());
        case FL_ACCEL_OP_QUERY: return begin_query(q);
    }
    return fail(q, FL_ACCEL_REASON_BAD_OPCODE, opcode);  // fetch() lets none through
}

// --- jobs

std::uint64_t Processor::job_of(const QueuePair& q, std::uint32_t slot) const noexcept {
    return std::uint64_t{generation_} << 32 | slot << 8 | q.number;
}

/// A job was given for the active command, or answered at once.
Step Processor::given(QueuePair& q, const backend::Executor::Answer& answer) noexcept {
    if (answer) {
        landed(q, *answer);
        return Step::done;
    }
    q.active.has_job = true;
    ++jobs_;
    return Step::run;
}

/// The same for one that flies: its answer waits its turn behind the flights before.
Step Processor::flown(QueuePair& q, const backend::Executor::Answer& answer) noexcept {
    const std::uint32_t count = q.flight_tail++;
    Flight& f = q.flight(count);
    f = {q.active.command.head, false, q.active.outcome, q.active.touches, q.active.began_ns};
    ++q.flying;
    ++jobs_;
    if (answer) {
        --jobs_;
        flight_done(q, count % kMaxFlights, *answer);
    }
    return Step::flown;
}

bool Processor::collect_jobs() noexcept {
    bool did = false;
    backend::JobDone done;
    while (executor_.next_done(done)) {
        --jobs_;
        did = true;
        if (done.job >> 32 != generation_) continue;  // of before a reset
        if (life_ == Life::scrubbing) {
            clean_ = port_ == nullptr;
            life_ = Life::ready;
        } else {
            job_done(done);
        }
    }
    if (did) unblock_all();
    return did;
}

/// Once: whoever shares the device out wants to say whose it is.
void Processor::tell_lost(std::uint32_t context) noexcept {
    Context& c = contexts_[context];
    if (c.lost_told || c.queues == 0 || !executor_.lost(context)) return;
    c.lost_told = true;
    if (port_ != nullptr) interrupts_.raise(*port_, 0);
}

std::uint32_t Processor::lost_contexts() const noexcept {
    std::uint32_t bits = 0;
    for (std::uint32_t c = 0; c < contexts_.size(); ++c) {
        if (contexts_[c].queues != 0 && executor_.lost(c)) bits |= 1U << c;
    }
    return bits;
}

void Processor::job_done(const backend::JobDone& done) noexcept {
    QueuePair& q = queues_[static_cast<std::uint32_t>(done.job) & 0xff];
    if (!done.outcome.ok()) [[unlikely]] {
        tell_lost(q.context);
    }
    const std::uint32_t slot = static_cast<std::uint32_t>(done.job) >> 8;
    q.ready = true;
    if (slot > kMaxFlights) return chunk_moved(q, slot - kMaxFlights - 1, done.outcome);
    if (slot > 0) return flight_done(q, slot - 1, done.outcome);
    if (!q.active.has_job) return;
    q.active.has_job = false;
    if (q.state == FL_ACCEL_QUEUE_DISABLING) return;  // disabling() goes on
    landed(q, done.outcome);
    q.active.stage = Stage::finished;
}

void Processor::flight_done(QueuePair& q, std::uint32_t slot, const backend::Outcome& outcome) noexcept {
    Flight& f = q.flights[slot];
    if (f.done || q.flying == 0) return;
    f.done = true;
    --q.flying;
    f.outcome.reason = outcome.reason;
    f.outcome.detail = outcome.detail;
    if (f.head.opcode == FL_ACCEL_OP_LAUNCH) f.outcome.value = now_ns() - f.began_ns;
    // Where the executor says only that an earlier one failed, we know which.
    if (outcome.reason == FL_ACCEL_REASON_POISONED) {
        f.outcome.detail = q.culprit;
    } else if (!outcome.ok()) {
        q.culprit = f.head.command_id.get();
    }
}

/// The executor has done what the active command asked for, or could not.
void Processor::landed(QueuePair& q, const backend::Outcome& outcome) noexcept {
    Active& a = q.active;
    const fl_accel_command& c = a.command;
    Context& context = context_of(q);
    a.outcome.reason = outcome.reason;
    a.outcome.detail = outcome.detail;
    switch (c.head.opcode) {
        case FL_ACCEL_OP_LAUNCH: a.outcome.value = now_ns() - a.began_ns; break;
        case FL_ACCEL_OP_ALLOC:
            if (!outcome.ok()) map_.remove(c.u.alloc.address.get());
            break;
        case FL_ACCEL_OP_FREE: map_.remove(c.u.alloc.address.get()); break;
        case FL_ACCEL_OP_MODULE_LOAD: context.modules[c.u.module.module.get()] = {outcome.ok(), false}; break;
        case FL_ACCEL_OP_KERNEL_BIND:
            context.kernels[c.u.bind.kernel.get()] = {outcome.ok(), false, c.u.bind.module.get()};
            a.outcome.value = outcome.value;
            a.outcome.detail = outcome.ok() ? 0 : outcome.detail;
            break;
        default: break;
    }
}

// --- reset

void Processor::reset() noexcept {
    (void)collect_jobs();
    for (QueuePair& q : queues_) {
        cancel_jobs(q, true);
        q.clear();
    }
    for (Context& c : contexts_) c = Context{};
    open_contexts_ = 0;
    for (Chunks& c : chunks_) c = {};
    for (std::size_t i = 0; i < Pins::kCapacity; ++i) pins_.remove(i);
    map_.clear();
    map_.clear_parts();
    error_ = {};
    ++generation_;
    life_ = Life::draining;
    settle();
}

/// After a reset: waits for what is in flight, ends the contexts, then scrubs memory.
void Processor::settle() noexcept {
    if (life_ != Life::draining || jobs_ != 0 || dma_.in_use() != 0) return;
    if (clean_) {
        life_ = Life::ready;
        return;
    }
    life_ = Life::scrubbing;
    if (!executor_.scrub_all(std::uint64_t{generation_} << 32)) {
        ++jobs_;
        return;
    }
    clean_ = port_ == nullptr;
    life_ = Life::ready;
}

void Processor::counters(const std::function<void(std::string_view, std::uint64_t)>& each) const {
    each("accel_commands", completed_);
    each("accel_commands_failed", failed_);
    each("accel_queues_stopped", stopped_);
    const auto usage = executor_.usage();
    each("accel_kernels_run", usage.kernels);
    each("accel_kernel_ns", usage.busy_ns);
    each("accel_worker_bytes", usage.worker_bytes);
    each("accel_copied_to_host_bytes", bytes_out_);
    each("accel_copied_from_host_bytes", bytes_in_);
    each("accel_memory_used_bytes", map_.used_bytes());
    each("accel_local_memory_used_bytes", map_.local_used_bytes());
}

std::vector<backend::AcceleratorUse::Context> Processor::contexts_used() const {
    std::vector<backend::AcceleratorUse::Context> all;
    for (std::uint32_t c = 0; c < contexts_.size(); ++c) {
        if (contexts_[c].queues == 0) continue;
        const auto usage = executor_.usage(c);
        all.push_back({c, contexts_[c].queues, executor_.lost(c), map_.used_bytes(c), usage.kernels, usage.busy_ns,
                       usage.worker_bytes});
    }
    return all;
}

}  // namespace farlane::firmware::accel
