// SPDX-License-Identifier: Apache-2.0
// Receives: frames of its ports, work of its tasks. Hands on: frames to sessions and back.
// Owns: ports, sessions and one turn of the loop. One lane = one thread at a time, no locks.
// docs/architecture.md, "Lane".
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <vector>

#include "lane/clock.hpp"
#include "lane/hint_limit.hpp"
#include "lane/timer_heap.hpp"
#include "proto/session.hpp"
#include "proto/slab.hpp"
#include "proto/workspace.hpp"
#include "transport/port.hpp"

namespace farlane::lane {

using proto::Duration;
using proto::kNever;
using proto::Time;
using PortId = std::uint32_t;

/// How often roles look at their deadlines, which are coarse, while the lane is awake.
constexpr Duration kLookEvery = std::chrono::milliseconds(1);
/// ... and no more often than this for each of them.
constexpr Duration kLookEach = std::chrono::microseconds(5);

/// Something a lane turns besides its sessions: a channel, a target with its devices.
/// All calls come from the lane.
class Task {
public:
    virtual ~Task() = default;
    /// Does what there is to do now. True = something was done (the lane stays awake).
    virtual bool turn(Time now) noexcept = 0;
    /// False: it has only deadlines. It is turned every kLookEvery and after a sleep, not in every turn of the lane.
    [[nodiscard]] virtual bool polls() const noexcept { return true; }
    /// When turn() has to be called next even if nothing wakes the lane.
    [[nodiscard]] virtual Time next_timer() const noexcept { return kNever; }
    /// About to sleep: ask whoever feeds this task for a wake-up (Lane::wake or an fd added by
    /// Lane::watch). False = there is work already, do not sleep.
    [[nodiscard]] virtual bool prepare_sleep() noexcept { return true; }
    /// Awake again: wake-ups are no longer needed.
    virtual void woken() noexcept {}
};

/// Told about hellos that open a new session on a port. Implemented by Target.
class Acceptor {
public:
    virtual ~Acceptor() = default;
    virtual void on_hello(PortId port, const transport::Address* from, const proto::Hello& hello,
                          Time now) noexcept = 0;
};

struct LaneConfig {
    /// Empty turns go on for this long at most before the lane sleeps (SpinWindow); the core is yielded in between.
    std::chrono::microseconds spin{50};
    /// Longest sleep while a port without interrupt is there.
    std::chrono::microseconds max_nap{1500};
    bool never_sleep = false;  ///< a core of its own: spin for ever
};

struct LaneCounters {
    std::uint64_t turns = 0, busy_turns = 0, sleeps = 0, naps = 0;
    std::uint64_t unknown_session = 0;  ///< frames for no session of this lane
    std::uint64_t not_ours = 0;         ///< frames that are not of this protocol version
    std::uint64_t bad_hello = 0;
    std::uint64_t hints_sent = 0;     ///< answers to frames for no session
    std::uint64_t hints_taken = 0;    ///< of peers: they may have forgotten a session
    std::uint64_t hints_ignored = 0;  ///< fit nothing
};

using Drops = std::array<std::uint64_t, proto::kDrops>;
/// What is left of sessions that are over.
struct EndedSessions {
    std::uint64_t count = 0;
    Drops drops{};
};

class Lane {
public:
    explicit Lane(const LaneConfig& config = {});
    ~Lane();
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    // --- set-up and control: lane thread, or before run()
    PortId add_port(std::unique_ptr<transport::Port> port);
    [[nodiscard]] transport::Port& port(PortId id) noexcept;
    [[nodiscard]] std::size_t port_count() const noexcept;
    void listen(PortId port, Acceptor& acceptor);
    void add(Task& task);
    void remove(Task& task) noexcept;
    /// Adds a file descriptor whose readability ends a sleep (the task reads it in turn()).
    void watch(int fd);
    void unwatch(int fd) noexcept;

