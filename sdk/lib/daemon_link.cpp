// SPDX-License-Identifier: Apache-2.0
// Receives: calls of one application's devices. Hands on: the same to farlaned, and to the next
// farlaned when the first was killed. Owns: the connection and the thread that watches it.
#include "lib/daemon_link.hpp"

#include <array>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace farlane::provider {
namespace {

constexpr std::chrono::milliseconds kRetry{20};
constexpr std::chrono::milliseconds kCallTimeout{20000};
constexpr const char* kEndedWithIt = "farlaned ended, and what applications share ends with it: attach it again";

std::chrono::milliseconds grace_of(const control::Json& hello) {
    const auto at = hello.find("grace_ms");
    return std::chrono::milliseconds(at != hello.end() && at->is_number_unsigned() ? at->get<std::int64_t>() : 10000);
}

}  // namespace

DaemonLink::DaemonLink(const std::string& socket)
    : socket_(socket),
      client_(control::ControlClient::connect(socket)),
      grace_(grace_of(client_.hello())),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wake_.valid()) throw Error(Status::limit, std::string("eventfd: ") + std::strerror(errno));
    socket_ = client_.socket();
    watcher_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

DaemonLink::~DaemonLink() {
    watcher_.request_stop();
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
    changed_.notify_all();
}

void DaemonLink::add(const std::weak_ptr<Resumable>& device) {
    const std::scoped_lock lock(devices_mutex_);
    std::erase_if(devices_, [](const auto& d) { return d.expired(); });
    devices_.push_back(device);
}

std::vector<std::shared_ptr<Resumable>> DaemonLink::devices() {
    const std::scoped_lock lock(devices_mutex_);
    std::vector<std::shared_ptr<Resumable>> alive;
    for (const auto& d : devices_)
        if (auto device = d.lock()) alive.push_back(std::move(device));
    return alive;
}

control::Json DaemonLink::call(const std::string& verb, const control::Json& args, bool again,
                               const std::vector<int>& give, std::vector<control::UniqueFd>* take) {
    Lock held(mutex_);
    for (;;) {
        changed_.wait(held, [this] { return up_ || !gone_.empty(); });
        if (!gone_.empty()) throw Error(Status::unreachable, gone_);
        try {
            return client_.call_fds(verb, args, give, take, kCallTimeout);
        } catch (const control::CallError&) {
            throw;
        } catch (const Error& e) {
            if (e.status() != Status::unreachable || !again) throw;
            up_ = false;  // the watcher sees the same
        }
    }
}

control::Json DaemonLink::call_now(const std::string& verb, const control::Json& args, const std::vector<int>& give) {
    const Lock held(mutex_);
    if (!up_ || !gone_.empty()) throw Error(Status::unreachable, kEndedWithIt);
    try {
        return client_.call_fds(verb, args, give, nullptr, kCallTimeout);
    } catch (const control::CallError&) {
        throw;
    } catch (const Error& e) {
        if (e.status() == Status::unreachable) up_ = false;  // the watcher sees the same
        throw;
    }
}

bool DaemonLink::given_up() {
    const Lock held(mutex_);
    return !gone_.empty();
}

void DaemonLink::watch(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        Lock held(mutex_);
        if (!gone_.empty()) {
            // Nothing to watch any more; the owner ends us.
            changed_.wait(held, stop, [] { return false; });
            return;
        }
        const int fd = client_.fd();
        held.unlock();
        std::array<pollfd, 2> p{{{fd, POLLRDHUP, 0}, {wake_.get(), POLLIN, 0}}};
        (void)::poll(p.data(), p.size(), -1);
        if (stop.stop_requested()) return;
        if ((p[0].revents & (POLLRDHUP | POLLHUP | POLLERR)) == 0) continue;
        held.lock();
        up_ = false;
        reconnect(held, stop);
        changed_.notify_all();
    }
}

void DaemonLink::reconnect(Lock& held, const std::stop_token& stop) {
    const auto until = std::chrono::steady_clock::now() + grace_;
    for (const auto& device : devices())
        if (!device->outlives_daemon()) device->lost(kEndedWithIt);
    std::string why;
    while (!stop.stop_requested() && std::chrono::steady_clock::now() < until) {
        try {
            auto fresh = control::ControlClient::connect(socket_, std::chrono::milliseconds(2000));
            std::vector<std::pair<std::shared_ptr<Resumable>, std::string>> failed;
            bool died = false;
            for (const auto& device : devices()) {
                try {
                    device->resume(fresh, grace_);
                } catch (const control::CallError& e) {
                    failed.emplace_back(device, e.what());
                } catch (const Error& e) {
                    why = e.what();
                    died = true;  // this daemon went away too
                    break;
                }
            }
            for (const auto& [device, text] : failed) device->lost(text);
            if (!died) {
                client_ = std::move(fresh);
                up_ = true;
                return;
            }
        } catch (const Error& e) {
            why = e.what();
        }
        changed_.wait_for(held, stop, kRetry, [] { return false; });
    }
    gone_ = "farlaned on " + socket_ + " went away and did not come back within its grace" +
            (why.empty() ? "" : ": " + why);
    for (const auto& device : devices()) device->lost(gone_);
}

}  // namespace farlane::provider
