// SPDX-License-Identifier: Apache-2.0
// Receives: who each message of a UDP port comes from. Hands on: a socket connected to the one peer that the port talks
// with, if there is one. Owns: what UdpFlow owns.
#include "transport/udp/flow.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <utility>

#include "transport/openers.hpp"

namespace farlane::transport {
namespace {

bool wait_for(int wait_fd, int fd) noexcept {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    return ::epoll_ctl(wait_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

UdpFlow::UdpFlow(UdpSocket& common)
    : common_(common),
      wait_fd_(::epoll_create1(EPOLL_CLOEXEC)),
      fd_(new_udp_socket(common)),
      possible_(wait_fd_ >= 0 && fd_ >= 0) {}

UdpFlow::~UdpFlow() {
    for (const int fd : {fd_, wait_fd_})
        if (fd >= 0) ::close(fd);
}

void UdpFlow::came_to_common(const Address& from) noexcept {
    if (!possible_) return;
    if (from != candidate_) {
        candidate_ = from;
        in_row_ = 0;
    }
    if (++in_row_ < kMessages) return;
    in_row_ = 0;
    if (open_ && heard_) {  // two peers: the flow stays where it is, unless it has become silent
        heard_ = false;
        return;
    }
    close();
    if (!possible_) return;
    open_ = true;
    if (!connect_udp(fd_, from, common_)) {
        close();
        possible_ = false;
        return;
    }
    peer_ = from;
    heard_ = false;
    unanswered_ = since_common_ = common_quiet_ = 0;
    silent_since_ns_ = 0;
    draining_ = kDrainLooks;
}

bool UdpFlow::arm() noexcept {
    since_common_ = kCommonEvery;  // whichever it is that wakes
    if (wait_fd_ < 0) return true;
    if (wait_for(wait_fd_, common_.fd) && (!open_ || wait_for(wait_fd_, fd_))) return true;
    disarm();
    return false;
}

void UdpFlow::disarm() noexcept {
    if (wait_fd_ < 0) return;
    (void)::epoll_ctl(wait_fd_, EPOLL_CTL_DEL, common_.fd, nullptr);
    if (open_) (void)::epoll_ctl(wait_fd_, EPOLL_CTL_DEL, fd_, nullptr);
}

void UdpFlow::close() noexcept {
    if (!std::exchange(open_, false)) return;
    ::close(fd_);
    fd_ = new_udp_socket(common_);
    possible_ = fd_ >= 0;
}

bool UdpFlow::common_is_due() noexcept {
    if (open_ && heard_ && common_quiet_ >= kCommonActive && ++since_common_ < kCommonEvery) return false;
    since_common_ = 0;
    return true;
}

void UdpFlow::common_had(bool something) noexcept {
    if (draining_ > 0) draining_ = something ? draining_ - 1 : 0;
    if (something)
        common_quiet_ = 0;
    else if (common_quiet_ < kCommonActive)
        ++common_quiet_;
}

void UdpFlow::flow_had(bool something) noexcept {
    if (something) {
        heard_ = true;
        unanswered_ = 0;
        silent_since_ns_ = 0;
    } else if (unanswered_ >= kUnanswered) {
        const std::int64_t now = monotonic_ns();
        if (silent_since_ns_ == 0) silent_since_ns_ = now;
        if (now - silent_since_ns_ > kSilentNs) close();
    }
}

}  // namespace farlane::transport
