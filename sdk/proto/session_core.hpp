// SPDX-License-Identifier: Apache-2.0
// Receives: what Session, its functions and the peer do. Hands on: frames, records, events.
// Owns: the paths and the streams of one session. Internal; one file per concern: session.cpp
// (API), session_receive.cpp, session_build.cpp, session_lone.cpp, session_ack.cpp, session_timer.cpp,
// session_control.cpp, handshake.cpp. docs/wire.md, "Session".
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "proto/codec.hpp"
#include "proto/control_stream.hpp"
#include "proto/function_core.hpp"
#include "proto/function_table.hpp"
#include "proto/intrusive_list.hpp"
#include "proto/path.hpp"
#include "proto/session.hpp"
#include "proto/slab.hpp"
#include "proto/workspace.hpp"

namespace farlane::proto {

/// What to do with a control record of a type in a state; control_verdict() is the table.
enum class Verdict : std::uint8_t {
    take,
    ignore,  ///< counted; its packet is not acknowledged
    close,   ///< no honest peer sends it then: the session ends
};
[[nodiscard]] Verdict control_verdict(bool initiating, SessionState state, std::uint8_t type) noexcept;
/// True when the state machine has this edge.
[[nodiscard]] bool may_enter(SessionState from, SessionState to) noexcept;

/// What a session has to send besides the records of its functions. A bit may be set although
/// nothing comes of it; build() clears it then.
enum Due : std::uint32_t {
    kDueHello = 1,  ///< hello or hello_ack on some path
    kDueGoodbye = 2,
    kDueControl = 4,      ///< a record of the control stream
    kDueCredit = 8,       ///< a function of `credits` is due
    kDueAllCredits = 16,  ///< the peer asked: all of `credits`
    kDueKeepalive = 32,   ///< a function wants to know what the peer has released
    kDuePath = 64,        ///< acknowledgement, keep-alive or tail probe of some path
    kDueMtu = 128,        ///< path MTU probe of some path
};
constexpr std::size_t kMinFrameBytes = FL_FRAME_MIN_BYTES + 128;  // of the room for a frame
constexpr std::uint32_t kDueCold = kDueHello | kDueGoodbye;
constexpr std::uint32_t kDueRecords = kDueControl | kDueCredit | kDueAllCredits | kDueKeepalive;

class alignas(64) SessionCore : public Slabbed {
public:
    SessionCore(Session& self, const SessionConfig& config, SessionHandler& handler, std::unique_ptr<Seal> seal,
                bool initiating);
    ~SessionCore();
    SessionCore(const SessionCore&) = delete;
    SessionCore& operator=(const SessionCore&) = delete;

    // --- session.cpp
    void enter(SessionState next, Status why) noexcept;
    void close(Status why, bool say_goodbye) noexcept;
    Path& make_path(PathId id, const PathConfig& config, Time now);
    [[nodiscard]] Path* path(PathId id) const noexcept {
        if (single != nullptr) return single->id == id ? single : nullptr;
        for (const auto& p : paths)
            if (p->id == id) return p.get();
        return nullptr;
    }
    [[nodiscard]] FunctionCore* function(const RecordRef& ref) const noexcept {
        FunctionCore* f = functions.at(ref.function());
        return f != nullptr && f->binding == ref.binding() ? f : nullptr;
    }
    /// A function with this handle was here, and was the last one of its index to be taken out.
    [[nodiscard]] bool was_bound(FunctionHandle h) const noexcept {
        return functions.past(h.index) == (FunctionTable::kPastBit | h.generation);
    }
    Status bind(FunctionCore& f, const std::optional<Session::Resume>& resume, Time now) noexcept;
    void forget(FunctionCore& f) noexcept;
    [[nodiscard]] bool flows() const noexcept { return state == SessionState::open || state == SessionState::silent; }

