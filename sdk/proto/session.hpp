// SPDX-License-Identifier: Apache-2.0
// Receives: frames of one peer and the records of the functions bound to it.
// Hands on: frames to send, and records to the functions. Owns: paths, packet number
// spaces, loss detection, the control stream. Pure: no I/O, no clock, no thread.
// docs/wire.md, "Session".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <farlane/uapi/frame.h>

#include "proto/counters.hpp"
#include "proto/function.hpp"
#include "proto/seal.hpp"
#include "proto/time.hpp"

namespace farlane::proto {

using Instance = std::array<std::uint8_t, FL_INSTANCE_BYTES>;
using PathId = std::uint16_t;
struct Workspace;

enum class SessionState : std::uint8_t {
    idle,    ///< nothing said yet (the accepting side starts in `hello`)
    hello,   ///< hello sent, no answer yet
    open,    ///< records flow
    silent,  ///< nothing heard for 3 keep-alive intervals; still sends, opens again on the next frame
    closed,  ///< over; status says why. Functions keep their state and can be bound to a new session
};

struct SessionConfig {
    Instance instance{};            ///< this side: stable over restarts
    std::uint64_t incarnation = 1;  ///< this life of its state
    std::string name;               ///< for people
    std::uint32_t session_id = 0;   ///< what the peer writes into its frames; not 0, unique in this lane
    std::uint64_t nonce = 0;        ///< random, initiating side only
    std::uint32_t features = FL_FEATURE_RELAXED_ORDERING | FL_FEATURE_MAPS | FL_FEATURE_PATIENCE;
    Duration keepalive = std::chrono::milliseconds(1000);
    Duration grace = std::chrono::seconds(10);
    std::uint32_t packet_window = 65536;  ///< packets in flight per path at most; grows as used
    std::uint16_t max_functions = 16384;
    std::uint16_t max_paths = 8;
    std::uint8_t version_min = FL_WIRE_VERSION;
    std::uint8_t version_max = FL_WIRE_VERSION;
    bool integrity = true;  ///< false: frames carry no CRC check (measurements on one host only)
};

enum class PathState : std::uint8_t {
    opening,  ///< hello sent on it, no answer yet
    up,       ///< carries records
    dead,     ///< silent or lossy while another one is up: probed with keep-alives
};

struct PathConfig {
    std::uint32_t max_frame_bytes = FL_FRAME_BASE_BYTES;  ///< what the port can carry; larger than
                                                          ///< FL_FRAME_BASE_BYTES is probed before use
    bool reliable_mtu = false;          ///< true: point-to-point port that states its MTU; no probe needed
    std::uint64_t link_bits_per_s = 0;  ///< slowest link of the way, when the user knows it: the window begins with
                                        ///< that, and nothing is sent faster. 0 = found out
};

struct PeerInfo {
    Instance instance{};
    std::uint64_t incarnation = 0;
    std::string name;
    std::uint32_t features = 0;
    Duration keepalive{};
    Duration grace{};
};

struct AttachRequest {
    std::uint32_t request = 0;
    std::string name;
    bool resume = false;
    bool origin_lost = false;
    FunctionHandle handle{};
    std::array<std::uint64_t, kClasses> released{};
    Duration completion_timeout{};
    std::uint64_t lease_epoch = 0;
};

struct AttachReply {
    std::uint32_t request = 0;
    Status status = Status::ok;
    FunctionHandle handle{};
    bool kept = false;
    bool origin_lost = false;
    std::array<std::uint64_t, kClasses> released{};
    fl_function_desc desc{};
};

/// What the owner of a session (the lane's initiator or target role) is told. Same rules
/// as FunctionHandler. Every pointer is valid during the call only.
class SessionHandler {
public:
    virtual ~SessionHandler() = default;
    virtual void on_state(Session& s, SessionState state, Status why) noexcept = 0;
    /// A path is dead while another one is up, or it is up (again).
    virtual void on_path(Session& s, PathId path, PathState state) noexcept {
        (void)s;
        (void)path;
        (void)state;
    }
    virtual void on_list(Session& s, std::uint32_t request) noexcept = 0;
    /// `index` of `count`; count 0 = nothing exported (desc is zero).
    virtual void on_list_reply(Session& s, std::uint32_t request, unsigned index, unsigned count,
                               const fl_function_desc& desc) noexcept = 0;
    virtual void on_attach(Session& s, const AttachRequest& r) noexcept = 0;
    virtual void on_attach_reply(Session& s, const AttachReply& r) noexcept = 0;
    virtual void on_detach(Session& s, std::uint32_t request, FunctionHandle h, Status why) noexcept = 0;
    virtual void on_detach_reply(Session& s, std::uint32_t request, FunctionHandle h, Status status) noexcept = 0;
    virtual void on_event(Session& s, unsigned event_code, FunctionHandle h, const fl_function_desc& desc) noexcept = 0;
};

/// The first frame of an unknown peer, decoded. Session::accept makes a session of it.
struct Hello {
    PeerInfo peer;
    std::uint32_t session_id = 0;
    std::uint8_t version_min = 0, version_max = 0;
    PathId path = 0;
    std::uint64_t nonce = 0;
    std::uint32_t max_frame_bytes = 0;
};

/// What a receiver answers to a frame of a session that it does not know: it repeats three fields of
/// that frame's header. Anybody can say it, so it is a reason to ask the peer, and nothing else.
struct Hint {
    std::uint32_t session_id = 0;
    PathId path = 0;
    std::uint64_t packet_number = 0;
};

class Session {
public:
    /// The initiating side. Sends hello as soon as a path is there.
    Session(const SessionConfig& config, SessionHandler& handler, std::unique_ptr<Seal> seal);
    /// The accepting side: `hello` came from parse_hello().
    Session(const SessionConfig& config, SessionHandler& handler, std::unique_ptr<Seal> seal, const Hello& hello,
            const PathConfig& path, Time now);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Initiating side: one more way to the peer. The first one starts the hello.
    PathId add_path(const PathConfig& path, Time now);
    /// Accepting side: a hello of the same peer and incarnation on a further path (or a repeated
    /// one on a known path, which is answered again).
    void on_hello(const Hello& hello, const PathConfig& path, Time now);

