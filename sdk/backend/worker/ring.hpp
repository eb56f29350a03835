// SPDX-License-Identifier: Apache-2.0
// Receives: records. Hands on: copies of them, in order. Owns: its own count; the ring is shared with a process that
// may write anything into it at any time, so whatever is read is copied and bounded first.
#pragma once

#include <cstring>
#include <initializer_list>
#include <span>

#include "backend/worker/protocol.hpp"

namespace farlane::backend::worker {

template <class T>
[[nodiscard]] std::span<const std::byte> bytes_of(const T& value) noexcept {
    static_assert(std::is_trivially_copyable_v<T>);
    return std::as_bytes(std::span(&value, 1));
}

[[nodiscard]] constexpr std::size_t padded(std::size_t bytes) noexcept {
    return (bytes + 7) / 8 * 8;
}

class RingWriter {
public:
    RingWriter() noexcept = default;
    RingWriter(RingCounts& counts, std::span<std::byte> bytes) noexcept : counts_(&counts), bytes_(bytes) {}

    /// Room for a record with this much behind its head. A reader that lies about its count has none.
    [[nodiscard]] bool has_room(std::size_t payload) const noexcept {
        const std::uint32_t used = tail_ - counts_->head.load(std::memory_order_acquire);
        return used <= bytes_.size() && sizeof(Record) + padded(payload) <= bytes_.size() - used;
    }
    /// False: no room. Nothing is published before publish().
    bool write(std::uint32_t type, std::initializer_list<std::span<const std::byte>> parts) noexcept {
        std::size_t payload = 0;
        for (const auto part : parts) payload += part.size();
        if (!has_room(payload)) return false;
        const Record head{static_cast<std::uint32_t>(sizeof(Record) + padded(payload)), type};
        std::uint32_t at = tail_;
        put(at, bytes_of(head));
        for (const auto part : parts) put(at, part);
        tail_ += head.bytes;
        return true;
    }
    void publish() noexcept { counts_->tail.store(tail_, std::memory_order_release); }

private:
    void put(std::uint32_t& at, std::span<const std::byte> part) noexcept {
        const std::size_t begin = at & (bytes_.size() - 1);
        const std::size_t first = std::min(part.size(), bytes_.size() - begin);
        if (first != 0) std::memcpy(bytes_.data() + begin, part.data(), first);
        if (first != part.size()) std::memcpy(bytes_.data(), part.data() + first, part.size() - first);
        at += static_cast<std::uint32_t>(part.size());
    }

    RingCounts* counts_ = nullptr;
    std::span<std::byte> bytes_;
    std::uint32_t tail_ = 0;
};

class RingReader {
public:
    enum class Read : std::uint8_t { none, record, broken };

    RingReader() noexcept = default;
    RingReader(RingCounts& counts, std::span<const std::byte> bytes) noexcept : counts_(&counts), bytes_(bytes) {}

    [[nodiscard]] bool empty() const noexcept { return counts_->tail.load(std::memory_order_acquire) == head_; }
    [[nodiscard]] std::uint32_t count() const noexcept { return head_; }

    /// Copies the next record without its head into `to`; broken: it is not one, or does not fit.
    [[nodiscard]] Read read(std::uint32_t& type, std::span<std::byte> to, std::size_t& payload) noexcept {
        const std::uint32_t there = counts_->tail.load(std::memory_order_acquire) - head_;
        if (there == 0) return Read::none;
        if (there > bytes_.size() || there < sizeof(Record)) return Read::broken;
        Record head;
        std::uint32_t at = head_;
        get(at, std::as_writable_bytes(std::span(&head, 1)));
        if (head.bytes % 8 != 0 || head.bytes < sizeof(Record) || head.bytes > there) return Read::broken;
        payload = head.bytes - sizeof(Record);
        if (payload > to.size()) return Read::broken;
        get(at, to.first(payload));
        type = head.type;
        head_ += head.bytes;
        counts_->head.store(head_, std::memory_order_release);
        return Read::record;
    }

private:
    void get(std::uint32_t& at, std::span<std::byte> to) noexcept {
        const std::size_t begin = at & (bytes_.size() - 1);
        const std::size_t first = std::min(to.size(), bytes_.size() - begin);
        if (first != 0) std::memcpy(to.data(), bytes_.data() + begin, first);
        if (first != to.size()) std::memcpy(to.data() + first, bytes_.data(), to.size() - first);
        at += static_cast<std::uint32_t>(to.size());
    }

    RingCounts* counts_ = nullptr;
    std::span<const std::byte> bytes_;
    std::uint32_t head_ = 0;
};

/// A struct at the start of a record's payload, and what follows it. False: the record is shorter.
template <class T>
[[nodiscard]] bool take(std::span<const std::byte>& payload, T& value) noexcept {
    static_assert(std::is_trivially_copyable_v<T>);
    if (payload.size() < sizeof(T)) return false;
    std::memcpy(&value, payload.data(), sizeof(T));
    payload = payload.subspan(sizeof(T));
    return true;
}

}  // namespace farlane::backend::worker
