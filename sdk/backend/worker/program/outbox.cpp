// SPDX-License-Identifier: Apache-2.0
// Receives: ended jobs, from any thread. Hands on: records in the complete ring, the bell. Owns: outbox.hpp.
#include "backend/worker/program/outbox.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace farlane::backend::worker {

void Outbox::say(Say what, std::initializer_list<std::span<const std::byte>> parts) noexcept {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty() && ring_.write(static_cast<std::uint32_t>(what), parts)) return publish();
    std::vector<std::byte> all;
    const auto head = bytes_of(what);
    all.insert(all.end(), head.begin(), head.end());
    for (const auto part : parts) all.insert(all.end(), part.begin(), part.end());
    waiting_.push_back(std::move(all));
    full_ = true;
    wake_loop();
}

bool Outbox::flush() noexcept {
    if (!full_.load(std::memory_order_relaxed)) return false;
    const std::lock_guard lock(mutex_);
    while (!waiting_.empty()) {
        std::span<const std::byte> record = waiting_.front();
        std::uint32_t what = 0;
        (void)take(record, what);
        if (!ring_.write(what, {record})) break;
        waiting_.pop_front();
    }
    publish();
    full_ = !waiting_.empty();
    return full_;
}

void Outbox::publish() noexcept {
    ring_.publish();
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (control_.bell_armed.load(std::memory_order_relaxed) == 0 || control_.bell_armed.exchange(0) == 0) return;
    const char one = 1;
    (void)!::write(bell_, &one, sizeof one);
}

void Outbox::wake_loop() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    auto& sleeps = control_.worker_sleeps;
    if (sleeps.load(std::memory_order_relaxed) == 0 || sleeps.exchange(0) == 0) return;
    (void)::syscall(SYS_futex, &sleeps, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace farlane::backend::worker
