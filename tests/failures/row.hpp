// SPDX-License-Identifier: Apache-2.0
// Receives: how long it took from a cause to its effect. Hands on: a line for the table of the failure contract
// (docs/failures.md), and a verdict. Owns: nothing.
//
// A line is `contract: KEY measured N ms, bound N ms`; table.py collects them. The bound is what the page promises on a
// machine that has time for it. A test fails only far beyond it, for tests run on machines that have none: at ten times
// the bound or at the bound and five seconds, whichever is more.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include <gtest/gtest.h>

namespace farlane::test {

using Milliseconds = std::chrono::duration<double, std::milli>;

/// What "at once" means between two processes.
inline constexpr Milliseconds kAtOnce{100};

[[nodiscard]] constexpr Milliseconds patience(Milliseconds bound) {
    return std::max(bound * 10, bound + std::chrono::seconds(5));
}

/// A row of the contract. Judged with patience.
inline void row(std::string_view key, Milliseconds took, Milliseconds bound) {
    std::printf("\ncontract: %.*s measured %.1f ms, bound %.0f ms\n", static_cast<int>(key.size()), key.data(),
                took.count(), bound.count());
    (void)std::fflush(stdout);
    EXPECT_LE(took, patience(bound)) << key << ": " << took.count() << " ms";
}

/// A row whose clock is simulated: the machine's load means nothing, the bound is the verdict.
inline void simulated_row(std::string_view key, Milliseconds took, Milliseconds bound) {
    std::printf("\ncontract: %.*s measured %.1f ms, bound %.0f ms, simulated time\n", static_cast<int>(key.size()),
                key.data(), took.count(), bound.count());
    (void)std::fflush(stdout);
    EXPECT_LE(took, bound) << key;
}

/// Memory that a fault made a process grow by.
inline void memory_row(std::string_view key, std::int64_t grown_bytes, std::int64_t bound_bytes) {
    constexpr double kMiB = 1 << 20;
    std::printf("\ncontract: %.*s measured %.1f MiB, bound %.0f MiB\n", static_cast<int>(key.size()), key.data(),
                static_cast<double>(grown_bytes) / kMiB, static_cast<double>(bound_bytes) / kMiB);
    (void)std::fflush(stdout);
    EXPECT_LE(grown_bytes, bound_bytes) << key;
}

/// From its construction on, or from start().
class Stopwatch {
public:
    using Clock = std::chrono::steady_clock;
    void start() { from_ = Clock::now(); }
    [[nodiscard]] Milliseconds took() const { return Clock::now() - from_; }

private:
    Clock::time_point from_ = Clock::now();
};

}  // namespace farlane::test
