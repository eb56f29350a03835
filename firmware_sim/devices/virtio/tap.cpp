// SPDX-License-Identifier: Apache-2.0
// Receives: frames for a tap interface of this host. Hands on: frames that the host sends there. Owns: the
// interface, and a thread that waits for it.
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "devices/virtio/wire.hpp"

namespace farlane::firmware::virtio {
namespace {

class HostTap final : public Tap {
public:
    HostTap(int fd, int event) : fd_(fd), event_(event), thread_([this] { wait_loop(); }) {}
    ~HostTap() override {
        stop_.store(true);
        rearm();
        thread_.join();
        ::close(fd_);
        ::close(event_);
    }
    std::size_t read(std::span<std::byte> into) noexcept override {
        const ssize_t n = ::read(fd_, into.data(), into.size());
        if (n > 0) return static_cast<std::size_t>(n);
        readable_.store(false, std::memory_order_release);
        rearm();
        return 0;
    }
    bool readable() const noexcept override { return readable_.load(std::memory_order_acquire); }
    bool write(std::span<const std::byte> frame) noexcept override {
        return ::write(fd_, frame.data(), frame.size()) == static_cast<ssize_t>(frame.size());
    }
    void on_readable(std::function<void()> wake) override {
        const std::lock_guard lock(mutex_);
        wake_ = std::move(wake);
    }

private:
    void rearm() noexcept {
        const std::uint64_t one = 1;
        (void)!::write(event_, &one, sizeof one);
    }
    void wait_loop() {
        while (!stop_.load()) {
            const bool known = readable();
            // An interface that is down reports errors all the time; it is asked again when it was read
            std::array<pollfd, 2> fds{{{event_, POLLIN, 0}, {known ? -1 : fd_, POLLIN, 0}}};
            if (::poll(fds.data(), fds.size(), -1) < 0) continue;
            if (fds[0].revents != 0) {
                std::uint64_t count = 0;
                (void)!::read(event_, &count, sizeof count);
            }
            if (fds[1].revents == 0) continue;
            readable_.store(true, std::memory_order_release);
            const std::lock_guard lock(mutex_);
            if (wake_) wake_();
        }
    }

    const int fd_, event_;
    std::atomic<bool> readable_{false}, stop_{false};
    std::mutex mutex_;  // wake_
    std::function<void()> wake_;
    std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Tap>> open_tap(const std::string& name) {
    const auto failed = [&name](const char* what, int error) {
        const bool permission = error == EPERM || error == EACCES;
        return Failure{permission ? Status::denied : Status::io,
                       "tap interface '" + name + "' " + what + ": " + std::strerror(error) +
                           "; make it for the user of farlaned: ip tuntap add dev " + name + " mode tap user USER"};
    };
    const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return failed("needs /dev/net/tun", errno);
    ifreq request{};
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event < 0 || ::ioctl(fd, TUNSETIFF, &request) != 0) {
        const int error = errno;
        ::close(fd);
        if (event >= 0) ::close(event);
        return failed("can not be opened", error);
    }
    return std::unique_ptr<Tap>(std::make_unique<HostTap>(fd, event));
}

}  // namespace farlane::firmware::virtio
