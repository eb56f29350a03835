// SPDX-License-Identifier: Apache-2.0
// Receives: values of one producer. Hands on: them, in order, to one consumer.
// Owns: the ring. Producer and consumer may be two threads.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <vector>

namespace farlane::transport {

/// Bounded single-producer single-consumer ring. Each side keeps a copy of the other's index and
/// refreshes it only when it seems full or empty, so a line crosses cores once per batch.
template <class T>
class SpscRing {
public:
    explicit SpscRing(std::size_t capacity) : items_(std::bit_ceil(capacity)), mask_(items_.size() - 1) {}

    [[nodiscard]] bool push(const T& value) noexcept {
        const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
        if (tail - head_seen_ > mask_) {
            head_seen_ = head_.load(std::memory_order_acquire);
            if (tail - head_seen_ > mask_) return false;
        }
        items_[tail & mask_] = value;
        // sequentially consistent: the wake-up flag is read behind it (see LoopPort::arm)
        tail_.store(tail + 1, std::memory_order_seq_cst);
        return true;
    }

    [[nodiscard]] bool pop(T& value) noexcept {
        const std::uint64_t head = head_.load(std::memory_order_relaxed);
        if (head == tail_seen_) {
            tail_seen_ = tail_.load(std::memory_order_acquire);
            if (head == tail_seen_) return false;
        }
        value = items_[head & mask_];
        head_.store(head + 1, std::memory_order_release);
        return true;
    }

    /// Consumer side.
    [[nodiscard]] bool empty() const noexcept {
        return head_.load(std::memory_order_relaxed) == tail_.load(std::memory_order_seq_cst);
    }

private:
    std::vector<T> items_;
    std::uint64_t mask_;
    alignas(64) std::atomic<std::uint64_t> tail_{0};
    std::uint64_t head_seen_ = 0;  // producer's
    alignas(64) std::atomic<std::uint64_t> head_{0};
    std::uint64_t tail_seen_ = 0;  // consumer's
};

}  // namespace farlane::transport
