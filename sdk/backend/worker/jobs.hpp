// SPDX-License-Identifier: Apache-2.0
// Receives: jobs. Hands on: slots for them, which a worker can name. Owns: the slots. One thread (the lane).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "backend/executor.hpp"
#include "backend/worker/protocol.hpp"

namespace farlane::backend::worker {

enum class JobKind : std::uint8_t {
    commit,
    scrub,
    load,
    bind,
    launch,
    copy,  ///< and fill
    close,
    clear,      ///< scrub_all
    clear_end,  ///< one context's part of it; nobody outside knows it
};
enum class JobPlace : std::uint8_t { worker, janitor };

struct Job {
    static constexpr std::uint32_t kNone = ~std::uint32_t{0};
    std::uint64_t number = 0;  ///< the caller's
    std::uint32_t generation = 0;
    JobOwner owner;
    JobKind kind = JobKind::commit;
    JobPlace place = JobPlace::worker;
    bool used = false;
    bool canceled = false;
    std::uint32_t next = kNone, previous = kNone;  ///< of its stream
    std::uint32_t handle = 0;                      ///< of the module or kernel
    const char* builtin = nullptr;                 ///< load, bind: of the built-in module
    std::uint64_t address = 0, bytes = 0;
    std::uint64_t given_ns = 0;
};

/// Slots by the caller's number: open addressing, at most half full.
class JobIndex {
public:
    explicit JobIndex(std::uint32_t count) : entries_(std::bit_ceil(std::size_t{count} * 2 + 2)) {}
    void put(std::uint64_t number, std::uint32_t slot) noexcept {
        std::size_t at = home(number);
        while (entries_[at].slot != Job::kNone) at = next(at);
        entries_[at] = {number, slot};
    }
    [[nodiscard]] std::uint32_t find(std::uint64_t number) const noexcept {
        std::size_t at = home(number);
        while (entries_[at].slot != Job::kNone && entries_[at].number != number) at = next(at);
        return entries_[at].slot;
    }
    /// Of several with one number, the one with this slot.
    void remove(std::uint64_t number, std::uint32_t slot) noexcept {
        std::size_t hole = home(number);
        while (entries_[hole].slot != slot) {
            if (entries_[hole].slot == Job::kNone) return;
            hole = next(hole);
        }
        // What had to go further because this place was taken comes back.
        for (std::size_t at = next(hole); entries_[at].slot != Job::kNone; at = next(at)) {
            const std::size_t wanted = home(entries_[at].number);
            const bool stays = hole < at ? wanted > hole && wanted <= at : wanted > hole || wanted <= at;
            if (stays) continue;
            entries_[hole] = entries_[at];
            hole = at;
        }
        entries_[hole] = {};
    }

private:
    struct Entry {
        std::uint64_t number = 0;
        std::uint32_t slot = Job::kNone;
    };
    [[nodiscard]] std::size_t home(std::uint64_t number) const noexcept {
        return (number * 0x9e3779b97f4a7c15 >> 32) & (entries_.size() - 1);
    }
    [[nodiscard]] std::size_t next(std::size_t at) const noexcept { return (at + 1) & (entries_.size() - 1); }
    std::vector<Entry> entries_;
};

class Jobs {
public:
    explicit Jobs(std::uint32_t count) : slots_(count), index_(count) {
        free_.reserve(count);
        for (std::uint32_t i = count; i-- > 0;) free_.push_back(i);
    }
    /// The caller keeps to max_jobs, so there is one.
    [[nodiscard]] std::uint32_t take(std::uint64_t number, JobKind kind, const JobOwner& owner) noexcept {
        const std::uint32_t slot = free_.back();
        free_.pop_back();
        Job& job = slots_[slot];
        const std::uint32_t generation = job.generation + 1;
        job = {};
        job.number = number;
        job.generation = generation;
        job.owner = owner;
        job.kind = kind;
        job.used = true;
        index_.put(number, slot);
        return slot;
    }
    void give_back(std::uint32_t slot) noexcept {
        index_.remove(slots_[slot].number, slot);
        slots_[slot].used = false;
        free_.push_back(slot);
    }
    [[nodiscard]] Job& operator[](std::uint32_t slot) noexcept { return slots_[slot]; }
    [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(slots_.size()); }
    [[nodiscard]] Token token(std::uint32_t slot) const noexcept { return {slot, slots_[slot].generation}; }
    /// kNone: there is none of that number.
    [[nodiscard]] std::uint32_t find(std::uint64_t number) const noexcept { return index_.find(number); }
    /// What a worker named, if it is a job that this worker has.
    [[nodiscard]] Job* find(const Token& token, std::uint32_t context) noexcept {
        if (token.slot >= slots_.size()) return nullptr;
        Job& job = slots_[token.slot];
        const bool is = job.used && job.generation == token.generation && job.owner.context == context &&
                        job.place == JobPlace::worker;
        return is ? &job : nullptr;
    }

private:
    std::vector<Job> slots_;
    std::vector<std::uint32_t> free_;
    JobIndex index_;
};

}  // namespace farlane::backend::worker