    // --- for functions
    void list_credit(FunctionCore& f) noexcept {
        if (!f.credit_due) return credits.push_back(f);
        credits.push_front(f);
        due |= kDueCredit;
        rouse();
    }
    void quarantine(FunctionCore& f) noexcept;
    /// A record of it was executed: what the peer is told of it is looked at once a frame, not once a record.
    void touch(FunctionCore& f, Time now) noexcept {
        if (work->touched == &f) return;
        untouch(now);
        work->touched = &f;
    }
    void untouch(Time now) noexcept {
        if (FunctionCore* f = std::exchange(work->touched, nullptr)) f->progressed(now);
    }
    void arm(Time t) noexcept {
        timer = std::min(timer, t);
        rouse();
    }
    /// There may be something to send, or a timer is earlier: whoever turns many sessions looks at this one again.
    void rouse() noexcept {
        if (awake || awake_list == nullptr) return;
        awake = true;
        awake_list->push_back(awake_number);
    }
    void arm_functions(Time t) noexcept {
        functions_timer = std::min(functions_timer, t);
        arm(t);
    }
    void arm_credit(Time t) noexcept {
        credit_timer = std::min(credit_timer, t);
        arm(t);
    }
    [[nodiscard]] Duration smoothed_rtt() const noexcept;
    [[nodiscard]] Duration credit_delay() const noexcept {
        return std::clamp<Duration>(smoothed_rtt() / 4, std::chrono::microseconds(50), std::chrono::milliseconds(1));
    }
    [[nodiscard]] bool relaxed_in_force() const noexcept {
        return (config.features & peer.features & FL_FEATURE_RELAXED_ORDERING) != 0;
    }

    // --- session_receive.cpp
    void on_other_frame(std::span<std::byte> frame, PathId arrived_on, Time now) noexcept;

    // --- session_lone.cpp
    [[nodiscard]] bool on_lone_frame(std::span<std::byte> frame, PathId arrived_on, Time now) noexcept;
    void stamp(Time now) noexcept;
    [[nodiscard]] Session::Built build_lone(std::span<std::byte> out, Time now) noexcept;
    void left_lone(Time was, Time now) noexcept;
    /// One request or one completion, on the only path, is what there is to send, besides credits, which may follow.
    [[nodiscard]] bool has_lone() const noexcept {
        const FunctionCore* const f = ready.front();
        return (due & ~kDueCredit) == 0 && single != nullptr && f != nullptr && ready.next(*f) == nullptr &&
               f->has_lone();
    }

    // --- session_build.cpp
    Session::Built build(std::span<std::byte> out, Time now, std::uint64_t not_on) noexcept;
    [[nodiscard]] bool wants_to_send(Time now) const noexcept;

    // --- session_ack.cpp
    void on_ack(const AckRecord& a, Time now) noexcept;
    /// Takes the acknowledgement that was put off.
    void settle() noexcept;
    void on_ranges(const AckRecord& a, Path& p, Time now) noexcept;
    void detect_losses(Path& p, Time now) noexcept;
    void lost(Path& p, std::uint64_t number, const SentPacket& packet, Time now) noexcept;
    void resend(const RecordRef& ref, Path& p, Time now) noexcept;
    void give_up_oldest(Path& p, Time now) noexcept;
    void kill_path(Path& p, unsigned good_probes_needed, Time now) noexcept;
    /// Another path is up and not silent.
    [[nodiscard]] bool another_answers(const Path& p) const noexcept;
    /// Silent while another one is not: records take that one.
    [[nodiscard]] bool avoided(const Path& p) const noexcept { return p.probes != 0 && another_answers(p); }
    [[nodiscard]] bool carries(const Path& p) const noexcept { return p.usable() && !avoided(p); }

    // --- session_timer.cpp
    void on_timer(Time now) noexcept;

    // --- session_control.cpp
    /// False: its packet must not be acknowledged.
    bool on_control(const ControlRecord& c, Path& p, Time now) noexcept;
    template <class T>
    void send_control(std::uint8_t type, const T& body) {
        if (state == SessionState::closed) return;
        control_out.push(type, body);
        due |= kDueControl;
        rouse();
    }

    // --- handshake.cpp
    void start_hello(Path& p) noexcept;
    void accept_hello(const Hello& h, Path& p, Time now) noexcept;
    bool on_hello_ack(const fl_control_hello& h, Path& p, Time now) noexcept;
    bool on_hello_reject(const fl_control_status& r, Path& p) noexcept;
    [[nodiscard]] std::size_t build_hello(std::span<std::byte> out, Path& p, Time now) noexcept;
    void path_is_up(Path& p, Time now) noexcept;

    // --- doubt.cpp
    [[nodiscard]] bool on_hint(const Hint& h, Time now) noexcept;
    void doubt_timer(Time now) noexcept;

