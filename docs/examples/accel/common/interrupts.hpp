// SPDX-License-Identifier: Apache-2.0
// Receives: SIGINT, SIGTERM, SIGHUP. Hands on: a call that cleans up, then the end of the program.
// Owns: a thread that waits for them.
#pragma once

#include <functional>
#include <thread>

#include <signal.h>

namespace example {

/// While it lives, those signals do not kill the program at once: `clean_up` is called first, in a thread of its own.
/// Make it before other threads, which inherit that they do not get these signals.
class Interrupts {
public:
    explicit Interrupts(std::function<void()> clean_up);
    ~Interrupts();
    Interrupts(const Interrupts&) = delete;
    Interrupts& operator=(const Interrupts&) = delete;

private:
    void wait();

    std::function<void()> clean_up_;
    sigset_t before_{};
    int signals_ = -1, end_ = -1;
    std::thread thread_;
};

/// For a child between fork and exec: signals reach it as they do any program.
void unblock_signals() noexcept;

}  // namespace example
