// SPDX-License-Identifier: Apache-2.0
// Receives: lines for the log that a client can provoke. Hands on: few of them. Owns: see the header.
#include "backend/log_limit.hpp"

#include <algorithm>
#include <utility>

namespace farlane::backend {

bool LogLimit::may(Time now) noexcept {
    if (since_ && now - *since_ >= kBetween) {
        const auto more = static_cast<std::uint64_t>((now - *since_) / kBetween);
        free_ = std::min(kAtOnce, free_ + std::min(more, kAtOnce));
        *since_ = now;
        if (free_ == kAtOnce) since_.reset();
    }
    if (free_ == 0) return false;
    --free_;
    if (!since_) since_ = now;
    return true;
}

std::string LogLimit::left_out() {
    return "and " + std::to_string(std::exchange(left_out_, 0)) + " more " + what_;
}

std::optional<std::string> LogLimit::take(Time now, const std::string& line) {
    if (!may(now)) {
        ++left_out_;
        return std::nullopt;
    }
    return left_out_ == 0 ? line : line + "; " + left_out();
}

std::optional<std::string> LogLimit::rest(Time now) {
    if (left_out_ == 0 || !may(now)) return std::nullopt;
    return left_out();
}

std::optional<std::string> LogLimit::last() {
    if (left_out_ == 0) return std::nullopt;
    return left_out();
}

}  // namespace farlane::backend
