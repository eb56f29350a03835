// SPDX-License-Identifier: Apache-2.0
// Receives: ended jobs, from any thread. Hands on: records in the complete ring, the bell. Owns: what waits for room
// there.
#pragma once

#include <atomic>
#include <deque>
#include <initializer_list>
#include <mutex>
#include <vector>

#include "backend/worker/ring.hpp"

namespace farlane::backend::worker {

class Outbox {
public:
    Outbox(Control& control, int bell)
        : control_(control), bell_(bell), ring_(control.complete, control.complete_bytes) {}

    void say(Say what, std::initializer_list<std::span<const std::byte>> parts) noexcept;
    /// Sends on what had no room. True: there is still some.
    bool flush() noexcept;
    /// Wakes the main loop, from any other thread.
    void wake_loop() noexcept;

private:
    void publish() noexcept;

    Control& control_;
    int bell_;
    std::mutex mutex_;
    RingWriter ring_;                             ///< guarded by mutex_
    std::deque<std::vector<std::byte>> waiting_;  ///< guarded by mutex_; the Say, then the payload
    std::atomic<bool> full_{false};               ///< = !waiting_.empty()
};

}  // namespace farlane::backend::worker
