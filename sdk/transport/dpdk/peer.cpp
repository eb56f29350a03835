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
#include <optional>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/dpdk/control_message.hpp"
#include "transport/dpdk/eal.hpp"

namespace farlane::transport::dpdk {
namespace {

constexpr int kRetryMs = 100;             // how often an absent peer is looked for
constexpr int kFailedMs = 1000;           // pause after a device that could not be made
constexpr int kStuckMs = 2000;            // a peer that does not answer for so long is taken for dead
constexpr int kLinkPollMs = 2;            // how often a driver is asked whether it has finished
constexpr std::size_t kMaxRegions = 256;  // as many as the memif driver takes

}  // namespace

// Everything but `stop` and what the worker writes belongs to the control thread.
struct Peer::State {
    State(const DeviceSpec& s, DeviceOwner& o) : spec(s), owner(o) {}
    ~State();

    [[nodiscard]] Result<bool> prepare();
    void run();

    DeviceSpec spec;
    DeviceOwner& owner;
    Fd stop;

private:
    /// What the worker does to the device; it talks to the peer through the control thread.
    enum class Work : std::uint8_t { none, making, dropping };

    void handle(const std::array<pollfd, 6>& events);
    void look_for_peer();
    void bring_up(Fd connection);
    void start(Work next);
    void work_done();
    void check_link();
    void from_driver();
    void pay_owed();
    void from_peer();
    [[nodiscard]] bool learn(const ControlMessage& m);
    [[nodiscard]] const char* objection(const ControlMessage& m);
    [[nodiscard]] bool take_ring(const ControlMessage& m, const MemifRing& ring);
    void peer_gone();
    void retire();
    void keep_lane_out();
    void hang_up();
    void report(const std::string& text);
    [[nodiscard]] Result<bool> make_directory();
    void remove_directory();
    [[nodiscard]] bool idle() const { return peer.get() < 0 && driver.get() < 0 && work == Work::none && !stopping; }
    [[nodiscard]] bool finished() const { return stopping && work == Work::none && (!device || device_stays()); }
    [[nodiscard]] bool is_memif() const { return spec.meeting != Meeting::virtio_user; }
    [[nodiscard]] bool device_stays() const { return spec.meeting == Meeting::memif_server; }
    [[nodiscard]] int socket_type() const { return is_memif() ? SOCK_SEQPACKET : SOCK_STREAM; }
    [[nodiscard]] Framing framing() const { return is_memif() ? Framing::packets : Framing::vhost_user; }
    [[nodiscard]] std::string driver_path() const { return directory + "/driver"; }
    [[nodiscard]] int timeout_ms() const;