    // --- frames
    /// A frame whose header names this session. Returns no verdict: bad ones are counted.
    /// `frame` may be decrypted in place.
    void on_frame(std::span<std::byte> frame, PathId arrived_on, Time now) noexcept;
    /// The same in two steps, for a frame that is answered before the clock is looked at: `now` is when that was done
    /// last. True: it was the next one and held one plain transaction, which has been taken; stamp() follows. False:
    /// nothing was done, on_other_frame() follows.
    [[nodiscard]] bool on_lone_frame(std::span<std::byte> frame, PathId arrived_on, Time now) noexcept;
    void on_other_frame(std::span<std::byte> frame, PathId arrived_on, Time now) noexcept;
    /// What on_lone_frame() took came at `now`, and the rest is done of what has to be done with it. Before it nothing
    /// but an answer is built.
    void stamp(Time now) noexcept;
    /// A hint arrived from the address of this session's peer. When it fits what was sent, the peer is
    /// asked for a sign of life; without one the session becomes silent at once, with `why` = stale.
    /// False: it fits nothing.
    [[nodiscard]] bool on_hint(const Hint& hint, Time now) noexcept;
    /// Builds the next frame into `out` (at least the path's max_frame_bytes) and says on which
    /// path it goes. 0 bytes = nothing to send now. The frame counts as sent. `not_on`: bit i = path i takes no
    /// records now, because its port does not (an opening path's hello is built all the same).
    struct Built {
        std::size_t bytes = 0;
        PathId path = 0;
    };
    [[nodiscard]] Built build(std::span<std::byte> out, Time now, std::uint64_t not_on = 0) noexcept;
    /// True when build() would have something; cheap, for every turn of the lane.
    [[nodiscard]] bool wants_to_send(Time now) const noexcept;
    /// One request, or one completion, on the only path, is what there is to send, besides credits, which may follow:
    /// build() makes a frame of it, which need not wait for others.
    [[nodiscard]] bool has_lone() const noexcept;
    /// build() of that, for a frame that leaves before anything else is done: left_lone() follows, before anything else
    /// of this session, and says that it left between then and now. 0 bytes: nothing was done, ask build().
    /// Precondition: has_lone().
    [[nodiscard]] Built build_lone(std::span<std::byte> out, Time then) noexcept;
    void left_lone(Time then, Time now) noexcept;
    /// When on_timer must be called next, kNever = not at all.
    [[nodiscard]] Time next_timer() const noexcept;
    void on_timer(Time now) noexcept;

