// SPDX-License-Identifier: Apache-2.0
// Receives: jobs. Hands on: slots for them, which a worker can name. Owns: the slots. One thread (the lane).
#pragma once

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

class Jobs {
public:
    explicit Jobs(std::uint32_t count) : slots_(count) {
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
        return slot;
    }
    void give_back(std::uint32_t slot) noexcept {
        slots_[slot].used = false;
        free_.push_back(slot);
    }
    [[nodiscard]] Job& operator[](std::uint32_t slot) noexcept { return slots_[slot]; }
    [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(slots_.size()); }
    [[nodiscard]] Token token(std::uint32_t slot) const noexcept { return {slot, slots_[slot].generation}; }
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
};

}  // namespace farlane::backend::worker
