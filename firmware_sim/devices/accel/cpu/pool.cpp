// SPDX-License-Identifier: Apache-2.0
// Receives: tasks from the lane. Hands on: outcomes, and a wake-up for each.
// Owns: the threads. One mutex: a part takes tens of microseconds or more, so nobody waits for it.
#include "devices/accel/cpu/pool.hpp"

#include <algorithm>
#include <chrono>
#include <new>

namespace farlane::firmware::accel {

std::byte* Scratch::get(unsigned slot, std::size_t bytes) {
    constexpr std::size_t kAlign = 64;
    auto& memory = slots_[slot];
    if (memory.size() < bytes + kAlign) memory.resize(bytes + kAlign);
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    return memory.data() + (kAlign - address % kAlign) % kAlign;
}

Pool::Pool(unsigned threads, std::size_t max_tasks, std::uint32_t owners, std::function<void()> wake)
    : entries_(max_tasks), used_ns_(owners), wake_(std::move(wake)) {
    free_.reserve(max_tasks);
    for (Entry& e : entries_) free_.push_back(&e);
    used_.reserve(max_tasks);
    done_.reserve(max_tasks);
    threads_.reserve(threads);
    for (unsigned i = 0; i < threads; ++i) {
        threads_.emplace_back([this](std::stop_token stop) { work(std::move(stop)); });
    }
}

Pool::~Pool() {
    {
        const std::lock_guard lock(mutex_);
        for (Entry& e : entries_) stop(e);
    }
    for (auto& t : threads_) t.request_stop();
    threads_.clear();
}

void Pool::submit(std::uint64_t job, PoolTask& task, std::size_t parts, bool is_kernel, std::uint32_t owner) noexcept {
    {
        const std::lock_guard lock(mutex_);
        // Who had nothing to do has not saved time for later.
        if (used_.empty()) clock_ns_ = *std::ranges::max_element(used_ns_);
        used_ns_[owner] = std::max(used_ns_[owner], clock_ns_);
        Entry& e = *free_.back();
        free_.pop_back();
        used_.push_back(&e);
        e.job = job;
        e.owner = owner;
        e.task = &task;
        e.parts = parts;
        e.next = e.running = 0;
        e.is_kernel = is_kernel;
        e.busy_ns = 0;
        e.stop.store(false, std::memory_order_relaxed);
        e.outcome = {};
    }
    if (parts > 1) {
        changed_.notify_all();
    } else {
        changed_.notify_one();
    }
}

bool Pool::take(PoolDone& done) noexcept {
    if (!has_done()) return false;
    const std::lock_guard lock(mutex_);
    done = done_.front();
    done_.erase(done_.begin());
    done_count_.store(done_.size(), std::memory_order_release);
    return true;
}

void Pool::cancel(std::uint64_t job) noexcept {
    const std::lock_guard lock(mutex_);
    const auto at = std::ranges::find(used_, job, [](const Entry* e) { return e->job; });
    if (at != used_.end()) stop(**at);
}

/// With the mutex held: parts nobody has taken are given up, running ones are asked to end.
void Pool::stop(Entry& entry) noexcept {
    if (entry.task == nullptr) return;
    entry.stop.store(true, std::memory_order_relaxed);
    entry.next = entry.parts;
    entry.outcome = {FL_ACCEL_REASON_EXECUTION, 0, 0};
    if (entry.running == 0) end(entry);
}

void Pool::work(std::stop_token stop) {
    Scratch scratch;
    std::unique_lock lock(mutex_);
    while (true) {
        Entry* entry = nullptr;
        changed_.wait(lock, stop, [&] { return (entry = find_work()) != nullptr; });
        if (entry == nullptr) return;
        run_part(lock, *entry, scratch);
    }
}

/// Of whoever has used least; the oldest of his.
Pool::Entry* Pool::find_work() noexcept {
    Entry* first = nullptr;
    for (Entry* e : used_) {
        if (e->next == e->parts) continue;
        if (first == nullptr || used_ns_[e->owner] < used_ns_[first->owner]) first = e;
    }
    return first;
}

void Pool::run_part(std::unique_lock<std::mutex>& lock, Entry& entry, Scratch& scratch) {
    PoolTask& task = *entry.task;
    const std::size_t part = entry.next++;
    ++entry.running;
    clock_ns_ = used_ns_[entry.owner];
    lock.unlock();
    const auto begin = std::chrono::steady_clock::now();
    backend::Outcome outcome;
    try {
        outcome = task.run(part, scratch, entry.stop);
    } catch (const std::bad_alloc&) {
        outcome = {FL_ACCEL_REASON_OUT_OF_MEMORY, 0, 0};
    }
    const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begin;
    const auto took_ns = static_cast<std::uint64_t>(took.count());
    if (entry.is_kernel) busy_ns_.fetch_add(took_ns, std::memory_order_relaxed);
    lock.lock();
    --entry.running;
    entry.busy_ns += took_ns;
    used_ns_[entry.owner] += took_ns;
    if (!outcome.ok()) {
        entry.outcome = outcome;
        entry.next = entry.parts;
    }
    if (entry.running == 0 && entry.next == entry.parts) {
        if (entry.outcome.ok()) entry.outcome = task.finish();
        end(entry);
    }
}

/// With the mutex held: the last part of `entry` has ended.
void Pool::end(Entry& entry) noexcept {
    done_.push_back({{entry.job, entry.outcome}, entry.busy_ns});
    done_count_.store(done_.size(), std::memory_order_release);
    if (entry.is_kernel && entry.outcome.ok()) kernels_run_.fetch_add(1, std::memory_order_relaxed);
    entry.task = nullptr;
    std::erase(used_, &entry);
    free_.push_back(&entry);
    wake_();
}

}  // namespace farlane::firmware::accel