    // What every frame needs is first: of a thousand sessions each is used now and then, and then its cache lines have
    // to come from far away.
    SessionState state = SessionState::idle;
    Status why = Status::ok;
    const bool initiating;
    const bool integrity;
    const bool clear;   ///< no keys: small frames are checked where they are read and written
    bool sums = false;  ///< payloads are summed while they are copied
    bool awake = false;
    bool patience_in_force = false;  ///< FL_FEATURE_PATIENCE is in force
    bool asked = false;              ///< the peer waits for the next frame that has the credits
    static constexpr std::uint8_t kSpacedFrames = 4;
    std::uint8_t spaced = 0;  ///< not 0: one of the peer's last kSpacedFrames could wait, records come far apart
    std::uint32_t awake_number = 0;
    std::vector<std::uint32_t>* awake_list = nullptr;  ///< of whoever turns this session; null: it is always looked at
    Workspace* work;
    Path* single = nullptr;  ///< the only path
    // what is due
    std::uint32_t due = 0;  ///< Due bits
    const std::uint32_t session_id;
    Time timer = kNever;        ///< not later than the first of all deadlines
    Time late_ack_at = kNever;  ///< kNever: there is no late_ack
    IntrusiveList<FunctionCore, &FunctionCore::ready_link> ready;
    IntrusiveList<FunctionCore, &FunctionCore::quarantine_link> quarantined;
    Time last_heard{};
    std::uint32_t peer_session = 0;  ///< what goes into our frames
    Seal* const seal;                ///< one for all sessions without keys: it is in the cache, whoever had it last

    FunctionTable functions;
    Time functions_timer = kNever;

    IntrusiveList<FunctionCore, &FunctionCore::credit_link> credits;  ///< not all of them is told; due ones first
    Time credit_timer = kNever;
    Time doubted = kNever;  ///< since when: the peer may have forgotten this session
    std::vector<std::unique_ptr<Path>> paths;

    // An acknowledgement of few packets: what came with it is answered first, since taking it costs as much as the rest
    // of a small frame.
    AckRecord late_ack;
    SessionCounters counters;
    std::size_t last_path = 0;  ///< ties are broken in turn

    Session& self;
    SessionHandler& handler;
    SessionConfig config;
    PeerInfo peer;
    std::uint64_t nonce = 0;
    std::uint8_t version = FL_WIRE_VERSION;
    std::unique_ptr<Workspace> own_work;  ///< until somebody attends
    std::unique_ptr<Seal> own_seal;       ///< with keys
    Time next_doubt{};                    ///< hints before that are ignored

    std::uint16_t bindings = 0;
    struct LimitsTold {  ///< by the last attach reply, used by the bind that follows
        CreditRecord credit;
        bool valid = false;
    } limits_told;

