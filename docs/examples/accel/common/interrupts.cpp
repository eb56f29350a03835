// SPDX-License-Identifier: Apache-2.0
// Receives: SIGINT, SIGTERM, SIGHUP. Hands on: a call that cleans up (interrupts.hpp). Owns: nothing further.
#include "common/interrupts.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace example {
namespace {

sigset_t interrupts() noexcept {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
    return set;
}

}  // namespace

Interrupts::Interrupts(std::function<void()> clean_up) : clean_up_(std::move(clean_up)) {
    const sigset_t set = interrupts();
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
    signals_ = ::signalfd(-1, &set, SFD_CLOEXEC);
    end_ = ::eventfd(0, EFD_CLOEXEC);
    thread_ = std::thread([this] { wait(); });
}

Interrupts::~Interrupts() {
    const std::uint64_t one = 1;
    if (::write(end_, &one, sizeof one) == sizeof one) thread_.join();
    ::close(signals_);
    ::close(end_);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void Interrupts::wait() {
    std::array<pollfd, 2> wanted{{{signals_, POLLIN, 0}, {end_, POLLIN, 0}}};
    while (::poll(wanted.data(), wanted.size(), -1) < 0 && errno == EINTR) {
    }
    if (wanted[1].revents != 0) return;
    signalfd_siginfo info{};
    if (::read(signals_, &info, sizeof info) != sizeof info) return;
    clean_up_();
    ::_exit(128 + static_cast<int>(info.ssi_signo));
}

void unblock_signals() noexcept {
    const sigset_t set = interrupts();
    ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace example
