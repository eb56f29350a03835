// SPDX-License-Identifier: Apache-2.0
// Receives: a measurement of ours and of its limit. Hands on: the same, made while both cores stayed where they were.
// Owns: nothing.
#pragma once

#include <functional>
#include <vector>

#include "report.hpp"

namespace farlane::bench {

/// On a shared machine virtual cores are moved, near each other or far, within seconds, and whatever is handed from one
/// to the other takes two to four times as long then: what was measured before stands beside nothing. How far they are
/// is seen with a cache line, which knows nothing of what is measured.
class Cores {
public:
    /// To be called before each part of a measurement and behind the last.
    void look();
    /// A line took about as long each time.
    [[nodiscard]] bool stayed() const;
    [[nodiscard]] double line_ns() const { return median(lines_ns_); }

private:
    std::vector<double> lines_ns_;
};

/// Figures of `measure`, which looks at the cores between its parts; again, at most twice, when they were moved
/// meanwhile. `more` is told where they were, how often it was done again, and how often in vain.
[[nodiscard]] std::vector<double> measured_still(json& more, const std::function<std::vector<double>(Cores&)>& measure);

}  // namespace farlane::bench
