// SPDX-License-Identifier: Apache-2.0
// Receives: lines for the log that a client can provoke. Hands on: a few at once, then one now and then, and how many
// were left out. Owns: the count.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lane/lane.hpp"

namespace farlane::daemon {

class LogLimit {
public:
    static constexpr std::uint64_t kAtOnce = 10;
    static constexpr lane::Duration kBetween = std::chrono::seconds(1);

    /// `what` they are about, in the plural.
    explicit LogLimit(std::string what) : what_(std::move(what)) {}
    /// The line, with what was left out before it; none: it is left out itself.
    [[nodiscard]] std::optional<std::string> take(lane::Time now, const std::string& line);
    /// What was left out and no later line has told; to be asked now and then.
    [[nodiscard]] std::optional<std::string> rest(lane::Time now);

private:
    [[nodiscard]] bool may(lane::Time now) noexcept;
    [[nodiscard]] std::string left_out();

    std::string what_;
    std::uint64_t free_ = kAtOnce, left_out_ = 0;
    std::optional<lane::Time> since_;  ///< one more is free kBetween later; none: all are
};

}  // namespace farlane::daemon
