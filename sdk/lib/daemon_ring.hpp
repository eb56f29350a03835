// SPDX-License-Identifier: Apache-2.0
// Receives: the shared memory of a channel. Hands on: its rings, one side at a time.
// Owns: this side's private counts; what the other side writes is believed only when it can
// be true. Layout: farlane/uapi/ring.h.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <farlane/uapi/ring.h>

namespace farlane::channel {

static_assert(std::atomic_ref<std::uint32_t>::is_always_lock_free);

[[nodiscard]] inline std::uint32_t load_acquire(std::uint32_t& word) noexcept {
    return std::atomic_ref<std::uint32_t>(word).load(std::memory_order_acquire);
}
inline void store_release(std::uint32_t& word, std::uint32_t value) noexcept {
    std::atomic_ref<std::uint32_t>(word).store(value, std::memory_order_release);
}

/// Copies shared memory once: what is checked afterwards is what is used afterwards.
template <class T>
[[nodiscard]] T copy_once(const T& shared) noexcept {
    T copy;
    std::memcpy(&copy, &shared, sizeof copy);
    asm volatile("" : "+m"(copy));  // the compiler may not go back to `shared`
    return copy;
}

/// Sleeping consumer and waking producer agree by two words and a full fence on each side:
/// either the sleeper sees the new work, or the producer sees the sleeper.
inline void announce_sleep(fl_ring& ring, std::uint32_t how) noexcept {
    std::atomic_ref<std::uint32_t>(ring.sleeping).store(how, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
}
inline void announce_awake(fl_ring& ring) noexcept {
    std::atomic_ref<std::uint32_t>(ring.sleeping).store(FL_RING_AWAKE, std::memory_order_relaxed);
}
/// After publishing: true = ring the bell (once; the flag is taken back).
[[nodiscard]] inline bool take_sleeper(fl_ring& ring, std::uint32_t at_least) noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    std::atomic_ref<std::uint32_t> sleeping(ring.sleeping);
    if (sleeping.load(std::memory_order_relaxed) < at_least) return false;
    return sleeping.exchange(FL_RING_AWAKE, std::memory_order_seq_cst) >= at_least;
}

/// The side that writes slots.
class Producer {
public:
    Producer() noexcept = default;
    /// `head` = where this side stands (0 for a new ring).
    Producer(fl_ring& ring, fl_slot* slots, std::uint32_t entries, std::uint32_t head) noexcept
        : ring_(&ring), slots_(slots), entries_(entries), head_(head), released_(head) {}

    [[nodiscard]] std::uint32_t head() const noexcept { return head_; }
    [[nodiscard]] std::uint32_t entries() const noexcept { return entries_; }
    /// Slots that may be written now. A count of the other side that can not be true sets broken().
    [[nodiscard]] std::uint32_t room() noexcept {
        const std::uint32_t released = load_acquire(ring_->released);
        if (head_ - released > entries_) {
            broken_ = true;
            return 0;
        }
        released_ = released;
        return entries_ - (head_ - released);
    }
    [[nodiscard]] std::uint32_t released() const noexcept { return released_; }  ///< as of the last room()
    [[nodiscard]] fl_slot& at(std::uint32_t count) noexcept { return slots_[count & (entries_ - 1)]; }
    /// Hands the slot at head() to the consumer.
    void publish() noexcept { store_release(ring_->head, ++head_); }
    [[nodiscard]] bool broken() const noexcept { return broken_; }

private:
    fl_ring* ring_ = nullptr;
    fl_slot* slots_ = nullptr;
    std::uint32_t entries_ = 0;
    std::uint32_t head_ = 0;
    std::uint32_t released_ = 0;
    bool broken_ = false;
};

/// The side that reads slots and says when they may be written again.
class Consumer {
public:
    Consumer() noexcept = default;
    Consumer(fl_ring& ring, fl_slot* slots, std::uint32_t entries, std::uint32_t tail, std::uint32_t released) noexcept
        : ring_(&ring), slots_(slots), entries_(entries), tail_(tail), released_(released) {}

    [[nodiscard]] std::uint32_t tail() const noexcept { return tail_; }
    [[nodiscard]] std::uint32_t released() const noexcept { return released_; }
    [[nodiscard]] std::uint32_t entries() const noexcept { return entries_; }
    /// Slots written and not read. A head that can not be true sets broken().
    [[nodiscard]] std::uint32_t available() noexcept {
        const std::uint32_t head = load_acquire(ring_->head);
        if (head - released_ > entries_ || head - tail_ > entries_) {
            broken_ = true;
            return 0;
        }
        return head - tail_;
    }
    [[nodiscard]] fl_slot& at(std::uint32_t count) noexcept { return slots_[count & (entries_ - 1)]; }
    void advance() noexcept { store_release(ring_->tail, ++tail_); }
    /// Every slot below `count` may be written again.
    void release_to(std::uint32_t count) noexcept {
        released_ = count;
        store_release(ring_->released, count);
    }
    [[nodiscard]] bool broken() const noexcept { return broken_; }

private:
    fl_ring* ring_ = nullptr;
    fl_slot* slots_ = nullptr;
    std::uint32_t entries_ = 0;
    std::uint32_t tail_ = 0;
    std::uint32_t released_ = 0;
    bool broken_ = false;
};

/// Sizes of a channel, chosen by the daemon.
struct Geometry {
    std::uint32_t submit_entries = 1024;
    std::uint32_t complete_entries = 512;
    std::uint32_t staging_bytes = 1 << 20;

    [[nodiscard]] bool valid() const noexcept {
        const auto ring = [](std::uint32_t n) {
            return std::has_single_bit(n) && n >= FL_RING_MIN_ENTRIES && n <= FL_RING_MAX_ENTRIES;
        };
        return ring(submit_entries) && ring(complete_entries) && staging_bytes >= 64 * 1024 &&
               staging_bytes <= (64U << 20) && staging_bytes % 4096 == 0;
    }
    [[nodiscard]] std::uint32_t submit_offset() const noexcept { return FL_CHANNEL_HEADER_BYTES; }
    [[nodiscard]] std::uint32_t complete_offset() const noexcept {
        return submit_offset() + submit_entries * static_cast<std::uint32_t>(sizeof(fl_slot));
    }
    [[nodiscard]] std::uint32_t staging_offset() const noexcept {
        const std::uint32_t end = complete_offset() + complete_entries * static_cast<std::uint32_t>(sizeof(fl_slot));
        return (end + 4095U) & ~4095U;
    }
    [[nodiscard]] std::uint32_t total_bytes() const noexcept { return staging_offset() + staging_bytes; }
    friend bool operator==(const Geometry&, const Geometry&) = default;
};

/// The parts of the shared memory; every offset comes from `geometry`, none from the memory.
struct Layout {
    std::byte* base = nullptr;
    Geometry geometry;

    [[nodiscard]] fl_channel& header() const noexcept { return *reinterpret_cast<fl_channel*>(base); }
    [[nodiscard]] fl_slot* submit_slots() const noexcept {
        return reinterpret_cast<fl_slot*>(base + geometry.submit_offset());
    }
    [[nodiscard]] fl_slot* complete_slots() const noexcept {
        return reinterpret_cast<fl_slot*>(base + geometry.complete_offset());
    }
    [[nodiscard]] std::span<std::byte> staging() const noexcept {
        return {base + geometry.staging_offset(), geometry.staging_bytes};
    }
};

}  // namespace farlane::channel