    /// Opens a session to `to` on `port`. `config.session_id` and `nonce` are chosen here.
    proto::Session& connect(PortId port, const transport::Address& to, proto::SessionConfig config,
                            proto::SessionHandler& handler);
    /// One more path of a session opened by connect().
    Status add_path(proto::Session& session, PortId port, const transport::Address& to);
    /// Accepts a hello as a new session.
    proto::Session& accept(PortId port, const transport::Address* from, const proto::Hello& hello,
                           proto::SessionConfig config, proto::SessionHandler& handler);
    /// A hello that repeats itself or opens a further path of an accepted session.
    void join(proto::Session& session, PortId port, const transport::Address* from, const proto::Hello& hello);
    /// Sends a refusal.
    void reject(PortId port, const transport::Address* from, const proto::Hello& hello, Status why) noexcept;
    /// Forgets a session after this turn. Its functions must be unbound.
    void drop(proto::Session& session) noexcept;

    // --- running
    /// Time of this turn: exact when frames have come, else, and for a read or an answer that comes alone, at most
    /// kTurnsPerLook turns old.
    [[nodiscard]] Time now() const noexcept { return now_; }
    /// Looks at the clock: for whoever hands work to a lane that may not have turned for long.
    void tick() noexcept {
        now_ = clock_.now();
        turns_since_look_ = 0;
    }
    [[nodiscard]] static Time clock() noexcept { return LaneClock::exact(); }
    /// What was handed to the session leaves at once, if it is one request. True: it has, and the clock was looked at.
    bool send_lone(proto::Session& session) noexcept {
        SessionSlot* const slot = slot_of(session.session_id());
        return slot != nullptr && send_lone(*slot, true);
    }
    /// One turn: receive(), then work(). True = something was done.
    bool turn() noexcept;
    /// Half a turn: frames go to their sessions. What follows from them is left to work().
    bool receive() noexcept;
    /// The other half: tasks, and frames of sessions.
    bool work() noexcept;
    /// Sleeps until a port, a watched fd, wake() or a timer, at most `at_most`.
    void sleep(Duration at_most) noexcept;
    /// The same in three steps, for a lane that several threads turn under a lock of theirs: only
    /// wait() runs without it. Returns how long to wait; zero = there is work, do not wait.
    [[nodiscard]] Duration before_sleep(Duration at_most) noexcept;
    void wait(Duration at_most) noexcept;
    void after_sleep() noexcept;
    /// turn() and sleep() until `stop`; wakes up for it.
    void run(std::stop_token stop) noexcept;

    // --- any thread
    /// Runs `work` in the lane soon.
    void post(std::function<void()> work);
    void wake() noexcept;

    [[nodiscard]] const LaneCounters& counters() const noexcept { return counters_; }
    /// Frames of a port that reached no session, by reason.
    [[nodiscard]] const Drops& drops(PortId id) const noexcept { return ports_[id].drops; }
    [[nodiscard]] const EndedSessions& ended_sessions() const noexcept { return ended_; }
    /// A path of a session: the port here, and where the peer is ("" when the port has exactly one).
    struct PathPlace {
        PortId port = 0;
        std::string address;
    };
    [[nodiscard]] PathPlace place_of(const proto::Session& session, proto::PathId path) const;
    /// Where the peer of a session is: of the path used last.
    [[nodiscard]] std::string address_of(const proto::Session& session) const;
    /// All sessions, for statistics; lane thread.
    void each_session(const std::function<void(proto::Session&, PortId)>& f);

private:
    static constexpr std::size_t kBurst = 32;
    static constexpr unsigned kBurstsPerTurn = 4;            // of a port that has more,
    static constexpr std::size_t kBytesPerTurn = 64 * 1024;  // and no more bulk than a first-level cache keeps
    static constexpr unsigned kTurnsPerLook = 8;             // the clock costs as much as half an empty turn
    struct PortSlot {
        std::unique_ptr<transport::Port> port;
        Acceptor* acceptor = nullptr;
        bool armed = false;
        Drops drops{};
        std::size_t burst_bytes = 0;  ///< of its PortInfo
        std::size_t rx_ask = kBurst;  ///< frames at a time, of the size that came last

