// SPDX-License-Identifier: Apache-2.0
// Receives: the life of a context, waits. Hands on: commands of queues.
// Owns: the queues of the context (accel_state.hpp).
#include "lib/accel_state.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <string>
#include <thread>

#include "lib/accel_modules.hpp"

namespace farlane::accel::detail {
namespace {

constexpr Ticket kCommandsPerTurn = 32;

constexpr std::uint32_t kModule = 1;
constexpr unsigned kSpinsPerLook = 16;  // at the clock
constexpr unsigned kSpinsPerYield = 4;  // a turn of a port of system calls takes a microsecond
constexpr auto kSleep = std::chrono::milliseconds(100);
constexpr auto kSleepWithoutInterrupt = std::chrono::microseconds(500);

struct KernelName {
    BuiltinKernel kernel;
    const char* name;
};
constexpr KernelName kKernels[] = {
    {BuiltinKernel::fill, FL_ACCEL_KERNEL_FILL},
    {BuiltinKernel::copy, FL_ACCEL_KERNEL_COPY},
    {BuiltinKernel::axpy_f32, FL_ACCEL_KERNEL_AXPY_F32},
    {BuiltinKernel::gemm_f32, FL_ACCEL_KERNEL_GEMM_F32},
    {BuiltinKernel::reduce_f32, FL_ACCEL_KERNEL_REDUCE_F32},
    {BuiltinKernel::conv2d_f32, FL_ACCEL_KERNEL_CONV2D_F32},
    {BuiltinKernel::conv2d_rgba8, FL_ACCEL_KERNEL_CONV2D_RGBA8},
    {BuiltinKernel::sha256, FL_ACCEL_KERNEL_SHA256},
};

std::uint32_t checked_slots(std::uint32_t slots, const fl_accel_registers& r) {
    const std::uint32_t limit = std::min({r.max_sq_entries.get(), r.max_cq_entries.get(), FL_ACCEL_MAX_ENTRIES});
    if (std::has_single_bit(slots) && slots >= FL_ACCEL_MIN_ENTRIES && slots <= limit) return slots;
    throw Error(Status::invalid, "queue_slots = " + std::to_string(slots) + ": a power of two from " +
                                     std::to_string(FL_ACCEL_MIN_ENTRIES) + " to " + std::to_string(limit));
}

/// Lets the thread of the callbacks look, while the context's user waits.
class LetGo {
public:
    explicit LetGo(Turn* turn) : turn_(turn), depth_(turn != nullptr ? turn->release() : 0) {}
    ~LetGo() {
        if (turn_ != nullptr) turn_->regain(depth_);
    }
    LetGo(const LetGo&) = delete;
    LetGo& operator=(const LetGo&) = delete;

private:
    Turn* turn_;
    unsigned depth_;
};

fl_accel_command command_of(fl_accel_opcode opcode) {
    fl_accel_command c{};
    c.head.opcode = static_cast<__u8>(opcode);
    return c;
}

}  // namespace

// --- life

ContextState::ContextState(Device& device, const ContextOptions& options)
    : device_(SharedDevice::of(device)), options_(options) {
    options_.queue_slots = checked_slots(options.queue_slots, device_->registers());
    number_ = device_->take_context();
    vector_ = device_->vector_of(number_);
    open_ = true;
    const std::uint32_t events = std::min<std::uint32_t>(device_->registers().max_events.get(), 65536);
    event_values_.resize(events + 1);
    for (std::uint32_t handle = events; handle > 0; --handle) free_events_.push_back(handle);
    modules_ = Handles(kModule + 1, device_->registers().max_modules.get());
    kernels_ = Handles(static_cast<std::uint32_t>(std::size(kKernels)) + 1, device_->registers().max_kernels.get());
}

ContextState::~ContextState() {
    close();
}

void ContextState::open() {
    const auto held = hold();
    Queue& q = lease();
    auto load = command_of(FL_ACCEL_OP_MODULE_LOAD);
    load.u.module.module.set(kModule);
    load.u.module.kind.set(FL_ACCEL_MODULE_BUILTIN);
    submit(q, load, {}, "of the built-in module", kModule);
    for (const auto& [kernel, name] : kKernels) {
        const auto bytes = std::as_bytes(std::span(name, std::char_traits<char>::length(name)));
        auto bind = command_of(FL_ACCEL_OP_KERNEL_BIND);
        bind.u.bind.kernel.set(static_cast<std::uint32_t>(kernel));
        bind.u.bind.module.set(kModule);
        bind.u.bind.name_bytes.set(static_cast<std::uint32_t>(bytes.size()));
        submit(q, bind, bytes, name, 0);
    }
    q.leased = false;  // nobody waits: what fails is told by the first wait
}

void ContextState::close() noexcept {
    {
        const auto held = hold();
        if (!open_) return;
        open_ = false;
        for (auto& q : queues_) q->close();
        // The last pair took the context along, memory and all.
        for (const Garbage& g : garbage_) device_->give_back_memory(g.address, g.reserved);
        garbage_.clear();
        chunks_.clear();
        for (const std::uint64_t block : staging_blocks_) {
            device_->give_back_memory(block, kChunksPerBlock * kChunkBytes);
        }
        staging_blocks_.clear();
        if (reports_.address != 0) device_->give_back_memory(reports_.address, Reports::kModuleBytes);
        reports_ = {};
        bounce_ = {};
        parked_.clear();
        callbacks_.finish(fate_.lost ? fate_.lost->status : Status::canceled);
        device_->give_back_context(number_);
    }
    callbacks_.stop();
}

void ContextState::check_open() const {
    if (!open_) throw Error(Status::canceled, "the accelerator context is closed; open a new one");
    if (callbacks_.active() && Callbacks::calling(*this))
        throw Error(Status::invalid, "a callback must not call its own context: let another thread do it");
    device_->check_alive();
    if (!fate_.lost) return;
    throw Error(fate_.lost->status, "the accelerator context is lost: " + fate_.lost->text);
}

// --- queues

Queue& ContextState::lease() {
    check_open();
    for (auto& q : queues_) {
        if (q->leased) continue;
        q->leased = true;
        return *q;
    }
    const auto call_user = [this] {
        if (!options_.while_waiting) return;
        const LetGo let_go(callbacks_.active() ? &turn_ : nullptr);
        options_.while_waiting();
    };
    queues_.push_back(std::make_unique<Queue>(device_, number_, options_.queue_slots, call_user));
    queues_.back()->leased = true;
    queues_.back()->fate = &fate_;
    return *queues_.back();
}

Ticket ContextState::submit(Queue& q, fl_accel_command& command, std::span<const std::byte> payload, const char* what,
                            std::uint64_t object, Sink sink) {
    check_open();
    q.check_payload(payload.size());
    const auto slots = static_cast<std::uint32_t>(1 + (payload.size() + 63) / 64);
    if (!q.has_room(slots)) wait(q, [&] { return q.has_room(slots); });
    const Ticket t = q.submit(command, payload, what, object, std::move(sink));
    // Where nobody else makes progress, a long row of commands would leave only at its end.
    if (t % kCommandsPerTurn == 0) provider().progress(std::chrono::microseconds(0));
    return t;
}

void ContextState::reap_all() {
    for (auto& q : queues_) q->reap();
    if (callbacks_.pending()) callbacks_.dispatch();
}

/// Throws what failed in `q` since the last look, and lets the stream go on.
void ContextState::throw_failure(Queue& q) {
    auto failure = q.take_failure();
    if (!failure) return;
    if (!lost()) {
        auto fence = command_of(FL_ACCEL_OP_FENCE);
        submit(q, fence, {}, "", 0);
    }
    raise(*failure, failure->object.get());
}

void ContextState::raise(const CommandFailure& failure, CommandObject* object) {
    const bool build = failure.reason == FL_ACCEL_REASON_BUILD || failure.reason == FL_ACCEL_REASON_BAD_IMAGE ||
                       failure.reason == FL_ACCEL_REASON_POISONED;
    std::string more = build && object != nullptr ? object->appendix() : std::string();
    if (failure.argument && object != nullptr) more = object->argument_help(*failure.argument);
    throw Error(failure.status, failure.text + more);
}

// --- order

Use ContextState::mark(Queue& q) {
    if (queues_.size() < 2) return {&q, q.last(), 0};
    if (q.event == 0) {
        if (free_events_.empty()) return {&q, q.last(), 0};
        q.event = free_events_.back();
        free_events_.pop_back();
    }
    auto record = command_of(FL_ACCEL_OP_EVENT_RECORD);
    record.u.event.event.set(q.event);
    q.event_value = next_value(q.event);
    record.u.event.value.set(q.event_value);
    const Ticket t = submit(q, record, {}, "of an event between streams", q.event);
    return {&q, t, q.event_value};
}

void ContextState::order(Queue& q, const Use& use) {
    if (use.queue == &q || use.done()) return;
    const auto there =
        std::find_if(q.behind.begin(), q.behind.end(), [&](const auto& b) { return b.first == use.queue; });
    if (there != q.behind.end() && there->second >= use.ticket) return;
    // An event behind what came after `use` would wait for that, too: a kernel, perhaps.
    const bool exact = use.mark != 0 || use.queue->last() == use.ticket;
    const Use point = use.mark != 0 ? use : exact ? mark(*use.queue) : Use{};
    if (point.mark == 0) return wait_for(use);
    auto wait = command_of(FL_ACCEL_OP_EVENT_WAIT);
    wait.u.event.event.set(use.queue->event);
    wait.u.event.value.set(point.mark);
    submit(q, wait, {}, "for another stream, event", use.queue->event);
    if (there == q.behind.end()) {
        q.behind.emplace_back(use.queue, point.ticket);
    } else {
        there->second = point.ticket;
    }
}

void ContextState::synchronize(Queue& q) {
    const auto held = hold();
    reap_all();
    if (lost()) throw_failure(q);
    check_open();
    if (q.dirty) {
        auto fence = command_of(FL_ACCEL_OP_FENCE);
        const Ticket t = submit(q, fence, {}, "", 0);
        wait_for(Use{&q, t});
        q.dirty = false;
    }
    // Also what makes host memory that the device wrote visible to this thread.
    provider().check();
    q.check_stopped();
    collect_modules();
    if (auto failure = q.take_failure()) raise(*failure, failure->object.get());
}

/// Every queue is waited for, whatever failed in those before.
void ContextState::synchronize_all() {
    const auto held = hold();
    reap_all();
    if (!lost()) check_open();
    std::optional<Error> first;
    for (auto& q : queues_) {
        try {
            synchronize(*q);
        } catch (const Error& e) {
            if (e.status() == Status::device_lost || e.status() == Status::device_reset) throw;
            if (!first) first = e;
        }
    }
    if (first) throw *first;
}

// --- waiting

ContextState::Waiter::Waiter(ContextState& state, Queue& q)
    : state_(state), queue_(q), spin_until_(std::chrono::steady_clock::now() + state.options_.spin) {
    if (state_.callbacks_.active()) state_.callbacks_.user_waits(true);
}

ContextState::Waiter::~Waiter() {
    if (state_.callbacks_.active()) state_.callbacks_.user_waits(false);
}

void ContextState::Waiter::rest() {
    queue_.check_stopped();
    {
        const LetGo let_go(state_.callbacks_.active() ? &state_.turn_ : nullptr);
        state_.provider().progress(std::chrono::microseconds(0));
        // Whoever has to answer may be waiting for this processor.
        if (++spins_ % kSpinsPerYield == 0) std::this_thread::yield();
    }
    if (spins_ % kSpinsPerLook == 0 && std::chrono::steady_clock::now() >= spin_until_) sleep();
}

void ContextState::Waiter::call_user() {
    if (!state_.options_.while_waiting) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - called_ < kSleep) return;
    called_ = now;
    const LetGo let_go(state_.callbacks_.active() ? &state_.turn_ : nullptr);
    state_.options_.while_waiting();
}

