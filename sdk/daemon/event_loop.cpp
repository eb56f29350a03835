// SPDX-License-Identifier: Apache-2.0
// Receives: readiness of file descriptors, work of other threads, time. Hands on: calls.
// Owns: the epoll instance of the control thread.
#include "daemon/event_loop.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace farlane::daemon {
namespace {

int checked(int result, const char* what) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), what);
    return result;
}

}  // namespace

EventLoop::EventLoop()
    : epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_(checked(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {
    add(wake_.get(), EPOLLIN, [this](std::uint32_t) {
        std::uint64_t count = 0;
        (void)!::read(wake_.get(), &count, sizeof count);
        run_posted();
    });
}

EventLoop::~EventLoop() = default;

void EventLoop::add(int fd, std::uint32_t events, Ready ready) {
    epoll_event e{};
    e.events = events;
    e.data.fd = fd;
    checked(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &e), "epoll_ctl");
    watches_[fd] = std::make_shared<Watch>(Watch{std::move(ready)});
}

void EventLoop::modify(int fd, std::uint32_t events) {
    epoll_event e{};
    e.events = events;
    e.data.fd = fd;
    checked(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &e), "epoll_ctl");
}

void EventLoop::remove(int fd) noexcept {
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    watches_.erase(fd);
}

void EventLoop::every(std::chrono::milliseconds period, std::function<void()> work) {
    timers_.push_back({std::chrono::steady_clock::now() + period, period, std::move(work)});
}

void EventLoop::post(std::function<void()> work) {
    {
        const std::scoped_lock lock(mutex_);
        posted_.push_back(std::move(work));
    }
    ring();
}

bool EventLoop::post_if_room(std::function<void()> work) {
    {
        const std::scoped_lock lock(mutex_);
        if (posted_.size() >= kMaxPosted) {
            ++left_out_;
            return false;
        }
        posted_.push_back(std::move(work));
    }
    ring();
    return true;
}

std::uint64_t EventLoop::take_left_out() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(left_out_, 0);
}

void EventLoop::ring() noexcept {
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
}

void EventLoop::run_posted() {
    std::vector<std::function<void()>> work;
    {
        const std::scoped_lock lock(mutex_);
        work.swap(posted_);
    }
    for (const auto& w : work) w();
}

void EventLoop::turn(std::chrono::milliseconds at_most) {
    auto now = std::chrono::steady_clock::now();
    for (const Timer& t : timers_)
        at_most = std::min(at_most, std::max(std::chrono::milliseconds(0),
                                             std::chrono::ceil<std::chrono::milliseconds>(t.next - now)));
    std::array<epoll_event, 16> events;
    const int n =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), static_cast<int>(at_most.count()));
    for (int i = 0; i < n; ++i) {
        const epoll_event& e = events[static_cast<std::size_t>(i)];
        const auto at = watches_.find(e.data.fd);
        if (at == watches_.end()) continue;  // removed by one before it
        const auto keep = at->second;
        keep->ready(e.events);
    }
    now = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < timers_.size(); ++i) {
        if (timers_[i].next > now) continue;
        timers_[i].next = now + timers_[i].period;
        timers_[i].work();
    }
}

void EventLoop::run() {
    while (!stopping_) turn(std::chrono::milliseconds(60'000));
}

void EventLoop::stop() {
    post([this] { stopping_ = true; });
}

}  // namespace farlane::daemon
