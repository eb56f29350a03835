// SPDX-License-Identifier: Apache-2.0
// Receives: the time. Hands on: requests that had no answer in time, with all-ones data.
// Owns: nothing more. Cold. docs/wire.md, "Completion timeout".
#include <algorithm>
#include <cstring>

#include "proto/function_core.hpp"
#include "proto/session_core.hpp"

namespace farlane::proto {

Duration FunctionCore::completion_timeout() const noexcept {
    const Duration rtt = session != nullptr ? session->smoothed_rtt() : Duration::zero();
    return std::min<Duration>(limits.completion_timeout_max, limits.completion_timeout + rtt * 16);
}

Time FunctionCore::next_deadline() noexcept {
    const std::uint32_t oldest = requests_out.oldest_waiting();
    return oldest == RequestsOut::kNone ? kNever : requests_out.slot(oldest).submitted + completion_timeout();
}

// The record stays until the peer has executed it: its sequence must reach the peer, and a late
// answer must find nobody. After the first one further requests fail at once, until the session
// answers: a loop that polls must not add timeouts up.
void FunctionCore::expire(Time now) noexcept {
    while (next_deadline() <= now) {
        const std::uint32_t s = requests_out.oldest_waiting();
        const RequestRecord& q = requests_out.slot(s);
        if (q.into_bytes != 0) std::memset(q.into, 0xff, q.into_bytes);
        const std::uint64_t cookie = q.cookie;
        const Tlp about = q.tlp;
        requests_out.settle(s, false);
        ++counters.timeouts;
        const bool first = !quarantined;
        quarantined = true;
        if (session != nullptr) session->quarantine(*this);
        handler.on_completion(self, cookie, Status::timeout);
        handler.on_event(self, FunctionEvent::timeout, &about);
        if (first) handler.on_event(self, FunctionEvent::quarantined, &about);
    }
}

void FunctionCore::session_answers() noexcept {
    if (!quarantined) return;
    quarantined = false;
    handler.on_event(self, FunctionEvent::answering, nullptr);
}

}  // namespace farlane::proto
