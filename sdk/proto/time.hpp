// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the time type of the protocol. Owns: nothing.
// The protocol never reads a clock: the caller passes `now` into every call.
#pragma once

#include <chrono>
#include <cstdint>

namespace farlane::proto {

struct Clock {  // names the epoch only: monotonic, any origin
    using rep = std::int64_t;
    using period = std::nano;
    using duration = std::chrono::nanoseconds;
    using time_point = std::chrono::time_point<Clock>;
    static constexpr bool is_steady = true;
};

using Time = Clock::time_point;
using Duration = Clock::duration;
constexpr Time kNever = Time::max();

}  // namespace farlane::proto
