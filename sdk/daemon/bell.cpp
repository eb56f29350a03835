// SPDX-License-Identifier: Apache-2.0
// Receives: eventfds of applications. Hands on: wake-ups. Owns: the signal that interrupts.
#include "daemon/bell.hpp"

#include <cerrno>
#include <csignal>
#include <mutex>

#include <sys/uio.h>
#include <unistd.h>

namespace farlane::daemon {
namespace {

constexpr int kSignal = SIGURG;  // ignored by default: harmless when it comes late

void install() {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    sigemptyset(&action.sa_mask);
    action.sa_flags = 0;  // no SA_RESTART: the write ends with EINTR
    ::sigaction(kSignal, &action, nullptr);
}

}  // namespace

BellRinger::BellRinger() {
    static std::once_flag once;
    std::call_once(once, install);
}

void BellRinger::adopt_thread() noexcept {
    thread_ = ::pthread_self();
    has_thread_.store(true, std::memory_order_release);
}

bool BellRinger::ring(int fd) noexcept {
    const std::uint64_t one = 1;
    writing_.store(++rung_, std::memory_order_relaxed);
    const ssize_t n = ::write(fd, &one, sizeof one);
    const bool interrupted = n < 0 && errno == EINTR;
    writing_.store(0, std::memory_order_relaxed);
    return !interrupted;  // EAGAIN: the counter is full, its reader is being woken already
}

void BellRinger::hush(int fd) noexcept {
    std::uint64_t count = 0;
    iovec iov{&count, sizeof count};
    (void)::preadv2(fd, &iov, 1, -1, RWF_NOWAIT);
}

void BellRinger::check() noexcept {
    const std::uint64_t now = writing_.load(std::memory_order_relaxed);
    if (now != 0 && now == seen_ && has_thread_.load(std::memory_order_acquire)) ::pthread_kill(thread_, kSignal);
    seen_ = now;
}

}  // namespace farlane::daemon
