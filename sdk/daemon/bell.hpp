// SPDX-License-Identifier: Apache-2.0
// Receives: eventfds of applications. Hands on: wake-ups. Owns: nothing but the proof that
// ringing never holds the lane up.
#pragma once

#include <atomic>
#include <cstdint>

#include <pthread.h>

namespace farlane::daemon {

/// The lane's way to eventfds that applications hold too. O_NONBLOCK belongs to both ends: an
/// application can clear it and fill the counter, and the next write would block the lane. So the
/// ringer notes what it does, and another thread interrupts a write that does not end.
class BellRinger {
public:
    BellRinger();
    /// The calling thread is the one that rings from now on.
    void adopt_thread() noexcept;
    /// Adds 1 to the eventfd. False: it blocked and was interrupted; its owner plays games.
    [[nodiscard]] bool ring(int fd) noexcept;
    /// Sets the counter to 0; never waits.
    static void hush(int fd) noexcept;
    /// Any thread, now and then: interrupts a write that was there at the last call already.
    void check() noexcept;
    [[nodiscard]] std::uint64_t rung() const noexcept { return rung_; }

private:
    std::atomic<std::uint64_t> writing_{0};  // serial of the write under way, 0 = none
    std::atomic<bool> has_thread_{false};
    std::uint64_t rung_ = 0;
    std::uint64_t seen_ = 0;  // checker's
    pthread_t thread_{};
};

}  // namespace farlane::daemon
