// SPDX-License-Identifier: Apache-2.0
// Receives: descriptors and a deadline. Hands on: calls when something is to be done; sleeps else.
// Owns: the epoll and timer descriptors.
#include "loop.hpp"

#include <array>
#include <cerrno>
#include <ctime>
#include <system_error>

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace farlane::link {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

[[noreturn]] void raise(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

Loop::Loop() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) raise("epoll");
    timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer_ < 0) raise("timerfd");
    add(timer_, EPOLLIN, [this](std::uint32_t) {
        std::uint64_t times = 0;
        (void)!::read(timer_, &times, sizeof times);
        timer_ns_ = INT64_MAX;
    });
}

Loop::~Loop() {
    ::close(timer_);
    ::close(epoll_);
}

void Loop::add(int fd, std::uint32_t events, Callback callback) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) raise("epoll add");
    callbacks_[fd] = std::make_shared<Callback>(std::move(callback));
}

void Loop::change(int fd, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) != 0) raise("epoll change");
}

void Loop::remove(int fd) {
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    callbacks_.erase(fd);
}

void Loop::set_timer(std::int64_t deadline_ns) {
    if (deadline_ns == timer_ns_) return;
    itimerspec when{};
    if (deadline_ns != INT64_MAX) {
        when.it_value.tv_sec = deadline_ns / kSecondNs;
        when.it_value.tv_nsec = deadline_ns % kSecondNs;
    }
    ::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
    timer_ns_ = deadline_ns;
}

void Loop::run_once(std::int64_t deadline_ns) {
    int timeout_ms = -1;
    if (deadline_ns <= now_ns()) {
        timeout_ms = 0;
    } else {
        set_timer(deadline_ns);
    }
    std::array<epoll_event, 32> events;
    const int ready = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout_ms);
    for (int i = 0; i < ready; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        const auto found = callbacks_.find(event.data.fd);
        if (found == callbacks_.end()) continue;  // removed by a callback before it
        const std::shared_ptr<Callback> callback = found->second;
        (*callback)(event.events);
    }
}

std::int64_t Loop::now_ns() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * kSecondNs + now.tv_nsec;
}

}  // namespace farlane::link
