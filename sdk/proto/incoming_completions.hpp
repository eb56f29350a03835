// SPDX-License-Identifier: Apache-2.0
// Receives: completions of the peer, in any order and in parts. Hands on: which are whole, and
// which may be told. Owns: what has arrived of them; the data goes straight to the requester.
// docs/wire.md, "Completions".
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "proto/granules.hpp"
#include "proto/memory.hpp"

namespace farlane::proto {

class CompletionsIn {
public:
    static constexpr std::uint32_t kWindow = kRequestWindow;
    struct Slot {
        std::uint64_t sequence = 0;  ///< 0 = nothing of it is here
        std::uint64_t received = 0;  ///< granules
        std::uint64_t follows_posted = 0;
        std::uint32_t tag = 0;
        std::uint16_t length_bytes = 0;
        std::uint8_t code = 0;
        bool waiting = false;  ///< whole; held back until follows_posted is placed
        bool done = false;     ///< told, or nobody waits for it
    };

    explicit CompletionsIn(std::uint64_t released) : released_(released) {}

    [[nodiscard]] std::uint64_t released() const noexcept { return released_; }
    [[nodiscard]] bool beyond(std::uint64_t sequence) const noexcept { return sequence - released_ > kWindow; }
    [[nodiscard]] Slot& at(std::uint64_t sequence) noexcept { return (*slots_)[sequence % kWindow]; }
    /// Nothing is here but what has been released.
    [[nodiscard]] bool idle() const noexcept { return pending_ == 0; }
    void open(Slot& s, std::uint64_t sequence) noexcept {
        s = Slot{};
        s.sequence = sequence;
        ++pending_;
    }
    /// The next one in order was told straight from its frame.
    void advance() noexcept { ++released_; }
    /// Releases what is done from the old end on.
    void advance_done() noexcept {
        while (pending_ != 0) {
            Slot& s = at(released_ + 1);
            if (s.sequence != released_ + 1 || !s.done) return;
            s.sequence = 0;
            --pending_;
            ++released_;
        }
    }
    /// The peer's posted sequences begin again behind what is placed, so what follows them does
    /// not hold: the peer sends everything that was not told again.
    void forget_held() noexcept {
        waiting = 0;
        for (Slot& s : *slots_) {
            if (s.sequence == 0 || s.done) continue;
            s.sequence = 0;
            --pending_;
        }
    }
    unsigned waiting = 0;  ///< slots that are held back

    void restart(std::uint64_t released) noexcept {
        for (Slot& s : *slots_) s.sequence = 0;
        pending_ = waiting = 0;
        released_ = released;
    }

private:
    std::uint64_t released_;
    std::uint32_t pending_ = 0;
    // Elsewhere: only what comes early or in parts needs it. Made here: later there is nobody to tell that it failed.
    std::unique_ptr<std::array<Slot, kWindow>> slots_ = std::make_unique<std::array<Slot, kWindow>>();
};

}  // namespace farlane::proto
