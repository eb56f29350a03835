// SPDX-License-Identifier: Apache-2.0
// Receives: faults as they are made, answers as they come. Hands on: what excuses an answer that did not come, and how
// long work stood still after each kind of fault. Owns: the record. Any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "chaos/plan.hpp"

namespace farlane::chaos {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

/// From the end of a fault to the next answer, of all faults of one kind.
struct Stall {
    std::uint64_t measured = 0;  ///< faults that no other one followed before the answer
    double longest_ms = 0;
    double bound_ms = 0;  ///< docs/failures.md, for the longest one and the weather it had
    std::uint64_t beyond = 0;
};

class Chronicle {
public:
    // --- the stage
    void round_begins();
    /// Said before it is done; returns its number in this round.
    [[nodiscard]] std::size_t begins(const Fault& fault);
    /// Its daemon is gone.
    void daemon_gone(std::size_t number);
    /// It is undone; from here on answers are waited for. `round_trip`: of the link now.
    void over(std::size_t number, Milliseconds round_trip);

    // --- the loads
    void answered();
    /// A daemon ended between `since` and now, or is about to.
    [[nodiscard]] bool daemon_ended_since(Time since) const;
    /// Something was wrong with daemons or link between `since` and now, or shortly before.
    [[nodiscard]] bool disturbed_since(Time since) const;

    // --- the report
    [[nodiscard]] bool initiator_ended_in_round() const;
    [[nodiscard]] std::array<std::uint64_t, kFaultKinds> made() const;
    [[nodiscard]] std::array<Stall, kFaultKinds> stalls() const;
    /// The faults of this round with their times, a line each.
    [[nodiscard]] std::string text() const;

private:
    struct Entry {
        Fault fault;
        Time begun{};
        std::optional<Time> gone, over;
    };
    struct Pending {
        FaultKind kind;
        Time over;
        double bound_ms;
    };
    [[nodiscard]] double since_round_ms(Time t) const;

    mutable std::mutex mutex_;
    Time round_begun_{};
    std::vector<Entry> round_;
    std::optional<Pending> pending_;
    std::array<std::uint64_t, kFaultKinds> made_{};
    std::array<Stall, kFaultKinds> stalls_{};
};

}  // namespace farlane::chaos
