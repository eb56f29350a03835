// SPDX-License-Identifier: Apache-2.0
// Receives: lines for the log that a client can provoke. Hands on: a few at once, then one now and then, and how many
// were left out. Owns: the count.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace farlane::backend {

class LogLimit {
public:
    using Time = std::chrono::nanoseconds;  ///< of a monotonic clock
    static constexpr std::uint64_t kAtOnce = 10;
    static constexpr Time kBetween = std::chrono::seconds(1);

    /// `what` they are about, in the plural.
    explicit LogLimit(std::string what) : what_(std::move(what)) {}
    /// The line, with what was left out before it; none: it is left out itself.
    [[nodiscard]] std::optional<std::string> take(Time now, const std::string& line);
    /// What was left out and no later line has told; to be asked now and then.
    [[nodiscard]] std::optional<std::string> rest(Time now);
    /// The same at the end, when there is no later.
    [[nodiscard]] std::optional<std::string> last();

private:
    [[nodiscard]] bool may(Time now) noexcept;
    [[nodiscard]] std::string left_out();

    std::string what_;
    std::uint64_t free_ = kAtOnce, left_out_ = 0;
    std::optional<Time> since_;  ///< one more is free kBetween later; none: all are
};

}  // namespace farlane::backend