    ControlSender control_out;
    ControlReceiver control_in;

private:
    // session_receive.cpp
    [[nodiscard]] bool open_frame(std::span<std::byte> frame, PathId arrived_on, Header& h, Path*& p) noexcept;
    [[nodiscard]] bool take_records(std::span<const std::byte> records, Path& p, Asks& asks, Time now) noexcept;
    /// Flags of a frame that are not the seal's.
    [[nodiscard]] std::uint8_t own_flags() const noexcept { return patience_in_force ? FL_FRAME_PATIENT : 0; }
    /// A packet that was taken: when it has to be acknowledged.
    [[gnu::always_inline]] void noted(const Header& h, Path& p, bool in_order, Asks asks, Time now) noexcept {
        if ((h.flags & FL_FRAME_PATIENT) != 0) {
            spaced = kSpacedFrames;
            if (asks == Asks::patiently) asks = Asks::sometime;
        } else if (asks != Asks::nothing && spaced != 0) {
            --spaced;
        }
        p.arrived(in_order, asks, h.frame_bytes, now);
        if (p.ack_now) due |= kDuePath;
        arm(p.ack_deadline);
    }
    /// A device may wait until what it wrote is released, to use its buffer again. A host that waits asks with a
    /// KEEPALIVE.
    [[nodiscard]] Asks asks_of(std::uint8_t family, RecordClass record_class) const noexcept {
        if (family == FL_FAMILY_ACK) return Asks::nothing;
        if (family == FL_FAMILY_CREDIT) return Asks::patiently;
        const bool patient = family == FL_FAMILY_TLP && (!initiating || record_class != RecordClass::posted);
        return patient ? Asks::patiently : Asks::soon;
    }
    [[nodiscard]] bool on_record(const Record& r, Path& p, Time now) noexcept;
    void heard_after_silence(Path& p, Time now) noexcept;
    void heard_on_dead(Path& p, Time now) noexcept;
    // session_lone.cpp
    void left_late(Time was, Time now) noexcept;
    struct LoneIn {
        Header header;
        Path* taken = nullptr;  ///< of the path
        Asks asks = Asks::nothing;
    } lone_in;  ///< the frame at hand, until it is stamped
    struct LoneOut {
        RecordRef ref;
        std::uint16_t bytes = 0, data_bytes = 0;
    } lone_out;  ///< the frame at hand, until it has left
    // session_build.cpp
    struct Choice {
        Path* path = nullptr;
        bool data = false;
    };
    [[nodiscard]] bool takes(const Path& p) const noexcept { return p.id >= 64 || (work->not_on >> p.id & 1) == 0; }
    [[nodiscard]] Choice choose(Time now) noexcept;
    [[nodiscard]] Path* best_path(Time now, bool with_room) noexcept;
    Session::Built build_cold(std::span<std::byte> out, Time now) noexcept;
    Session::Built build_mtu_probe(std::span<std::byte> out, Time now) noexcept;
    Session::Built fill_frame(Path& p, bool data, std::span<std::byte> out, Time now) noexcept;
    /// A frame leaves ...
    void left(Path& p, std::size_t bytes, unsigned records, Time now) noexcept {
        p.last_sent = now;
        ++p.packets_sent;
        ++counters.frames_out;
        counters.bytes_out += bytes;
        counters.records_out += records;
    }
    /// ... and something in it waits for an acknowledgement.
    void waits(Path& p, std::size_t bytes, std::uint16_t data_bytes, Time now) noexcept {
        p.last_waiting = now;
        if (data_bytes != 0) p.last_posted = now;
        if (data_bytes != 0) p.congestion.sent(bytes, now);
        if (p.congestion.next_send() > now) [[unlikely]]
            arm(p.congestion.next_send());
        if (p.probe_armed) return;
        p.probe_armed = true;
        arm(now + p.probe_interval());
    }
    void begin(Path& p, std::span<std::byte> out, Time now) noexcept;
    void start(Path& p, std::span<std::byte> out, Time now) noexcept;
    Session::Built finish(Path& p, Time now) noexcept;
    [[nodiscard]] bool may_wait(const Path& p, Time now) const noexcept;
    void write_ack(Path& p, Time now) noexcept;
    void write_credits(bool all) noexcept;
    void write_control() noexcept;
    void write_due(Path& p) noexcept;
    void write_keepalive(Path& p) noexcept;
    void write_functions() noexcept;
    [[nodiscard]] bool write_alone(std::uint8_t type, RefKind kind, std::uint64_t sequence) noexcept;
    // session_timer.cpp
    void path_timer(Path& p, Time now) noexcept;
    void dead_timer(Path& p, Time now) noexcept;
    void waiting_timer(Path& p, Time now) noexcept;
    void silent_timer(Path& p, Time now) noexcept;
    [[nodiscard]] bool answered_elsewhere(const Path& p) const noexcept;
    void tail_probe(Path& p, Time now) noexcept;
    void repeat(Path& p, Time now) noexcept;
    void functions_timers(Time now) noexcept;
    void credit_timers(Time now) noexcept;
    void hello_timer(Path& p, Time now) noexcept;
    // session_ack.cpp
    struct Acked {
        std::uint64_t bytes = 0;
        unsigned packets = 0;
    };
    void packet_acked(Path& p, std::uint64_t number, const SentPacket& packet, Acked& sum) noexcept;
    void delivered(const RecordRef& ref, Path& p, std::uint64_t number) noexcept;
    void delivered_rare(const RecordRef& ref, Path& p, std::uint64_t number) noexcept;
    void judge_losses(Path& p, Time now) noexcept;
    void no_longer_silent(Path& p, Time now) noexcept;
    // session_control.cpp
    bool deliver_control(const ControlRecord& c) noexcept;
    void dispatch(const ControlRecord& c) noexcept;
};

struct Session::State : SessionCore {
    using SessionCore::SessionCore;
};

/// The implementation behind a Function.
[[nodiscard]] FunctionCore& core_of(Function& f) noexcept;

}  // namespace farlane::proto
