// SPDX-License-Identifier: Apache-2.0
// Receives: posted records of the peer that are not the next one, or not whole. Hands on: them,
// whole and in order, when their turn comes. Owns: the reorder window and its payloads, bounded
// by the credits given. docs/wire.md, "Order".
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "proto/codec.hpp"
#include "proto/granules.hpp"
#include "proto/reorder_pool.hpp"

namespace farlane::proto {

class PostedIn {
public:
    struct Slot {
        std::uint64_t sequence = 0;  ///< 0 = nothing of it has arrived
        std::uint64_t received = 0;  ///< granules
        Tlp tlp;
        std::byte* block = nullptr;  ///< payload of more than 64 bytes, strict records only
        std::array<std::byte, FL_TLP_INLINE_BYTES> inlined;
        [[nodiscard]] bool whole() const noexcept { return received == all_granules(tlp.length_bytes); }
        [[nodiscard]] std::span<const std::byte> payload() const noexcept {
            return {block != nullptr ? block : inlined.data(), tlp.length_bytes};
        }
    };
    enum class Taken : std::uint8_t {
        news,       ///< `fresh` granules had not arrived before
        duplicate,  ///< all there already
        mismatch,   ///< differs from an earlier part of the same record
        no_memory,  ///< more than the credits allow, or none left
    };

    /// `placed`: everything up to it has been executed. `window`: a power of two.
    PostedIn(std::uint64_t placed, std::uint32_t window, std::uint32_t reorder_bytes);

    [[nodiscard]] std::uint64_t placed() const noexcept { return placed_; }
    [[nodiscard]] std::uint32_t window() const noexcept { return window_; }
    [[nodiscard]] std::uint32_t reorder_bytes() const noexcept { return reorder_bytes_; }
    [[nodiscard]] bool beyond(std::uint64_t sequence) const noexcept { return sequence - placed_ > window_; }
    /// Nothing is waiting behind placed().
    [[nodiscard]] bool idle() const noexcept { return pending_ == 0; }
    /// A part of record `sequence` (placed() < sequence <= placed() + window()) is here already.
    [[nodiscard]] bool has_part(std::uint64_t sequence) const noexcept {
        return pending_ != 0 && sequence - placed_ <= kept_->ring.size() && kept_->at(sequence).sequence == sequence;
    }

    /// Notes a record or a part; keeps the payload when `keep` (a strict one). `fresh` = the
    /// granules of this part that had not arrived before.
    [[nodiscard]] Taken take(const TlpRecord& r, bool keep, std::uint64_t& fresh);
    /// The record behind placed() if it is here whole, else null.
    [[nodiscard]] const Slot* ready() noexcept {
        if (pending_ == 0) return nullptr;
        const Slot& s = kept_->at(placed_ + 1);
        return s.sequence == placed_ + 1 && s.whole() ? &s : nullptr;
    }
    /// The record behind placed() has been executed straight from its frame.
    void advance() noexcept { ++placed_; }
    /// The record that ready() gave has been executed.
    void advance_kept() noexcept;

    /// The origin forgot what had not been placed: so does this side.
    void forget_pending() noexcept;
    void restart(std::uint64_t placed) noexcept;

private:
    struct Kept {
        explicit Kept(std::uint32_t reorder_bytes) : pool(reorder_bytes) {}
        [[nodiscard]] Slot& at(std::uint64_t sequence) noexcept { return ring[sequence & (ring.size() - 1)]; }
        void grow_to(std::uint64_t distance);

        std::vector<Slot> ring;
        ReorderPool pool;
    };
    void clear(Slot& s) noexcept;

    std::uint64_t placed_;
    std::uint32_t window_;
    std::uint32_t pending_ = 0;   // slots in use
    std::unique_ptr<Kept> kept_;  // made when something comes early or in parts
    std::uint32_t reorder_bytes_;
};

}  // namespace farlane::proto
