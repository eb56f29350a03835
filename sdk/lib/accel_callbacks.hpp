// SPDX-License-Identifier: Apache-2.0
// Receives: functions to call at points of queues. Hands on: the calls, from a thread of their own.
// Owns: that thread, which is started with the first function. docs/accelerator.md, "The C++ API".
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include <farlane/accel_stream.hpp>

#include "lib/accel_queue.hpp"

namespace farlane::accel::detail {

class ContextState;

/// Who may touch a context now: its user, in nested calls too, or the thread of its callbacks. Lockable.
class Turn {
public:
    void lock();
    void unlock();
    /// Lets go of it altogether, and takes it back as deep as it was. The caller has it.
    [[nodiscard]] unsigned release();
    void regain(unsigned depth);

private:
    std::mutex mutex_;
    std::atomic<std::thread::id> owner_{};
    unsigned depth_ = 0;  ///< of the owner
};

/// Callbacks of one context. Every call but stop() with the context's Turn held.
class Callbacks {
public:
    explicit Callbacks(ContextState& state) noexcept : state_(state) {}
    ~Callbacks() { stop(); }
    Callbacks(const Callbacks&) = delete;
    Callbacks& operator=(const Callbacks&) = delete;

    /// The thread is there from then on. Errors: limit.
    void start();
    /// Precondition: start().
    void add(Queue& q, Ticket ticket, Callback callback);
    /// The calling thread is in a callback of `context`.
    [[nodiscard]] static bool calling(const ContextState& context) noexcept { return calling_ == &context; }
    /// There is a thread that may look at completions.
    [[nodiscard]] bool active() const noexcept { return thread_.joinable(); }
    [[nodiscard]] bool pending() const noexcept { return !pending_.empty(); }
    /// Completions were taken: hands what is due to the thread.
    void dispatch();
    /// No completion comes any more: calls what is left with `status`.
    void finish(Status status);
    /// The context's user begins to wait, and looks at completions meanwhile; or has ended.
    void user_waits(bool waits);
    /// Ends when everything handed over was called. Without the Turn.
    void stop() noexcept;

private:
    struct Pending {
        Queue* queue = nullptr;
        Ticket ticket = 0;
        Callback call;
    };
    struct Due {
        Callback call;
        Status status = Status::ok;
    };
    void run(const std::shared_ptr<bool>& abandoned);
    void look(std::unique_lock<Turn>& held);
    void wake();

    static thread_local const ContextState* calling_;
    ContextState& state_;
    std::deque<Pending> pending_;
    std::deque<Due> due_;
    std::condition_variable_any changed_;
    std::shared_ptr<bool> abandoned_ = std::make_shared<bool>(false);
    bool user_waits_ = false, sleeps_ = false, stop_ = false;
    std::thread thread_;
};

}  // namespace farlane::accel::detail
