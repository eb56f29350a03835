// SPDX-License-Identifier: Apache-2.0
// Receives: the socket of a virtio_user or memif device. Hands on: its messages, between the peer
// and the driver. Owns: the sockets and a control thread.
#include "transport/dpdk/peer.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/dpdk/eal.hpp"
#include "transport/dpdk/unix_socket.hpp"

namespace farlane::transport::dpdk {
namespace {

constexpr int kRetryMs = 100;    // how often an absent peer is looked for
constexpr int kFailedMs = 1000;  // pause after a device that could not be made
constexpr int kLinkPollMs = 2;   // how often a driver is asked whether it has finished
constexpr int kLinkDownTries = 1000;

}  // namespace

// Everything but `stop` and what the maker writes belongs to the control thread.
struct Peer::State {
    State(const DeviceSpec& s, DeviceOwner& o) : spec(s), owner(o) {}
    ~State();

    [[nodiscard]] Result<bool> prepare();
    void run();

    DeviceSpec spec;
    DeviceOwner& owner;
    Fd stop;

private:
    void look_for_peer();
    void bring_up(Fd connection);
    void start_maker();
    void maker_done();
    void check_link();
    void forward(Fd& from, Fd& to);
    void end();
    void join_maker();
    void wait_for_link_down();
    [[nodiscard]] bool is_memif() const { return spec.meeting != Meeting::virtio_user; }
    [[nodiscard]] bool device_stays() const { return spec.meeting == Meeting::memif_server; }
    [[nodiscard]] int socket_type() const { return is_memif() ? SOCK_SEQPACKET : SOCK_STREAM; }
    [[nodiscard]] std::string driver_path() const { return directory + "/driver"; }
    [[nodiscard]] int timeout_ms() const;

