// SPDX-License-Identifier: Apache-2.0
// Receives: completions. Hands on: the ends of commands, callbacks, and the turn to those who wait.
// Owns: the thread of the callbacks (engine.hpp).
#include <algorithm>
#include <limits>

#include "opencl/engine.hpp"
#include "opencl/queue.hpp"

namespace farlane::opencl {
namespace {

constexpr auto kSpin = std::chrono::microseconds(50);
constexpr auto kSleep = std::chrono::milliseconds(100);
constexpr auto kSleepWithoutInterrupt = std::chrono::microseconds(500);
constexpr unsigned kSpinsPerLook = 16;  // at the clock
constexpr unsigned kSpinsPerYield = 4;

thread_local unsigned locks_held = 0;

cl_int code_of(const lib::CommandFailure& failure) {
    switch (failure.reason) {
        case FL_ACCEL_REASON_BAD_GRID: return CL_INVALID_WORK_GROUP_SIZE;
        case FL_ACCEL_REASON_ARGUMENT_BYTES:
        case FL_ACCEL_REASON_ARGUMENT_COUNT:
        case FL_ACCEL_REASON_ARGUMENT_VALUE: return CL_INVALID_KERNEL_ARGS;
        case FL_ACCEL_REASON_POISONED: return CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
        default: return CL_OUT_OF_RESOURCES;
    }
}

}  // namespace

// --- the lock

Guard::Guard(Engine& engine) : engine_(engine), lock_(engine.mutex_) {
    ++locks_held;
    if (engine_.has_garbage_.load(std::memory_order_relaxed)) engine_.drain();
}

Guard::~Guard() {
    if (!lock_.owns_lock()) lock();
    if (engine_.has_garbage_.load(std::memory_order_relaxed)) engine_.drain();
    lock_.unlock();
    --locks_held;
}

void Guard::unlock() {
    lock_.unlock();
}
void Guard::lock() {
    lock_.lock();
}
bool Guard::inside() noexcept {
    return locks_held != 0;
}

void Engine::discard(std::shared_ptr<void> what) noexcept {
    if (what == nullptr) return;
    {
        const std::lock_guard lock(garbage_mutex_);
        garbage_.push_back(std::move(what));
        has_garbage_.store(true, std::memory_order_relaxed);
    }
    if (!Guard::inside()) Guard guard(*this);  // its end takes it away
}

void Engine::drain() noexcept {
    while (has_garbage_.load(std::memory_order_relaxed)) {  // what ends may let go of more
        std::vector<std::shared_ptr<void>> all;
        const std::lock_guard lock(garbage_mutex_);
        all.swap(garbage_);
        has_garbage_.store(false, std::memory_order_relaxed);
    }
}

// --- completions

void Engine::settle(Guard& guard) {
    try {
        state_->reap_all();
        for (const Track& t : tracks_) t.queue->check_stopped();
    } catch (const Error& e) {
        doom(guard, e);
    }
    bool any = false;
    for (std::size_t i = 0; i < tracks_.size(); ++i) any = settle(guard, tracks_[i]) || any;
    if (any) wake();
    if ((any || broken_) && !waiting_.empty()) advance(guard);
}

bool Engine::settle(Guard& guard, Track& track) {
    if (track.settling) return false;
    if (!track.failures.empty()) blame(guard, track);
    bool any = false;
    track.settling = true;
    while (!track.in_flight.empty()) {
        const Ref<Event>& first = track.in_flight.front();
        if (!first->sent || !(broken_ || track.queue->done(first->last))) break;
        if (!track.failures.empty()) blame(guard, track);
        const Ref<Event> event = std::move(track.in_flight.front());
        track.in_flight.pop_front();
        conclude(guard, *event);
        any = true;
    }
    track.settling = false;
    return any;
}

/// Finds the commands that failed, and lets the stream go on behind them.
void Engine::blame(Guard&, Track& track) {
    const auto failures = std::exchange(track.failures, {});
    for (const auto& f : failures) {
        for (const auto& e : track.in_flight) {
            if (f.ticket <= e->first || f.ticket > e->last) continue;
            if (e->failure == CL_SUCCESS) e->failure = code_of(f);
            break;
        }
        // A program that does not compile is told by its build log.
        if (f.reason == FL_ACCEL_REASON_BUILD || f.reason == FL_ACCEL_REASON_BAD_IMAGE) continue;
        log_line(f.text);
        if (notify_ && f.reason != FL_ACCEL_REASON_POISONED) {
            start_thread();
            due_.emplace_back([call = notify_, text = f.text] { call(text); });
            changed_.notify_all();
        }
    }
    if (broken() || !track.queue->has_room(1)) return;
    fl_accel_command fence{};
    fence.head.opcode = FL_ACCEL_OP_FENCE;
    try {
        state_->submit(*track.queue, fence, {}, "", 0);
    } catch (const Error& e) {
        log_error("FENCE", e);
    }
}

void Engine::conclude(Guard& guard, Event& event) {
    if (broken_ && event.failure == CL_SUCCESS && !event.track->queue->done(event.last))
        event.failure = CL_OUT_OF_RESOURCES;
    if (event.work != nullptr && event.work->has_rest()) {
        const bool prints = event.work->has_output();
        if (prints) ++printing_;
        guard.unlock();
        try {
            state_->provider().check();  // also what makes visible here what the device wrote
        } catch (const Error& e) {
            log_error("command", e);
            if (event.failure == CL_SUCCESS) event.failure = CL_OUT_OF_RESOURCES;
        }
        event.work->finish(event.failure == CL_SUCCESS);
        guard.lock();
        if (prints) --printing_;
    }
    CommandQueue& q = *event.queue();
    if (event.failure != CL_SUCCESS) q.failed = true;
    event.work.reset();
    event.waits.clear();
    --q.unfinished;
    end(event, event.failure == CL_SUCCESS ? CL_COMPLETE : event.failure);
    ++concluded_;
}

/// The device is gone: nothing completes any more.
void Engine::doom(Guard& guard, const Error& why) {
    if (broken_) return;
    broken_ = true;
    log_error("device", why);
    if (notify_) call_later(guard, [call = notify_, text = why.detail()] { call(text); });
    wake();
}

void Engine::check_health(Guard& guard) {
    try {
        state_->device().check_alive();
        state_->provider().check();
        const auto busy = std::find_if(tracks_.begin(), tracks_.end(), [](const Track& t) { return !t.queue->idle(); });
        if (busy != tracks_.end()) busy->queue->check_enabled();
    } catch (const Error& e) {
        doom(guard, e);
    }
}

// --- waiting

/// The output is the context's: a command takes along what kernels of other queues have printed by then.
void Engine::wait_printed(Guard& guard) {
    if (!has_printed_) return;
    wait_until(guard, [&] {
        const bool on_its_way = std::any_of(tracks_.begin(), tracks_.end(), [](const Track& t) {
            return !t.in_flight.empty() && t.in_flight.front()->work != nullptr &&
                   t.in_flight.front()->work->has_output();
        });
        return broken() || (printing_ == 0 && !on_its_way);
    });
}

/// Whoever sleeps looks again.
void Engine::wake() {
    changed_.notify_all();
    if (!leader_sleeps_) return;
    try {
        state_->raise_interrupt();
    } catch (const Error&) {
        // It sleeps 100 ms at most.
    }
}

Engine::Rest::Rest(Engine& engine, bool spins)
    : engine_(engine), spin_until_(std::chrono::steady_clock::now() + (spins ? kSpin : kSpin * 0)) {}

Engine::Rest::~Rest() {
    if (!armed_) return;
    engine_.has_leader_ = engine_.armed_ = false;
    engine_.changed_.notify_all();
}

void Engine::Rest::once(Guard& guard) {
    if (++spins_ % kSpinsPerLook != 0 || std::chrono::steady_clock::now() < spin_until_) {
        std::optional<Error> trouble;
        guard.unlock();
        try {
            engine_.state_->provider().progress(std::chrono::microseconds(0));
        } catch (const Error& e) {
            trouble = e;
        }
        if (spins_ % kSpinsPerYield == 0) std::this_thread::yield();
        guard.lock();
        if (trouble) engine_.doom(guard, *trouble);
        return;
    }
    spins_ = kSpinsPerLook - 1;  // asleep from now on
    try {
        sleep(guard);
    } catch (const Error& e) {
        engine_.doom(guard, e);
    }
}

/// One thread sleeps on the interrupt of the context, the others until it has news for them.
void Engine::Rest::sleep(Guard& guard) {
    Engine& e = engine_;
    if (!armed_ && e.has_leader_) {
        e.changed_.wait_for(guard.native(), kSleep);
        return;
    }
    auto& provider = e.state_->provider();
    if (!armed_) {
        e.has_leader_ = true;
        armed_ = true;
        e.armed_ = e.state_->arm_all();
        return;  // what came before the interrupt was asked for is taken first
    }
    armed_ = false;
    bool woken = false;
    std::optional<Error> trouble;
    const bool interrupts = e.armed_;
    e.leader_sleeps_ = interrupts;
    guard.unlock();
    try {
        if (interrupts) {
            woken = provider.wait_interrupt(e.state_->vector(), kSleep);
        } else {
            provider.progress(kSleepWithoutInterrupt);
        }
    } catch (const Error& error) {
        trouble = error;
    }
    guard.lock();
    e.leader_sleeps_ = false;
    e.armed_ = false;
    e.has_leader_ = false;
    if (trouble) throw *trouble;
    if (!woken) e.check_health(guard);
    e.changed_.notify_all();  // somebody else may sleep on it now
}

// --- the thread

bool Engine::thread_has_to_look() const noexcept {
    return callbacks_ != 0 || !waiting_.empty() || adopted_;
}

void Engine::start_thread() {
    if (thread_.joinable() || stop_) return;
    thread_ = std::thread([this] { run(); });
}

void Engine::run() {
    ++locks_held;  // this thread never ends an engine: it is one's
    Guard guard(*this);
    while (!stop_ || !due_.empty()) {
        if (!due_.empty()) {
            const auto call = std::move(due_.front());
            due_.pop_front();
            guard.unlock();
            call();
            guard.lock();
            continue;
        }
        if (adopted_) {
            adopted_ = std::any_of(tracks_.begin(), tracks_.end(), [](const Track& t) { return !t.in_flight.empty(); });
        }
        if (!thread_has_to_look()) {
            changed_.wait(guard.native());
            continue;
        }
        Rest rest(*this, false);
        while (settle(guard), !stop_ && due_.empty() && thread_has_to_look()) {
            rest.once(guard);
            if (adopted_) break;
        }
    }
}

}  // namespace farlane::opencl
