// SPDX-License-Identifier: Apache-2.0
// Receives: window slots whose record has to be sent again. Hands on: the same, oldest loss
// first. Owns: a ring of slot numbers. A slot is in it at most once (its owner keeps a flag),
// so a ring as large as the window never overflows.
#pragma once

#include <cstdint>
#include <vector>

namespace farlane::proto {

class ResendQueue {
public:
    /// `slots` is a power of two. Forgets what is queued.
    void resize(std::size_t slots) {
        ring_.assign(slots, 0);
        head_ = tail_ = 0;
    }
    [[nodiscard]] bool empty() const noexcept { return head_ == tail_; }
    [[nodiscard]] std::uint32_t front() const noexcept { return ring_[head_ & mask()]; }
    void pop() noexcept { ++head_; }
    void push(std::uint32_t slot) noexcept { ring_[tail_++ & mask()] = slot; }

private:
    [[nodiscard]] std::uint32_t mask() const noexcept { return static_cast<std::uint32_t>(ring_.size() - 1); }

    std::vector<std::uint32_t> ring_;
    std::uint32_t head_ = 0, tail_ = 0;
};

}  // namespace farlane::proto
