// SPDX-License-Identifier: Apache-2.0
// Receives: modules to build. Hands on: built ones. Owns: the thread that builds, one module after the other.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "backend/worker/program/runtime.hpp"

namespace farlane::backend::worker {

class Builder {
public:
    struct Order {
        AskLoad ask;
        std::vector<std::byte> image;
        std::string options;
    };
    struct Finished {
        AskLoad ask;
        Built built;
    };
    /// `wake` tells the main loop that there is something to take.
    Builder(Runtime& runtime, std::function<void()> wake)
        : runtime_(runtime), wake_(std::move(wake)), thread_([this](const std::stop_token& stop) { run(stop); }) {}

    void put(Order order) {
        {
            const std::lock_guard lock(mutex_);
            orders_.push_back(std::move(order));
        }
        changed_.notify_one();
    }
    [[nodiscard]] bool has_finished() const noexcept { return count_.load(std::memory_order_acquire) != 0; }
    [[nodiscard]] Finished take() {
        const std::lock_guard lock(mutex_);
        Finished first = std::move(finished_.front());
        finished_.pop_front();
        count_.fetch_sub(1, std::memory_order_relaxed);
        return first;
    }

private:
    void run(const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        while (changed_.wait(lock, stop, [this] { return !orders_.empty(); })) {
            Order order = std::move(orders_.front());
            orders_.pop_front();
            lock.unlock();
            Built built = runtime_.build(static_cast<fl_accel_module_kind>(order.ask.kind), order.image, order.options);
            lock.lock();
            finished_.push_back({order.ask, std::move(built)});
            count_.fetch_add(1, std::memory_order_release);
            wake_();
        }
    }

    Runtime& runtime_;
    std::function<void()> wake_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::deque<Order> orders_;       ///< guarded by mutex_
    std::deque<Finished> finished_;  ///< guarded by mutex_
    std::atomic<std::size_t> count_{0};
    std::jthread thread_;
};

}  // namespace farlane::backend::worker