    std::string directory;  // of the private socket
    Fd public_listener, private_listener, peer, driver, done;
    std::thread worker;
    Work work = Work::none;
    bool device = false;    // the driver's half is there
    bool admitted = false;  // the lane may use it
    bool stopping = false;
    bool connected = false;        // the memif peer has said all
    std::vector<Fd> regions;       // of a memif connection that is being made
    std::array<bool, 2> rings{};   // of that, those that are described: to the client, to the server
    std::optional<Question> owed;  // an answer that the driver waits for
    int pause_ms = 0;              // before a peer is looked for again
    std::string failure, reported;
};

Peer::State::~State() {
    if (device) owner.drop_device();
    if (public_listener.get() >= 0) ::unlink(spec.socket.c_str());
    remove_directory();
}

Result<bool> Peer::State::make_directory() {
    char pattern[] = "/tmp/farlane-port-XXXXXX";
    if (::mkdtemp(pattern) == nullptr)
        return {Status::io, std::string("no directory for the driver's socket in /tmp: ") + std::strerror(errno)};
    directory = pattern;
    return true;
}

// As soon as the driver is connected: a process that is killed later leaves nothing behind.
void Peer::State::remove_directory() {
    if (directory.empty()) return;
    ::unlink(driver_path().c_str());
    ::rmdir(directory.c_str());
    directory.clear();
}

Result<bool> Peer::State::prepare() {
    stop = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    done = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (spec.listens) {
        if (auto clear = clear_socket(spec.socket); !clear) return clear;
        auto listener = listen_unix(spec.socket, socket_type());
        if (!listener) return listener.failure();
        public_listener = std::move(*listener);
    }
    if (!device_stays()) return true;
    if (auto made = make_directory(); !made) return made;
    auto ready = owner.make_device(driver_path());
    device = ready.ok();
    return ready;
}

int Peer::State::timeout_ms() const {
    if (work == Work::dropping && peer.get() >= 0) return kStuckMs;
    if (is_memif() && device && !admitted && driver.get() >= 0) return kLinkPollMs;
    if (!idle()) return -1;
    if (pause_ms > 0) return pause_ms;
    return spec.listens ? -1 : kRetryMs;
}

void Peer::State::run() {
    while (!finished()) {
        if (idle() && !spec.listens && pause_ms == 0) look_for_peer();
        // What the peer says can wait until there is a driver to hear it; its end can not.
        const short peer_events = driver.get() >= 0 ? POLLIN : POLLRDHUP;
        std::array<pollfd, 6> events = {{{stopping ? -1 : stop.get(), POLLIN, 0},
                                         {done.get(), POLLIN, 0},
                                         {driver.get(), POLLIN, 0},
                                         {peer.get(), peer_events, 0},
                                         {private_listener.get(), POLLIN, 0},
                                         {idle() && pause_ms == 0 ? public_listener.get() : -1, POLLIN, 0}}};
        const int n = ::poll(events.data(), events.size(), timeout_ms());
        if (n < 0 && errno != EINTR) break;
        // A peer that does not answer the driver's goodbye is answered for.
        if (n == 0 && work == Work::dropping) peer_gone();
        if (n == 0) pause_ms = 0;
        if (n > 0) handle(events);
        check_link();
    }
}

void Peer::State::handle(const std::array<pollfd, 6>& events) {
    const auto happened = [&events](std::size_t i, const Fd& fd) {
        return events[i].revents != 0 && events[i].fd == fd.get() && fd.get() >= 0;
    };
    if (happened(0, stop)) {
        stopping = true;
        retire();
    }
    if (happened(1, done)) work_done();
    if (happened(2, driver)) from_driver();
    if (happened(3, peer)) driver.get() >= 0 ? from_peer() : peer_gone();
    if (happened(4, private_listener)) {
        driver = accept_unix(private_listener);
        private_listener = Fd();
        remove_directory();
    }
    if (happened(5, public_listener) && idle()) bring_up(accept_unix(public_listener));
}

void Peer::State::look_for_peer() {
    bring_up(connect_unix(spec.socket, socket_type()));
}

void Peer::State::bring_up(Fd connection) {
    if (connection.get() < 0) return;
    peer = std::move(connection);
    if (device_stays()) {
        driver = connect_unix(driver_path(), socket_type());
        if (driver.get() < 0) peer = Fd();
        return;
    }
    auto made = make_directory();
    auto listener = made ? listen_unix(driver_path(), socket_type()) : Result<Fd>(made.failure());
    if (!listener) return report(listener.failure().detail);
    private_listener = std::move(*listener);
    start(Work::making);
}

void Peer::State::start(Work next) {
    work = next;
    const ThreadState keep;
    worker = std::thread([this, next, path = driver_path()] {
        failure.clear();
        if (next == Work::dropping) {
            owner.drop_device();
        } else if (auto made = owner.make_device(path); !made) {
            failure = made.failure().detail;
            owner.drop_device();
        }
        const std::uint64_t one = 1;
        (void)!::write(done.get(), &one, sizeof one);
    });
}

void Peer::State::work_done() {
    worker.join();
    std::uint64_t count = 0;
    (void)!::read(done.get(), &count, sizeof count);
    device = work == Work::making && failure.empty();
    work = Work::none;
    if (!device) {
        // the driver is gone, and so is what it was connected to
        driver = Fd();
        private_listener = Fd();
        peer = Fd();
        if (!device_stays()) remove_directory();
        if (!failure.empty()) report(failure);
        return;
    }
    if (peer.get() < 0 || stopping) return retire();
    if (is_memif()) return;
    admitted = true;
    owner.admit_lane(true);
}

void Peer::State::report(const std::string& text) {
    peer = Fd();
    if (text != reported) std::fprintf(stderr, "farlane: %s\n", text.c_str());
    reported = text;
    pause_ms = kFailedMs;
}

// memif connects in the background: the lane comes in when the driver says that it has.
void Peer::State::check_link() {
    if (!is_memif() || admitted || !device || driver.get() < 0 || work != Work::none || stopping) return;
    if (!owner.device_link_up()) return;
    admitted = true;
    owner.admit_lane(true);
}

void Peer::State::from_driver() {
    ControlMessage m;
    const Received got = m.receive(driver, framing());
    if (got == Received::nothing) return;
    if (got == Received::end) {
        driver = Fd();
        if (is_memif()) peer_gone();  // it does not like the peer, who may not have noticed
        return;
    }
    if (!is_memif()) {
        Question question;
        if (m.asks(question)) owed = question;
        if (Fd fd = m.receive_interrupt(); fd.get() >= 0) owner.take_interrupt(std::move(fd));
    }
    if (is_memif() && !learn(m)) return peer_gone();
    if (peer.get() >= 0 && m.send(peer)) return;
    if (peer.get() >= 0) return peer_gone();
    pay_owed();
}

// Without a peer somebody has to answer the driver: it would wait for ever, and closing its socket
// is worse, DPDK 22.11 does not survive that when the device is about to be removed.
void Peer::State::pay_owed() {
    if (owed && driver.get() >= 0) answer(driver, *owed);
    owed.reset();
}

void Peer::State::from_peer() {
    // After the connection is made, whatever a memif peer says ends it. The driver does not hear of it before the lane
    // is out: it unmaps the rings, or takes others.
    if (connected) return peer_gone();
    ControlMessage m;
    const Received got = m.receive(peer, framing());
    if (got == Received::nothing) return;
    if (got == Received::end || (is_memif() && !learn(m)) || !m.send(driver)) return peer_gone();
    owed.reset();
    connected = is_memif() && m.connects();
    if (connected) regions.clear();
}

bool Peer::State::learn(const ControlMessage& m) {
    const char* const why_not = objection(m);
    if (why_not != nullptr) report(spec.name + ": the memif peer is refused: " + why_not);
    return why_not == nullptr;
}

// The client of a memif connection describes memory and rings to the server, each once, in order, one ring each way.
// The driver looks less closely, and loses descriptors that it can not use.
const char* Peer::State::objection(const ControlMessage& m) {
    if (const auto region = m.added_region()) {
        if (*region != regions.size() || *region == kMaxRegions) return "its regions are not in order";
        regions.push_back(m.descriptor());
        return nullptr;
    }
    if (m.connects() && !(rings[0] && rings[1])) return "it has no ring each way";
    const auto ring = m.added_ring();
    if (!ring) return m.brings_descriptor() ? "it sends a descriptor with a message that has none" : nullptr;
    if (ring->index != 0 || std::exchange(rings[ring->to_server ? 1 : 0], true))
        return "it has more than a ring each way";
    if (ring->region >= regions.size()) return "its ring is in memory that it has not sent";
    if (ring->to_server != device_stays() || take_ring(m, *ring)) return nullptr;
    return "its ring is not in sealed memory, or without an eventfd";
}

// The ring that this port receives from tells how it is interrupted.
bool Peer::State::take_ring(const ControlMessage& m, const MemifRing& ring) {
    Fd fd = m.descriptor();
    RingFlag flag = RingFlag::map(regions[ring.region], ring.offset);
    // The driver reads it when the lane goes to sleep, and must not wait there.
    const bool never_waits = ::fcntl(fd.get(), F_SETFL, O_NONBLOCK) == 0;
    return flag && never_waits && owner.take_ring(std::move(fd), std::move(flag));
}

void Peer::State::peer_gone() {
    peer = Fd();
    pay_owed();
    retire();
}

void Peer::State::keep_lane_out() {
    if (admitted) owner.admit_lane(false);
    admitted = false;
}

// Takes the device away from the lane and, unless it stays, removes it.
void Peer::State::retire() {
    keep_lane_out();
    if (is_memif() && driver.get() >= 0) {
        hang_up();
        peer = Fd();
    }
    if (is_memif()) {
        connected = false;
        regions.clear();
        rings = {};
        owner.drop_ring();
    }
    if (work == Work::none && device && !device_stays()) start(Work::dropping);
}

// memif's driver works on a thread of DPDK. It has let go of the connection, and of the rings, when
// it has closed its end; before, it must neither be removed nor hear of a new peer. Our end stays
// open for reading until then: the driver does not survive a greeting that it cannot send.
void Peer::State::hang_up() {
    // A client that has not got so far: the driver closes only memory that it has mapped, when the connection is made.
    if (device_stays() && !regions.empty()) connect(driver);
    (void)::shutdown(driver.get(), SHUT_WR);
    pollfd closed{driver.get(), 0, 0};  // POLLHUP comes unasked
    (void)::poll(&closed, 1, kStuckMs);
    driver = Fd();
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
