// SPDX-License-Identifier: Apache-2.0
// Receives: datagrams of two processes. Hands on: each to the other, as a bad link would. Owns: two sockets and a
// thread.
#include "chaos/relay.hpp"

#include <algorithm>
#include <cerrno>
#include <future>
#include <memory>
#include <stdexcept>
#include <system_error>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <farlane/uapi/frame.h>

namespace farlane::chaos {
namespace {

constexpr int kSocketBufferBytes = 4 * 1024 * 1024;
constexpr unsigned kDatagramsPerWake = 64, kFramesPerTurn = 64;

[[noreturn]] void raise(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

sockaddr_in loopback(unsigned port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(static_cast<std::uint16_t>(port));
    return at;
}

}  // namespace

/// A socket: what arrives goes into the link, what comes out of the link goes to its process.
class Relay::End final : public link::Node {
public:
    /// `port` 0: the process is whoever has sent last.
    End(std::string name, unsigned port, link::Loop& loop)
        : Node(std::move(name)), loop_(loop), learns_(port == 0), peer_(loopback(port)), buffer_(65536) {
        fd_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd_ < 0) raise("socket");
        for (const int what : {SO_RCVBUF, SO_SNDBUF})
            (void)!::setsockopt(fd_, SOL_SOCKET, what, &kSocketBufferBytes, sizeof kSocketBufferBytes);
        const sockaddr_in any = loopback(0);
        if (::bind(fd_, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) raise("bind");
        loop_.add(fd_, EPOLLIN, [this](std::uint32_t) { arrived(); });
    }
    ~End() override {
        loop_.remove(fd_);
        ::close(fd_);
    }

    [[nodiscard]] unsigned port() const {
        sockaddr_in at{};
        socklen_t size = sizeof at;
        if (::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size) != 0) raise("getsockname");
        return ntohs(at.sin_port);
    }

    void receive(std::size_t, link::Bytes frame, std::int64_t) override {
        if (peer_.sin_port == 0) return;
        const ssize_t sent =
            ::sendto(fd_, frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&peer_), sizeof peer_);
        (sent < 0 ? not_sent_ : sent_) += 1;
    }
    [[nodiscard]] nlohmann::json stats() const override { return {{"sent", sent_}, {"not_sent", not_sent_}}; }

private:
    void arrived() {
        const std::int64_t now_ns = link::Loop::now_ns();
        for (unsigned i = 0; i < kDatagramsPerWake; ++i) {
            sockaddr_in from{};
            socklen_t size = sizeof from;
            const ssize_t got =
                ::recvfrom(fd_, buffer_.data(), buffer_.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
            if (got < 0) return;
            if (learns_)
                peer_ = from;  // a farlaned that was started anew has a port of its own
            else if (from.sin_port != peer_.sin_port)
                continue;
            out(0).send(link::Bytes(buffer_).first(static_cast<std::size_t>(got)), now_ns);
        }
    }

    link::Loop& loop_;
    int fd_ = -1;
    bool learns_;
    sockaddr_in peer_;
    std::vector<std::byte> buffer_;
    std::uint64_t sent_ = 0, not_sent_ = 0;
};

Relay::Relay(unsigned far_port, std::uint64_t seed) {
    ends_.push_back(std::make_unique<End>("near", 0, loop_));
    ends_.push_back(std::make_unique<End>("far", far_port, loop_));
    port_ = ends_[0]->port();
    for (const Way way : {to_far, to_near}) {
        const link::Direction::Geometry geometry{FL_FRAME_MAX_BYTES, seed, way + 1};
        ways_.push_back(std::make_unique<link::Direction>(*ends_[1 - way], 0, geometry));
        ends_[way]->plug_in(*ways_.back());
    }
    wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wake_ < 0) raise("eventfd");
    loop_.add(wake_, EPOLLIN, [this](std::uint32_t) { take_work(); });
    thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
}

Relay::~Relay() {
    in_loop([this] { thread_.request_stop(); });
    thread_.join();
    loop_.remove(wake_);
    ::close(wake_);
}

void Relay::serve(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        bool more = false;
        for (const auto& way : ways_) more = way->deliver(link::Loop::now_ns(), kFramesPerTurn) || more;
        loop_.run_once(more ? 0 : std::min(ways_[0]->next_due_ns(), ways_[1]->next_due_ns()));
    }
}

void Relay::take_work() {
    std::uint64_t times = 0;
    (void)!::read(wake_, &times, sizeof times);
    std::vector<std::function<void()>> work;
    {
        const std::scoped_lock lock(mutex_);
        work.swap(work_);
    }
    for (const auto& each : work) each();
}

void Relay::in_loop(const std::function<void()>& work) {
    const auto done = std::make_shared<std::promise<void>>();
    auto result = done->get_future();
    {
        const std::scoped_lock lock(mutex_);
        work_.emplace_back([done, &work] {
            try {
                work();
                done->set_value();
            } catch (...) {
                done->set_exception(std::current_exception());
            }
        });
    }
    const std::uint64_t one = 1;
    (void)!::write(wake_, &one, sizeof one);
    result.get();
}

void Relay::set(const link::Impairments& keys) {
    in_loop([&] {
        for (const auto& way : ways_) {
            const bool was_cut = way->is_cut();
            way->reset();
            way->cut(was_cut);
            if (keys.empty()) continue;
            if (const auto failure = way->set(keys)) throw std::runtime_error(failure->detail);
        }
    });
}

void Relay::cut(Way way, bool on) {
    in_loop([&] { ways_[way]->cut(on); });
}

nlohmann::json Relay::stats() {
    nlohmann::json all;
    in_loop([&] { all = {{"to_target", ways_[to_far]->stats()}, {"to_initiator", ways_[to_near]->stats()}}; });
    return all;
}

}  // namespace farlane::chaos
