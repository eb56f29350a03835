// SPDX-License-Identifier: Apache-2.0
// Receives: work that may take long, and job numbers. Hands on: ended jobs. Owns: a thread, the list of ended jobs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "backend/executor.hpp"

namespace farlane::backend::worker {

/// Emptying memory and removing folders takes its time; the lane and the watch thread have none.
class Janitor {
public:
    explicit Janitor(std::function<void()> wake)
        : wake_(std::move(wake)), thread_([this](std::stop_token stop) { run(stop); }) {}

    /// Any thread. `job` ends well behind it.
    void put(std::uint64_t job, std::function<void()> work) {
        {
            const std::lock_guard lock(mutex_);
            todo_.push_back({job, std::move(work)});
        }
        changed_.notify_one();
    }
    /// Any thread. Work that is no job.
    void put(std::function<void()> work) { put(kNoJob, std::move(work)); }

    [[nodiscard]] bool has_done() const noexcept { return done_count_.load(std::memory_order_acquire) != 0; }
    [[nodiscard]] bool next_done(JobDone& done) noexcept {
        if (!has_done()) return false;
        const std::lock_guard lock(mutex_);
        done = {done_.front(), {}};
        done_.pop_front();
        done_count_.fetch_sub(1, std::memory_order_relaxed);
        return true;
    }

private:
    static constexpr std::uint64_t kNoJob = ~std::uint64_t{0};
    struct Item {
        std::uint64_t job;
        std::function<void()> work;
    };

    /// Ends when all that was put before the end is done.
    void run(const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, stop, [this] { return !todo_.empty(); });
            if (todo_.empty()) return;
            Item item = std::move(todo_.front());
            todo_.pop_front();
            lock.unlock();
            item.work();
            item.work = {};
            lock.lock();
            if (item.job == kNoJob) continue;
            done_.push_back(item.job);
            done_count_.fetch_add(1, std::memory_order_release);
            lock.unlock();
            wake_();
            lock.lock();
        }
    }

    std::function<void()> wake_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::deque<Item> todo_;           ///< guarded by mutex_
    std::deque<std::uint64_t> done_;  ///< guarded by mutex_
    std::atomic<std::size_t> done_count_{0};
    std::jthread thread_;  ///< last: ends before what it uses
};

}  // namespace farlane::backend::worker
