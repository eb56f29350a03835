// SPDX-License-Identifier: Apache-2.0
// Receives: for each number the time at which it wants a turn. Hands on: the earliest. Owns: one entry a number,
// whatever happens to its time: a heap whose members know their places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "proto/time.hpp"

namespace farlane::lane {

class TimerHeap {
public:
    using Time = proto::Time;

    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
    /// kNever when it is empty.
    [[nodiscard]] Time first() const noexcept { return entries_.empty() ? proto::kNever : entries_[0].at; }
    /// Precondition: not empty.
    [[nodiscard]] std::uint32_t first_number() const noexcept { return entries_[0].number; }
    [[nodiscard]] Time at(std::uint32_t number) const noexcept {
        return has(number) ? entries_[place_[number]].at : proto::kNever;
    }
    /// kNever takes it out. Numbers are small: memory is as large as the largest.
    void set(std::uint32_t number, Time at) {
        if (at == proto::kNever) return remove(number);
        if (!has(number)) {
            if (number >= place_.size()) place_.resize(std::size_t{number} + 1, kNone);
            place_[number] = static_cast<std::uint32_t>(entries_.size());
            entries_.push_back({at, number});
        } else {
            entries_[place_[number]].at = at;
        }
        settle(place_[number]);
    }

private:
    static constexpr std::uint32_t kNone = ~std::uint32_t{0};
    struct Entry {
        Time at;
        std::uint32_t number;
    };

    [[nodiscard]] bool has(std::uint32_t number) const noexcept {
        return number < place_.size() && place_[number] != kNone;
    }
    void remove(std::uint32_t number) noexcept {
        if (!has(number)) return;
        const std::uint32_t hole = std::exchange(place_[number], kNone);
        const Entry last = entries_.back();
        entries_.pop_back();
        if (hole == entries_.size()) return;
        entries_[hole] = last;
        place_[last.number] = hole;
        settle(hole);
    }
    void swap(std::uint32_t a, std::uint32_t b) noexcept {
        std::swap(entries_[a], entries_[b]);
        place_[entries_[a].number] = a;
        place_[entries_[b].number] = b;
    }
    // Up or down, until its parent is not later and no child is earlier.
    void settle(std::uint32_t i) noexcept {
        while (i != 0 && entries_[i].at < entries_[(i - 1) / 2].at) {
            swap(i, (i - 1) / 2);
            i = (i - 1) / 2;
        }
        for (;;) {
            std::uint32_t least = i;
            for (std::uint32_t child = 2 * i + 1; child <= 2 * i + 2 && child < entries_.size(); ++child)
                if (entries_[child].at < entries_[least].at) least = child;
            if (least == i) return;
            swap(i, least);
            i = least;
        }
    }

    std::vector<Entry> entries_;
    std::vector<std::uint32_t> place_;  // by number
};

}  // namespace farlane::lane