    // --- many sessions
    /// From now on `number` is put into `awake`, once, whenever there may be something to send or next_timer() is
    /// earlier than it was. A session that is attended so and rests need not be looked at. `awake` and `work`, which
    /// all sessions of one thread share, outlive the session. An acknowledgement may be put off then until settle():
    /// whoever attends builds first, so that what came with it is answered first, and then settles.
    void attend(std::vector<std::uint32_t>& awake, std::uint32_t number, Workspace& work);
    void rouse() noexcept;   ///< puts it there
    void settle() noexcept;  ///< takes what on_frame() put off
    /// It was looked at, and `number` is taken out. Returns next_timer().
    Time rest() noexcept;

    // --- functions
    /// Binds a function after attach (both sides). `resume` = what the peer said it has released,
    /// when an attachment is taken up again.
    struct Resume {
        std::array<std::uint64_t, kClasses> released{};
        bool origin_lost = false;
        bool kept = true;
    };
    [[nodiscard]] Status bind(Function& f, const std::optional<Resume>& resume, Time now) noexcept;
    /// Takes the function out of this session; its state stays. With `why` != ok the function
    /// gets FunctionEvent::lost and its requests complete.
    void unbind(Function& f, Status why, Time now) noexcept;
    [[nodiscard]] Function* find(FunctionHandle h) noexcept;

    // --- control, reliable and in order
    void send_list(std::uint32_t request) noexcept;
    void send_list_reply(std::uint32_t request, unsigned index, unsigned count, const fl_function_desc& desc) noexcept;
    void send_attach(const AttachRequest& r) noexcept;
    void send_attach_reply(const AttachReply& r) noexcept;
    void send_detach(std::uint32_t request, FunctionHandle h, Status why) noexcept;
    void send_detach_reply(std::uint32_t request, FunctionHandle h, Status status) noexcept;
    void send_event(unsigned event_code, FunctionHandle h, const fl_function_desc& desc) noexcept;
    /// Says goodbye (sent once, not awaited) and closes.
    void close(Status why, Time now) noexcept;

    [[nodiscard]] SessionState state() const noexcept;
    /// Why it is in that state; ok unless closed, or silent because the peer seems to have forgotten it (stale).
    [[nodiscard]] Status why() const noexcept;
    [[nodiscard]] const PeerInfo& peer() const noexcept;
    [[nodiscard]] std::uint32_t session_id() const noexcept;
    [[nodiscard]] const SessionCounters& counters() const noexcept;
    struct PathInfo {
        PathId id;
        PathState state;
        bool usable;
        std::uint32_t frame_bytes;  ///< in use now
        Duration smoothed_rtt, min_rtt;
        std::uint64_t congestion_window_bytes, in_flight_bytes;
        std::uint64_t packets_sent, packets_lost, packets_received;
    };
    [[nodiscard]] std::vector<PathInfo> paths() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Session id of a frame (0 = a hello), for the lane's dispatch; nullopt = not a frame of
/// this protocol version, or too short. Checks nothing else.
[[nodiscard]] std::optional<std::uint32_t> peek_session(std::span<const std::byte> frame) noexcept;
/// Checks and decodes a frame of session 0. `why` gets the reason to drop it when that fails.
[[nodiscard]] Result<Hello> parse_hello(std::span<std::byte> frame, Drop* why = nullptr);
/// The hint in a frame of session 0; nullopt = it is none.
[[nodiscard]] std::optional<Hint> parse_hint(std::span<std::byte> frame) noexcept;
/// The hint that answers `frame`, of a session nobody knows: FL_FRAME_MIN_BYTES, so never more than came.
/// 0 = the frame deserves none. `out` must not overlap `frame`.
[[nodiscard]] std::size_t build_hint(std::span<std::byte> out, std::span<const std::byte> frame) noexcept;
/// Frame that refuses a hello. Returns its size.
[[nodiscard]] std::size_t build_reject(std::span<std::byte> out, const Hello& hello, Status why) noexcept;

}  // namespace farlane::proto
