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

/// One thread runs it; post(), post_if_room() and stop() may be called by any.
class EventLoop {
public:
    using Ready = std::function<void(std::uint32_t events)>;
    static constexpr std::size_t kMaxPosted = 4096;
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
    /// The same for what others can cause without end; false: kMaxPosted wait already, it is left out and counted.
    bool post_if_room(std::function<void()> work);
    /// How many were left out since the last call.
    [[nodiscard]] std::uint64_t take_left_out();
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
    void ring() noexcept;
    void run_posted();

    control::UniqueFd epoll_, wake_;
    std::map<int, std::shared_ptr<Watch>> watches_;
    std::vector<Timer> timers_;
    std::mutex mutex_;
    std::vector<std::function<void()>> posted_;  ///< guarded by mutex_
    std::uint64_t left_out_ = 0;                 ///< guarded by mutex_
    bool stopping_ = false;
};

}  // namespace farlane::daemon
