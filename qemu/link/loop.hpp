// SPDX-License-Identifier: Apache-2.0
// Receives: descriptors and a deadline. Hands on: calls when something is to be done; sleeps else.
// Owns: the epoll and timer descriptors.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

namespace farlane::link {

/// One thread's event loop. A callback may add and remove descriptors, its own included.
class Loop {
public:
    using Callback = std::function<void(std::uint32_t events)>;

    Loop();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    void add(int fd, std::uint32_t events, Callback callback);
    void change(int fd, std::uint32_t events);
    void remove(int fd);
    /// Waits until a descriptor is ready or CLOCK_MONOTONIC is at `deadline_ns` (INT64_MAX: never),
    /// and calls back. Zero or less does not wait.
    void run_once(std::int64_t deadline_ns);

    [[nodiscard]] static std::int64_t now_ns() noexcept;

private:
    void set_timer(std::int64_t deadline_ns);

    int epoll_ = -1, timer_ = -1;
    std::int64_t timer_ns_ = INT64_MAX;
    std::map<int, std::shared_ptr<Callback>> callbacks_;
};

}  // namespace farlane::link