        /// After so many frames of so many bytes together.
        void set_ask(std::size_t frames, std::size_t bytes) noexcept {
            const bool small = bytes * kBurst <= burst_bytes * frames || burst_bytes == 0;
            rx_ask = small ? kBurst : std::max<std::size_t>(burst_bytes * frames / bytes, 1);
        }
    };
    struct PathSlot {
        PortId port = 0;
        transport::Address to;
        bool used = false;
    };
    struct SessionSlot : proto::Slabbed {
        // One cache line.
        std::optional<proto::Session> session;
        std::vector<PathSlot, proto::SlabAllocator<PathSlot>> paths;
        std::uint64_t not_on = 0;  ///< of the batch at hand: bit i = the port of path i took no more
        std::uint32_t id = 0, number = 0;
        PortId last_port = 0;         ///< of last_path
        proto::PathId last_path = 0;  ///< guess for the next frame
        bool blocked : 1 = false;     ///< some port took no more
        bool more : 1 = false;        ///< than fitted its burst
        bool dropped : 1 = false;
    };
    static_assert(sizeof(SessionSlot) <= 64);

    [[nodiscard]] proto::PathConfig path_config(PortId port) const noexcept;
    SessionSlot& new_slot(proto::SessionConfig& config);
    [[nodiscard]] SessionSlot* slot_of(std::uint32_t session_id) noexcept;
    static void set_path(SessionSlot& slot, proto::PathId path, PortId port, const transport::Address* to);
    bool receive_from(PortId id) noexcept;
    void dispatch(PortId id, transport::RxFrame& frame) noexcept;
    void receive_one(PortId id) noexcept;
    bool send_lone(SessionSlot& slot, bool first) noexcept;
    void hello(PortId id, transport::RxFrame& frame) noexcept;
    void take_hint(PortId id, const transport::Address* from, const proto::Hint& hint) noexcept;
    void send_hint(PortId id, const transport::RxFrame& frame) noexcept;
    void count(PortId id, proto::Drop d) noexcept { ++ports_[id].drops[static_cast<unsigned>(d)]; }
    bool transmit(SessionSlot& slot) noexcept;
    bool alloc(SessionSlot& slot, transport::TxFrame& frame, PortId port) noexcept;
    bool alloc_any(SessionSlot& slot, transport::TxFrame& frame, PortId& port) noexcept;
    bool address(SessionSlot& slot, transport::TxFrame& frame, PortId& port, proto::Session::Built built) noexcept;
    bool build_one(SessionSlot& slot, transport::TxFrame& frame, PortId& port) noexcept;
    bool run_timers(SessionSlot& slot) noexcept;
    bool turn_sessions() noexcept;
    bool turn_tasks() noexcept;
    bool run_posted() noexcept;
    void forget_dropped() noexcept;
    [[nodiscard]] Time next_timer() const noexcept;
    [[nodiscard]] bool prepare_sleep(Duration& at_most) noexcept;
    [[nodiscard]] bool nothing_is_forgotten() const noexcept;

    LaneConfig config_;
    LaneCounters counters_;
    EndedSessions ended_;
    HintLimit hint_limit_;
    LaneClock clock_;
    Time now_{};
    unsigned turns_since_look_ = 0;
    // Of the burst at hand; here, so that no turn has to clear them.
    std::array<transport::RxFrame, kBurst> rx_;
    std::array<transport::TxFrame, kBurst> tx_;
    std::vector<PortSlot> ports_;
    std::vector<std::uint32_t> awake_;  // numbers of slots; before slots_, whose sessions write to it
    proto::Workspace work_;             // of all sessions, as well before them
    TimerHeap timers_;                  // by the same numbers
    std::vector<std::unique_ptr<SessionSlot>> slots_;
    std::vector<Task*> tasks_, polling_;  // all, and those of them that poll
    Time look_at_{};                      // the others
    std::vector<std::function<void()>> posted_, running_;
    std::mutex posted_mutex_;
    std::atomic<bool> has_posted_{false};
    std::atomic<bool> sleeping_{false};
    std::atomic<bool> woken_{false};
    bool some_dropped_ = false;
    bool received_ = false;  ///< and what follows from it has not been done
    Duration nap_{};         ///< next sleep of a lane that has a port without interrupt
    int epoll_fd_ = -1;
    int wake_fd_ = -1;
};

}  // namespace farlane::lane
