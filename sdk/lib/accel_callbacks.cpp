// SPDX-License-Identifier: Apache-2.0
// Receives: functions to call at points of queues. Hands on: the calls, from a thread of their own.
// Owns: that thread (accel_callbacks.hpp).
#include "lib/accel_callbacks.hpp"

#include <chrono>
#include <string>
#include <system_error>
#include <utility>

#include "lib/accel_state.hpp"

namespace farlane::accel::detail {

// --- whose turn it is

void Turn::lock() {
    const auto me = std::this_thread::get_id();
    if (owner_.load(std::memory_order_relaxed) != me) {
        mutex_.lock();
        owner_.store(me, std::memory_order_relaxed);
    }
    ++depth_;
}

void Turn::unlock() {
    if (--depth_ != 0) return;
    owner_.store({}, std::memory_order_relaxed);
    mutex_.unlock();
}

unsigned Turn::release() {
    const unsigned depth = std::exchange(depth_, 0);
    owner_.store({}, std::memory_order_relaxed);
    mutex_.unlock();
    return depth;
}

void Turn::regain(unsigned depth) {
    mutex_.lock();
    owner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    depth_ = depth;
}

// --- callbacks

thread_local const ContextState* Callbacks::calling_ = nullptr;

void Callbacks::start() {
    if (thread_.joinable()) return;
    try {
        thread_ = std::thread([this, abandoned = abandoned_] { run(abandoned); });
    } catch (const std::system_error& e) {
        throw Error(Status::limit, std::string("no thread for the callbacks of the context: ") + e.what());
    }
}

void Callbacks::add(Queue& q, Ticket ticket, Callback callback) {
    pending_.push_back({&q, ticket, std::move(callback)});
    dispatch();
    changed_.notify_all();
}

void Callbacks::dispatch() {
    bool any = false;
    for (auto p = pending_.begin(); p != pending_.end();) {
        if (!p->queue->done(p->ticket)) {
            ++p;
            continue;
        }
        due_.push_back({std::move(p->call), p->queue->failed_status(p->ticket)});
        p = pending_.erase(p);
        any = true;
    }
    if (any) wake();
}

void Callbacks::finish(Status status) {
    for (auto& p : pending_) due_.push_back({std::move(p.call), status});
    pending_.clear();
    wake();
}

void Callbacks::user_waits(bool waits) {
    user_waits_ = waits;
    if (!waits && pending()) changed_.notify_all();
}

/// The thread waits for one of two things.
void Callbacks::wake() {
    changed_.notify_all();
    if (sleeps_) state_.raise_interrupt();
}

void Callbacks::stop() noexcept {
    if (!thread_.joinable()) return;
    if (thread_.get_id() == std::this_thread::get_id()) {  // a callback had the last hold on the context
        *abandoned_ = true;
        thread_.detach();
        return;
    }
    {
        const auto held = state_.hold();
        stop_ = true;
        try {
            wake();
        } catch (const Error&) {
            // It sleeps 100 ms at most.
        }
    }
    thread_.join();
}

void Callbacks::run(const std::shared_ptr<bool>& abandoned) {
    auto held = state_.hold();
    while (true) {
        if (!due_.empty()) {
            Due next = std::move(due_.front());
            due_.pop_front();
            held.unlock();
            calling_ = &state_;
            next.call(next.status);
            calling_ = nullptr;
            next.call = {};  // what it holds may take locks of the application when it goes
            if (*abandoned) {
                (void)held.release();
                return;
            }
            held.lock();
        } else if (stop_) {
            return;
        } else if (!pending() || user_waits_ || !state_.provider().own_progress()) {
            changed_.wait(held);
        } else {
            look(held);
        }
    }
}

/// As a user that waits does it (ContextState::Waiter), but asleep at once.
void Callbacks::look(std::unique_lock<Turn>& held) {
    constexpr auto kSleep = std::chrono::milliseconds(100);
    constexpr auto kSleepWithoutInterrupt = std::chrono::microseconds(500);
    try {
        state_.reap_all();
        if (!due_.empty()) return;
        state_.check_alive();
        const bool interrupts = state_.arm_all();
        state_.reap_all();  // the interrupt for what came before may be gone
        if (!due_.empty()) return;
        auto& provider = state_.provider();
        sleeps_ = interrupts;
        held.unlock();
        bool woken = false;
        std::optional<Error> trouble;
        try {
            if (interrupts) {
                woken = provider.wait_interrupt(state_.vector(), kSleep);
            } else {
                provider.progress(kSleepWithoutInterrupt);
            }
            if (!woken) provider.check();
        } catch (const Error& e) {
            trouble = e;
        }
        held.lock();
        sleeps_ = false;
        // The user may sleep on the same interrupt.
        if (woken && user_waits_) state_.raise_interrupt();
        if (trouble) finish(trouble->status());
    } catch (const Error& e) {
        finish(e.status());
    }
}

}  // namespace farlane::accel::detail
