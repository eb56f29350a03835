// SPDX-License-Identifier: Apache-2.0
// Receives: reads of registers. Hands on: their answers, or none where docs/failures.md allows none. Owns: the counts.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>

#include <farlane/status.hpp>

#include "chaos/chronicle.hpp"

namespace farlane::chaos {

/// Something that the failure contract rules out has happened.
class Broken : public std::runtime_error {
    using runtime_error::runtime_error;
};

struct ReadCounts {
    std::atomic<std::uint64_t> answered{0};
    std::atomic<std::uint64_t> in_doubt{0};    ///< aborted
    std::atomic<std::uint64_t> timed_out{0};   ///< all-ones
    std::atomic<std::uint64_t> refused{0};     ///< all-ones at once, while nothing has been answered since a timeout
    std::atomic<std::uint64_t> unprovoked{0};  ///< ... without a fault that would explain it: the machine was slow
};

class Reader {
public:
    Reader(Chronicle& chronicle, Milliseconds completion_timeout)
        : chronicle_(chronicle), completion_timeout_(completion_timeout) {}

    /// The value; nothing when it was aborted or timed out as it may be. Throws Broken, farlane::Error.
    [[nodiscard]] std::optional<std::uint64_t> ask(const std::function<std::uint64_t()>& read);
    /// Until it is answered. For registers that a read does not change.
    [[nodiscard]] std::uint64_t insist(const std::function<std::uint64_t()>& read);
    /// The last one that was not answered was never sent.
    [[nodiscard]] bool was_refused() const noexcept { return was_refused_; }
    [[nodiscard]] const ReadCounts& counts() const noexcept { return counts_; }

private:
    void judge(Status status, Time begun);

    Chronicle& chronicle_;
    Milliseconds completion_timeout_;
    ReadCounts counts_;
    bool silent_ = false;  ///< a read timed out, and none was answered since
    bool was_refused_ = false;
};

}  // namespace farlane::chaos
