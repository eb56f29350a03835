// SPDX-License-Identifier: Apache-2.0
// Receives: readiness of file descriptors, work of other threads, time. Hands on: calls.
// Owns: the epoll instance of the control thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "lib/daemon_wire.hpp"

namespace farlane::daemon {

/// One thread runs it; post() and stop() may be called by any.
class EventLoop {
public:
    using Ready = std::function<void(std::uint32_t events)>;
    EventLoop();
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    void add(int fd, std::uint32_t events, Ready ready);
    void modify(int fd, std::uint32_t events);
    void remove(int fd) noexcept;
    /// Calls `work` every `period`.
    void every(std::chrono::milliseconds period, std::function<void()> work);
    void post(std::function<void()> work);
    void run();
    void stop();
    /// One turn: waits at most `at_most`.
    void turn(std::chrono::milliseconds at_most);

private:
    struct Timer {
        std::chrono::steady_clock::time_point next;
        std::chrono::milliseconds period;
        std::function<void()> work;
    };
    struct Watch {
        Ready ready;
    };
    void run_posted();

    control::UniqueFd epoll_, wake_;
    std::map<int, std::shared_ptr<Watch>> watches_;
    std::vector<Timer> timers_;
    std::mutex mutex_;
    std::vector<std::function<void()>> posted_;
    bool stopping_ = false;
};

}  // namespace farlane::daemon
