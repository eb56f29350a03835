// SPDX-License-Identifier: Apache-2.0
// Receives: slot and block numbers. Hands on: the same, first in first out. Owns: pools of fixed size.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "devices/nvme/spec.hpp"
#include "devices/nvme/state.hpp"

namespace farlane::firmware::nvme {

constexpr std::uint32_t kNoSlot = 0xffffffff;

enum class Move : std::uint8_t { none, to_host, from_host };

/// What is known of a command at work and is found out again after a kill.
struct Run {
    std::uint32_t next = kNoSlot;  // in the one list it is in
    std::uint32_t next_block = 0;
    Move move = Move::none;
    bool stalled = false;   // in the list of those that wait for staging memory
    bool restart = false;   // ... for start() to be called again
    bool executed = false;  // finish() was called
    std::uint16_t status = 0;
    std::uint32_t bytes = 0;            // of the whole transfer
    std::uint32_t started = 0;          // given to the DMA engine
    std::uint32_t in_flight = 0;        // pieces that have not arrived (from the host), are not ordered (to the host)
    std::uint32_t pages = 0;            // PRP entries needed
    std::uint32_t have = 0;             // PRP entries known
    std::uint64_t list = 0;             // where the next ones are
    std::uint64_t media_at = 0;         // first byte of the namespace it is about
    std::uint64_t cursor = 0, end = 0;  // of slow work: zeroing
    std::uint64_t ticket = 0;           // of Media::flush()
    std::int64_t ready_at_ns = 0;
    std::int32_t scratch = -1;
    std::array<std::uint64_t, kMdtsPages + 1> prp{};
};

/// First in, first out list of slots, linked through Run::next.
class SlotList {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == kNoSlot; }
    [[nodiscard]] std::uint32_t front() const noexcept { return head_; }
    void push(std::vector<Run>& runs, std::uint32_t slot) noexcept {
        runs[slot].next = kNoSlot;
        if (head_ == kNoSlot)
            head_ = slot;
        else
            runs[tail_].next = slot;
        tail_ = slot;
        ++size_;
    }
    std::uint32_t pop(std::vector<Run>& runs) noexcept {
        const std::uint32_t slot = head_;
        head_ = runs[slot].next;
        --size_;
        return slot;
    }
    /// Takes `slot` out of the middle. False = it is not in the list.
    bool remove(std::vector<Run>& runs, std::uint32_t slot) noexcept {
        std::uint32_t before = kNoSlot;
        for (std::uint32_t i = head_; i != kNoSlot; before = i, i = runs[i].next) {
            if (i != slot) continue;
            (before == kNoSlot ? head_ : runs[before].next) = runs[i].next;
            if (tail_ == i) tail_ = before;
            --size_;
            return true;
        }
        return false;
    }
    [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
    void clear() noexcept { *this = {}; }

private:
    std::uint32_t head_ = kNoSlot, tail_ = kNoSlot, size_ = 0;
};

/// Free command slots.
class SlotPool {
public:
    SlotPool() { free_.reserve(kCommands); }
    void clear() noexcept { free_.clear(); }
    void give(std::uint32_t slot) noexcept { free_.push_back(slot); }
    [[nodiscard]] std::uint32_t take() noexcept {
        const std::uint32_t slot = free_.back();
        free_.pop_back();
        return slot;
    }
    [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(free_.size()); }

private:
    std::vector<std::uint32_t> free_;
};

/// Commands whose completion is posted and not released, in the order of their sequence.
class PostedRing {
public:
    void clear() noexcept { head_ = tail_ = 0; }
    [[nodiscard]] bool empty() const noexcept { return head_ == tail_; }
    [[nodiscard]] std::uint32_t front() const noexcept { return ring_[tail_ % kCommands]; }
    void push(std::uint32_t slot) noexcept { ring_[head_++ % kCommands] = slot; }
    void pop() noexcept { ++tail_; }

private:
    std::array<std::uint32_t, kCommands> ring_{};
    std::uint64_t head_ = 0, tail_ = 0;
};

/// What a block of staging memory is used for.
struct Block {
    enum class Use : std::uint8_t { free, fetch, list, from_host, to_host };
    Use use = Use::free;
    std::uint32_t owner = 0;   // slot, or submission queue for a fetch
    std::uint32_t epoch = 0;   // of the controller
    std::uint32_t offset = 0;  // of these bytes in the transfer
    std::uint32_t bytes = 0;
    std::uint32_t pending = 0;  // DMA transfers that have not ended
};

/// Every DMA goes to or comes from one of these blocks, never the namespace: a late answer after a reset then
/// hits a block that is still reserved for it, and what a resend reads has not changed meanwhile.
class StagingPool {
public:
    static constexpr std::uint32_t kBlocks = 1024;
    StagingPool();
    ~StagingPool();
    StagingPool(const StagingPool&) = delete;
    StagingPool& operator=(const StagingPool&) = delete;

    [[nodiscard]] bool empty() const noexcept { return free_.empty(); }
    /// Precondition: !empty().
    [[nodiscard]] std::uint32_t take() noexcept {
        const std::uint32_t i = free_.back();
        free_.pop_back();
        return i;
    }
    void give(std::uint32_t index) noexcept {
        blocks_[index].use = Block::Use::free;
        free_.push_back(index);
    }
    [[nodiscard]] Block& operator[](std::uint32_t index) noexcept { return blocks_[index]; }
    [[nodiscard]] std::span<std::byte> bytes(std::uint32_t index, std::uint32_t n) noexcept {
        return {memory_ + std::size_t{index} * kPageBytes, n};
    }

private:
    std::byte* memory_;
    std::vector<Block> blocks_;
    std::vector<std::uint32_t> free_;
};

/// Data of a command that is looked at whole: range lists, a timestamp.
using Scratch = std::array<std::byte, kPageBytes>;
constexpr std::uint32_t kScratches = 16;
constexpr std::uint64_t kScratchMask = (1u << kScratches) - 1;

}  // namespace farlane::firmware::nvme