    std::string directory;  // of the private socket
    Fd public_listener, private_listener, peer, driver, made;
    std::thread maker;
    bool device = false;    // the driver's half is there
    bool admitted = false;  // the lane may use it
    std::string failure, reported;
};

Peer::State::~State() {
    if (device) owner.drop_device();
    if (public_listener.get() >= 0) ::unlink(spec.socket.c_str());
    if (directory.empty()) return;
    ::unlink(driver_path().c_str());
    ::rmdir(directory.c_str());
}

Result<bool> Peer::State::prepare() {
    char pattern[] = "/tmp/farlane-port-XXXXXX";
    if (::mkdtemp(pattern) == nullptr)
        return {Status::io, std::string("no directory for the driver's socket in /tmp: ") + std::strerror(errno)};
    directory = pattern;
    stop = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    made = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (spec.listens) {
        if (auto clear = clear_socket(spec.socket); !clear) return clear;
        auto listener = listen_unix(spec.socket, socket_type());
        if (!listener) return listener.failure();
        public_listener = std::move(*listener);
    }
    if (!device_stays()) return true;
    auto ready = owner.make_device(driver_path());
    device = ready.ok();
    return ready;
}

int Peer::State::timeout_ms() const {
    if (peer.get() < 0) return spec.listens ? -1 : kRetryMs;
    const bool link_to_come = is_memif() && device && !admitted && driver.get() >= 0;
    return link_to_come ? kLinkPollMs : -1;
}

void Peer::State::run() {
    for (;;) {
        if (peer.get() < 0 && !spec.listens) look_for_peer();
        // what the peer says can wait until there is a driver to hear it; its end can not
        const short from_peer = driver.get() >= 0 ? POLLIN : POLLRDHUP;
        std::array<pollfd, 6> wait = {{{stop.get(), POLLIN, 0},
                                       {made.get(), POLLIN, 0},
                                       {driver.get(), POLLIN, 0},
                                       {peer.get(), from_peer, 0},
                                       {private_listener.get(), POLLIN, 0},
                                       {public_listener.get(), POLLIN, 0}}};
        if (::poll(wait.data(), wait.size(), timeout_ms()) < 0 && errno != EINTR) break;
        const auto happened = [&wait](std::size_t i) { return wait[i].revents != 0; };
        if (happened(0)) break;
        if (happened(1)) maker_done();
        if (happened(2)) forward(driver, peer);
        if (happened(3) && peer.get() >= 0) driver.get() >= 0 ? forward(peer, driver) : end();
        if (happened(4) && private_listener.get() >= 0) {
            driver = accept_unix(private_listener);
            private_listener = Fd();
        }
        if (happened(5)) bring_up(accept_unix(public_listener));
        check_link();
    }
    end();
}

void Peer::State::look_for_peer() {
    if (Fd connection = connect_unix(spec.socket, socket_type()); connection.get() >= 0)
        bring_up(std::move(connection));
}

void Peer::State::bring_up(Fd connection) {
    // a second peer at the same socket; the one before has been noticed as gone by now if it is
    if (connection.get() < 0 || peer.get() >= 0) return;
    peer = std::move(connection);
    if (device_stays()) {
        driver = connect_unix(driver_path(), socket_type());
        if (driver.get() < 0) end();
        return;
    }
    ::unlink(driver_path().c_str());
    auto listener = listen_unix(driver_path(), socket_type());
    if (!listener) return end();
    private_listener = std::move(*listener);
    start_maker();
}

// Making the device talks to the peer through this thread, so another one has to make it.
void Peer::State::start_maker() {
    const ThreadState keep;
    maker = std::thread([this] {
        auto result = owner.make_device(driver_path());
        failure = result ? "" : result.failure().detail;
        const std::uint64_t one = 1;
        (void)!::write(made.get(), &one, sizeof one);
    });
}

void Peer::State::join_maker() {
    if (!maker.joinable()) return;
    maker.join();
    std::uint64_t count = 0;
    (void)!::read(made.get(), &count, sizeof count);
    device = failure.empty();
}

void Peer::State::maker_done() {
    join_maker();
    if (device && !is_memif()) {
        admitted = true;
        owner.admit_lane(true);
    }
    if (device) return;
    if (failure != reported) std::fprintf(stderr, "farlane: %s\n", failure.c_str());
    reported = failure;
    end();
    pollfd stopped{stop.get(), POLLIN, 0};
    (void)::poll(&stopped, 1, kFailedMs);
}

// memif connects in the background: the lane comes in when the driver says that it has.
void Peer::State::check_link() {
    if (!is_memif() || admitted || !device || driver.get() < 0 || maker.joinable()) return;
    if (!owner.device_link_up()) return;
    admitted = true;
    owner.admit_lane(true);
}

void Peer::State::forward(Fd& from, Fd& to) {
    // After the connection is made, whatever a memif peer says ends it, and the driver unmaps the
    // rings when it hears of it: the lane has to be out by then.
    if (&from == &peer && is_memif() && admitted) {
        owner.admit_lane(false);
        admitted = false;
    }
    if (!forward_message(from, to, is_memif() ? Framing::packets : Framing::vhost_user)) end();
}

void Peer::State::end() {
    if (admitted) owner.admit_lane(false);
    admitted = false;
    const bool was_connected = driver.get() >= 0;
    private_listener = Fd();
    driver = Fd();
    peer = Fd();
    join_maker();  // it fails soon, its sockets are closed
    if (was_connected && is_memif() && device) wait_for_link_down();
    if (device && !device_stays()) {
        owner.drop_device();
        device = false;
    }
}

// The driver sees the end on a thread of DPDK; until it has, it must not be told of a new peer.
void Peer::State::wait_for_link_down() {
    for (int i = 0; i < kLinkDownTries && owner.device_link_up(); ++i) ::poll(nullptr, 0, 1);
}

Peer::Peer(std::unique_ptr<State> state) : state_(std::move(state)) {
    const ThreadState keep;
    thread_ = std::thread([this] { state_->run(); });
}

Result<std::unique_ptr<Peer>> Peer::start(const DeviceSpec& spec, DeviceOwner& owner) {
    auto state = std::make_unique<State>(spec, owner);
    if (auto ready = state->prepare(); !ready) return ready.failure();
    return std::unique_ptr<Peer>(new Peer(std::move(state)));
}

Peer::~Peer() {
    const std::uint64_t one = 1;
    (void)!::write(state_->stop.get(), &one, sizeof one);
    thread_.join();
}

}  // namespace farlane::transport::dpdk