/// Arms first and looks at the queues once more: the device sends the interrupt at once for what
/// was posted before (docs/accelerator.md, "Interrupts").
void ContextState::Waiter::sleep() {
    spins_ = kSpinsPerLook - 1;  // look at the clock every time from now on
    call_user();
    state_.device_->check_alive();
    auto& provider = state_.provider();
    if (state_.vector_ == FL_ACCEL_NO_VECTOR) {
        provider.progress(kSleepWithoutInterrupt);
        provider.check();
        const auto now = std::chrono::steady_clock::now();
        if (now - looked_ < kSleep) return;
        looked_ = now;
        queue_.check_enabled();
        return;
    }
    if (!armed_) {
        (void)state_.arm_all();
        armed_ = true;
        return;
    }
    armed_ = false;
    bool woken = false;
    {
        const LetGo let_go(state_.callbacks_.active() ? &state_.turn_ : nullptr);
        woken = provider.wait_interrupt(state_.vector_, kSleep);
    }
    if (woken) return;
    provider.check();
    queue_.check_enabled();
}

bool ContextState::arm_all() {
    if (vector_ == FL_ACCEL_NO_VECTOR) return false;
    for (auto& q : queues_) {
        if (!q->idle()) q->arm();
    }
    return true;
}

void ContextState::raise_interrupt() {
    if (vector_ == FL_ACCEL_NO_VECTOR) return;
    const std::uint64_t one = 1;
    (void)!write(provider().interrupt_fd(vector_), &one, sizeof one);  // full: whoever waits wakes up anyway
}

