// SPDX-License-Identifier: Apache-2.0
// Receives: reads of registers. Hands on: their answers, or none where docs/failures.md allows none. Owns: the counts.
#include "chaos/reader.hpp"

#include <string>
#include <thread>

namespace farlane::chaos {
namespace {

constexpr Milliseconds kAskAgain{1};  // a driver in quarantine does not spin

}  // namespace

std::optional<std::uint64_t> Reader::ask(const std::function<std::uint64_t()>& read) {
    const Time begun = Clock::now();
    try {
        const std::uint64_t value = read();
        ++counts_.answered;
        silent_ = false;
        chronicle_.answered();
        return value;
    } catch (const Error& e) {
        if (e.status() != Status::completer_abort && e.status() != Status::timeout) throw;
        judge(e.status(), begun);
        return std::nullopt;
    }
}

std::uint64_t Reader::insist(const std::function<std::uint64_t()>& read) {
    for (;;)
        if (const auto value = ask(read)) return *value;
}

// In doubt is what was in flight when a daemon ended, and nothing else. Time excuses a timeout only: it must have been
// long enough, unless the function is in quarantine (docs/wire.md, "Time"). A slow machine can be late without a fault,
// so that is counted, not judged.
void Reader::judge(Status status, Time begun) {
    was_refused_ = false;
    if (status == Status::completer_abort) {
        ++counts_.in_doubt;
        if (!chronicle_.daemon_ended_since(begun))
            throw Broken("a read was aborted, and no daemon ended while it was in flight");
        return;
    }
    const auto took = std::chrono::duration_cast<Milliseconds>(Clock::now() - begun);
    // A quarantined one comes back at once. No finer: the daemon counts from the begin of its turn, and may have been
    // preempted in it.
    if (took >= completion_timeout_ / 2) {
        ++counts_.timed_out;
        silent_ = true;
        if (!chronicle_.disturbed_since(begun)) ++counts_.unprovoked;
        return;
    }
    if (!silent_)
        throw Broken("a read was given up after " + std::to_string(took.count()) + " ms; its completion timeout is " +
                     std::to_string(completion_timeout_.count()) + " ms");
    ++counts_.refused;
    was_refused_ = true;
    std::this_thread::sleep_for(kAskAgain);
}

}  // namespace farlane::chaos
