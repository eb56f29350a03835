// SPDX-License-Identifier: Apache-2.0
// Receives: an idle lane. Hands on: the same lane, when there is work again.
// Owns: the epoll instance and the wake-up eventfd. The cold half of lane.cpp.
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <system_error>

#include "lane/lane.hpp"
#include "lane/spin.hpp"

namespace farlane::lane {
namespace {

constexpr Duration kFirstNap = std::chrono::microseconds(20);
constexpr unsigned kTurnsBeforeYield = 32;  // about 1 us: an answer on the same host is not missed in a system call
constexpr Duration kBlockedNap = std::chrono::microseconds(50);  // no port tells when it takes frames again

int checked(int fd, const char* what) {
    if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
    return fd;
}

}  // namespace

Lane::Lane(const LaneConfig& config)
    : config_(config),
      now_(clock()),
      nap_(kFirstNap),
      epoll_fd_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_fd_(checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {
    watch(wake_fd_);
}

Lane::~Lane() {
    close(wake_fd_);
    close(epoll_fd_);
}

void Lane::watch(int fd) {
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.fd = fd;
    checked(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &e), "epoll_ctl");
}

void Lane::unwatch(int fd) noexcept {
    epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
}

void Lane::wake() noexcept {
    // Pairs with sleep(): either the sleeper sees woken_, or we see sleeping_.
    woken_.store(true, std::memory_order_seq_cst);
    if (!sleeping_.load(std::memory_order_seq_cst)) return;
    const std::uint64_t one = 1;
    (void)!write(wake_fd_, &one, sizeof one);
}

Time Lane::next_timer() const noexcept {
    Time next = kNever;
    for (const auto* task : tasks_) next = std::min(next, task->next_timer());
    next = std::min(next, timers_.first());
    for (const auto& p : ports_)
        if (const auto at = p.port->next_event_ns(); at != INT64_MAX) next = std::min(next, Time{Duration(at)});
    return next;
}

// Every session that rests has nothing to send, and an entry of timers_ that is early enough. One whose time has come
// since the last turn may have: then there is no sleep.
bool Lane::nothing_is_forgotten() const noexcept {
    return std::ranges::all_of(slots_, [&](const auto& slot) {
        if (!slot || slot->dropped || std::ranges::find(awake_, slot->number) != awake_.end()) return true;
        const Time due = timers_.at(slot->number);
        return due <= now_ || (!slot->session->wants_to_send(now_) && slot->session->next_timer() >= due);
    });
}

bool Lane::prepare_sleep(Duration& at_most) noexcept {
    for (auto* task : tasks_)
        if (!task->prepare_sleep()) return false;
    for (auto& p : ports_) {
        if (!p.port->info().has_interrupt) {
            at_most = std::min(at_most, nap_);
            nap_ = std::min<Duration>(nap_ * 2, config_.max_nap);
            continue;
        }
        if (!p.port->arm()) return false;
        p.armed = true;
    }
    assert(nothing_is_forgotten());
    for (const std::uint32_t number : awake_) {
        const auto& slot = slots_[number];
        if (!slot || slot->dropped) continue;
        if (!slot->blocked) return false;
        at_most = std::min(at_most, kBlockedNap);
    }
    return true;
}

Duration Lane::before_sleep(Duration at_most) noexcept {
    sleeping_.store(true, std::memory_order_seq_cst);
    if (woken_.exchange(false, std::memory_order_seq_cst) || !prepare_sleep(at_most)) return Duration::zero();
    const Time timer = next_timer();
    if (timer != kNever) at_most = std::clamp<Duration>(timer - clock(), Duration::zero(), at_most);
    return at_most;
}

void Lane::wait(Duration at_most) noexcept {
    const auto s = std::chrono::duration_cast<std::chrono::seconds>(at_most);
    const timespec limit{static_cast<time_t>(s.count()), static_cast<long>((at_most - s).count())};
    std::array<epoll_event, 8> events;
    const int n = epoll_pwait2(epoll_fd_, events.data(), static_cast<int>(events.size()), &limit, nullptr);
    for (int i = 0; i < n; ++i)
        if (events[static_cast<std::size_t>(i)].data.fd == wake_fd_) {
            std::uint64_t drained = 0;
            (void)!read(wake_fd_, &drained, sizeof drained);
        }
}

void Lane::after_sleep() noexcept {
    sleeping_.store(false, std::memory_order_seq_cst);
    tick();
    ++counters_.sleeps;
    for (auto& p : ports_)
        if (p.armed) {
            p.port->disarm();
            p.armed = false;
        }
    for (auto* task : tasks_) task->woken();
    look_at_ = {};
}

void Lane::sleep(Duration at_most) noexcept {
    if (const auto limit = before_sleep(at_most); limit > Duration::zero())
        wait(limit);
    else
        sched_yield();  // there is work that waits for something: the other end may need this core
    after_sleep();
}

void Lane::run(std::stop_token stop) noexcept {
    const std::stop_callback wake_up(stop, [this] { wake(); });
    SpinWindow window(config_.spin);
    Time idle_since = kNever;
    unsigned idle_turns = 0;
    while (!stop.stop_requested()) {
        if (turn()) {
            if (idle_since != kNever) window.found(now_ - idle_since);
            idle_since = kNever;
            idle_turns = 0;
            continue;
        }
        if (config_.never_sleep || ++idle_turns < kTurnsBeforeYield) continue;
        if (idle_since == kNever) idle_since = now_;
        if (window.polls(now_ - idle_since))
            sched_yield();
        else
            sleep(std::chrono::seconds(1));
    }
}

}  // namespace farlane::lane