void ContextState::on_complete(Queue& q, Callback callback) {
    if (!callback) throw Error(Status::invalid, "on_complete: an empty callback; give a function");
    check_open();
    callbacks_.start();
    auto nop = command_of(FL_ACCEL_OP_NOP);  // behind data that was pushed, too
    const Ticket t = submit(q, nop, {}, "", 0);
    callbacks_.add(q, t, std::move(callback));
}

// --- events

EventState::~EventState() {
    if (context != nullptr) context->release(*this);
}

std::shared_ptr<EventState> ContextState::create_event() {
    const auto held = hold();
    check_open();
    reap_all();
    std::erase_if(retired_events_, [&](const RetiredEvent& r) {
        if (!r.record.queue->done(r.record.ticket)) return false;
        free_events_.push_back(r.handle);
        return true;
    });
    if (free_events_.empty()) {
        throw Error(Status::limit,
                    "all " + std::to_string(event_values_.size() - 1) + " events of the context are in use");
    }
    auto event = std::make_shared<EventState>();
    event->context = shared_from_this();
    event->handle = free_events_.back();
    event->value = 0;
    free_events_.pop_back();
    return event;
}

/// The handle is given to somebody else only when its last record has run: an older wait must not
/// see a newer record.
void ContextState::release(EventState& event) noexcept {
    const auto held = hold();
    if (event.record.queue == nullptr || !open_) {
        free_events_.push_back(event.handle);
    } else {
        retired_events_.push_back({event.handle, event.record});
    }
}

}  // namespace farlane::accel::detail
