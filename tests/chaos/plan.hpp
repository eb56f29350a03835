// SPDX-License-Identifier: Apache-2.0
// Receives: a seed and the number of a round. Hands on: which faults that round has, and when. Owns: nothing.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace farlane::chaos {

using Milliseconds = std::chrono::milliseconds;

enum class FaultKind : std::uint8_t {
    kill_initiator,     ///< kill -9 of the initiator's farlaned, and a new one
    kill_target,        ///< the same of the target's
    kill_both,          ///< both at once; one of them, by chance, is back first
    restart_initiator,  ///< SIGTERM, its end, and a new one
    restart_target,
    freeze_initiator,  ///< SIGSTOP, SIGCONT
    freeze_target,
    cut,      ///< no frame passes, those on their way are lost, too
    cut_one,  ///< only one direction is cut
    weather,  ///< frames are late, lost, doubled, out of order, corrupted
};
constexpr std::size_t kFaultKinds = static_cast<std::size_t>(FaultKind::weather) + 1;
[[nodiscard]] std::string_view name(FaultKind kind) noexcept;
/// A daemon ends with it: what was in flight there may be in doubt.
[[nodiscard]] bool ends_a_daemon(FaultKind kind) noexcept;

/// What a link does to frames, per cent and milliseconds.
struct Weather {
    unsigned loss = 0, duplicated = 0, reordered = 0, corrupted = 0;
    unsigned delay_ms = 0, jitter_ms = 0, reordered_by_ms = 0;
    [[nodiscard]] std::string text() const;
    /// The longest that a frame and its answer take, when neither is lost.
    [[nodiscard]] Milliseconds round_trip() const noexcept {
        return Milliseconds(2 * (delay_ms + jitter_ms + reordered_by_ms));
    }
};

struct Fault {
    FaultKind kind = FaultKind::cut;
    Milliseconds begins{0};  ///< from the begin of the round
    Milliseconds lasts{0};   ///< until it is undone: a daemon started, a link healed
    bool second = false;     ///< kill_both: the target is back first; cut_one: of the way to the initiator
    Weather weather;         ///< of weather
    [[nodiscard]] std::string text() const;
};

struct Plan {
    std::uint64_t seed = 0;
    unsigned round = 0;
    bool attach_anew = false;   ///< the loads detach before it, and attach again
    std::vector<Fault> faults;  ///< in the order in which they begin; two of one daemon or of the link never overlap
};

/// Depends on nothing else.
[[nodiscard]] Plan make_plan(std::uint64_t seed, unsigned round);

/// Of every fault; far below the grace of the sessions, so that nothing is ever lost.
constexpr Milliseconds kLongestFault{1500};

}  // namespace farlane::chaos
