// SPDX-License-Identifier: Apache-2.0
// Receives: tasks cut into parts. Hands on: ended tasks.
// Owns: the threads, their scratch memory and the list of tasks.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "backend/executor.hpp"

namespace farlane::firmware::accel {

/// Memory of one thread that tasks may use while a part runs; grows, never shrinks.
class Scratch {
public:
    /// At least `bytes`, aligned to 64, with whatever was there before. Throws std::bad_alloc.
    [[nodiscard]] std::byte* get(unsigned slot, std::size_t bytes);

private:
    std::vector<std::byte> slots_[2];
};

/// One job on its way through the pool. Made by the lane, run by the threads.
class PoolTask {
public:
    virtual ~PoolTask() = default;
    /// One part; different parts run at the same time. Checks `stop` every few milliseconds.
    virtual backend::Outcome run(std::size_t part, Scratch& scratch, const std::atomic<bool>& stop) = 0;
    /// After the last part, when all went well.
    virtual backend::Outcome finish() { return {}; }
};

/// A task that has ended.
struct PoolDone {
    backend::JobDone job;
    std::uint64_t busy_ns = 0;  ///< of all threads together
};

/// A fixed number of threads, whose time goes to owners in equal parts, part by part of their tasks.
/// submit(), take() and cancel() are for one thread (the lane).
class Pool {
public:
    Pool(unsigned threads, std::size_t max_tasks, std::uint32_t owners, std::function<void()> wake);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// `task` stays valid until take() gave `job`. parts >= 1; owner < owners.
    void submit(std::uint64_t job, PoolTask& task, std::size_t parts, bool is_kernel, std::uint32_t owner) noexcept;
    [[nodiscard]] bool take(PoolDone& done) noexcept;
    [[nodiscard]] bool has_done() const noexcept { return done_count_.load(std::memory_order_acquire) != 0; }
    void cancel(std::uint64_t job) noexcept;
    [[nodiscard]] unsigned threads() const noexcept { return static_cast<unsigned>(threads_.size()); }
    [[nodiscard]] std::uint64_t kernels_run() const noexcept { return kernels_run_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t busy_ns() const noexcept { return busy_ns_.load(std::memory_order_relaxed); }

private:
    struct Entry {
        std::uint64_t job = 0;
        std::uint32_t owner = 0;
        PoolTask* task = nullptr;
        std::size_t parts = 0;
        std::size_t next = 0;     ///< first part nobody has taken
        std::size_t running = 0;  ///< parts taken and not ended
        bool is_kernel = false;
        std::uint64_t busy_ns = 0;
        std::atomic<bool> stop{false};
        backend::Outcome outcome;
    };

    void work(std::stop_token stop);
    Entry* find_work() noexcept;
    void run_part(std::unique_lock<std::mutex>& lock, Entry& entry, Scratch& scratch);
    void stop(Entry& entry) noexcept;
    void end(Entry& entry) noexcept;

    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::vector<Entry> entries_;              ///< free when task == nullptr; guarded by mutex_ (but stop)
    std::vector<Entry*> free_;                ///< guarded by mutex_
    std::vector<Entry*> used_;                ///< the oldest first; guarded by mutex_
    std::vector<std::uint64_t> used_ns_;      ///< by owner; guarded by mutex_
    std::uint64_t clock_ns_ = 0;              ///< what who came last to a thread had used; guarded by mutex_
    std::vector<PoolDone> done_;              ///< guarded by mutex_
    std::atomic<std::size_t> done_count_{0};  ///< = done_.size()
    std::atomic<std::uint64_t> kernels_run_{0};
    std::atomic<std::uint64_t> busy_ns_{0};
    std::function<void()> wake_;
    std::vector<std::jthread> threads_;
};

}  // namespace farlane::firmware::accel
