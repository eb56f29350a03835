// SPDX-License-Identifier: Apache-2.0
// Receives: turns of the lane. Hands on: commands to their begin functions, in order.
// Owns: which pair may get on (processor.hpp).
#include "devices/accel/processor.hpp"

#include <chrono>

namespace farlane::firmware::accel {
namespace {

constexpr unsigned kCommandsPerVisit = 64;  // then the other pairs, and the lane, get their turn

std::uint64_t memory_address(const Processor::Layout& layout) noexcept {
    return layout.base_address + layout.queues * kSqBytes;
}

}  // namespace

Processor::Processor(backend::Executor& executor, DmaEngine& dma, Interrupts& interrupts, const Layout& layout)
    : executor_(executor),
      dma_(dma),
      interrupts_(interrupts),
      layout_(layout),
      map_(memory_address(layout), executor.memory().size() - layout.queues * kSqBytes, kMaxAllocations),
      queues_(layout.queues),
      contexts_(kMaxContexts) {
    for (std::uint32_t i = 0; i < layout.queues; ++i) queues_[i].number = i;
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
    for (QueuePair& q : queues_) {
        if (q.ready) did |= visit(q);
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
                case Step::run: return true;
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
    switch (static_cast<fl_accel_opcode>(q.active.command.head.opcode)) {
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
    return fail(q, FL_ACCEL_REASON_BAD_OPCODE, q.active.command.head.opcode);  // fetch() lets none through
}

// --- jobs

std::uint64_t Processor::job_of(const QueuePair& q) const noexcept {
    return std::uint64_t{generation_} << 32 | q.number;
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

void Processor::job_done(const backend::JobDone& done) noexcept {
    QueuePair& q = queues_[static_cast<std::uint32_t>(done.job)];
    Active& a = q.active;
    if (!a.has_job) return;
    a.has_job = false;
    q.ready = true;
    if (q.state == FL_ACCEL_QUEUE_DISABLING) return;  // disabling() goes on
    const bool launch = a.command.head.opcode == FL_ACCEL_OP_LAUNCH;
    a.outcome.reason = done.outcome.reason;
    a.outcome.detail = done.outcome.detail;
    if (launch) a.outcome.value = now_ns() - a.began_ns;
    if (!done.outcome.ok()) a.outcome.value = 0;
    if (a.command.head.opcode == FL_ACCEL_OP_FREE) map_.remove(a.command.u.alloc.address.get());
    a.stage = Stage::finished;
}

// --- reset

void Processor::reset() noexcept {
    (void)collect_jobs();
    for (QueuePair& q : queues_) {
        if (q.active.has_job) executor_.cancel(job_of(q));
        q.clear();
    }
    for (Context& c : contexts_) c = Context{};
    for (std::size_t i = 0; i < Pins::kCapacity; ++i) pins_.remove(i);
    map_.clear();
    error_ = {};
    ++generation_;
    life_ = Life::draining;
    settle();
}

/// After a reset: waits for what is in flight, then scrubs memory.
void Processor::settle() noexcept {
    if (life_ != Life::draining || jobs_ != 0 || dma_.in_use() != 0) return;
    if (clean_) {
        life_ = Life::ready;
        return;
    }
    life_ = Life::scrubbing;
    ++jobs_;
    executor_.scrub(std::uint64_t{generation_} << 32, layout_.base_address, executor_.memory().size());
}

void Processor::counters(const std::function<void(std::string_view, std::uint64_t)>& each) const {
    each("accel_commands", completed_);
    each("accel_commands_failed", failed_);
    each("accel_queues_stopped", stopped_);
    each("accel_kernels_run", executor_.kernels_run());
    each("accel_kernel_ns", executor_.busy_ns());
    each("accel_copied_to_host_bytes", bytes_out_);
    each("accel_copied_from_host_bytes", bytes_in_);
    each("accel_memory_used_bytes", map_.used_bytes());
}

}  // namespace farlane::firmware::accel
