// SPDX-License-Identifier: Apache-2.0
// Receives: calls of the lane. Hands on: the same to the parts of the session. Owns: the state
// machine and the table of functions. docs/wire.md, "Session".
#include "proto/session.hpp"

#include <cassert>

#include "proto/session_core.hpp"

namespace farlane::proto {

namespace {

Seal& clear_seal() {
    static Seal& seal = *new ClearSeal;  // for ever: it has no state
    return seal;
}

}  // namespace

SessionCore::SessionCore(Session& self_, const SessionConfig& config_, SessionHandler& handler_,
                         std::unique_ptr<Seal> seal_, bool initiating_)
    : initiating(initiating_),
      integrity(config_.integrity),
      clear(seal_ == nullptr || dynamic_cast<const ClearSeal*>(seal_.get()) != nullptr),
      session_id(config_.session_id),
      seal(clear ? &clear_seal() : seal_.get()),
      self(self_),
      handler(handler_),
      config(config_),
      own_work(std::make_unique<Workspace>()),
      own_seal(std::move(seal_)) {
    work = own_work.get();
    sums = integrity && seal->takes_sums();
    config.max_paths = std::max<std::uint16_t>(config.max_paths, 1);
    peer.keepalive = config.keepalive;
    nonce = config.nonce;
}

SessionCore::~SessionCore() {
    for (std::size_t i = 0; i < functions.size(); ++i)
        if (functions[i] != nullptr) forget(*functions[i]);
}

//            idle -> hello          first path (initiating), or a hello accepted
//            hello -> open          HELLO_ACK (initiating), or the first frame of the peer
//            open <-> silent        nothing heard for 3 keep-alive intervals, or a doubt was not cleared;
//                                   the next good frame
//            any but closed -> closed
bool may_enter(SessionState from, SessionState to) noexcept {
    switch (to) {
        case SessionState::idle: return false;
        case SessionState::hello: return from == SessionState::idle;
        case SessionState::open: return from == SessionState::hello || from == SessionState::silent;
        case SessionState::silent: return from == SessionState::open;
        case SessionState::closed: return from != SessionState::closed;
    }
    return false;
}

void SessionCore::enter(SessionState next, Status reason) noexcept {
    if (!may_enter(state, next)) return;
    state = next;
    why = reason;
    handler.on_state(self, next, reason);
}

void SessionCore::close(Status reason, bool say_goodbye) noexcept {
    if (state == SessionState::closed) return;
    due = say_goodbye && peer_session != 0 ? std::uint32_t{kDueGoodbye} : 0u;
    rouse();
    enter(SessionState::closed, reason);
}

Path& SessionCore::make_path(PathId id, const PathConfig& path_config, Time now) {
    paths.push_back(std::make_unique<Path>(id, path_config, config.packet_window, now));
    single = paths.size() == 1 ? paths.front().get() : nullptr;
    arm(now);
    return *paths.back();
}

Status SessionCore::bind(FunctionCore& f, const std::optional<Session::Resume>& resume, Time now) noexcept {
    const FunctionHandle h = f.renew_handle();
    if (state == SessionState::closed) return Status::unreachable;
    if (h.index >= config.max_functions) return Status::limit;
    if (f.session != nullptr) return Status::busy;
    if (functions.at(h.index) != nullptr) return Status::busy;
    functions.put(h.index, &f);
    if (++bindings == 0) ++bindings;
    const bool told = limits_told.valid && limits_told.credit.handle == h;
    const CreditRecord limits = limits_told.credit;
    limits_told.valid = limits_told.valid && !told;
    const Status s = f.bind(*this, bindings, resume, told ? &limits : nullptr, now);
    if (s != Status::ok) functions.put(h.index, nullptr);
    return s;
}

void SessionCore::forget(FunctionCore& f) noexcept {
    ready.remove(f);
    credits.remove(f);
    quarantined.remove(f);
    for (std::size_t i = 0; i < functions.size(); ++i)
        if (functions[i] == &f) functions.take_out(functions.index_of(i), f.handle().generation);
    f.session = nullptr;
    if (work->touched == &f) work->touched = nullptr;
}

void SessionCore::quarantine(FunctionCore& f) noexcept {
    quarantined.push_back(f);
    due |= kDueKeepalive;  // a keep-alive: whether the peer is there should be known soon
    rouse();
}

Duration SessionCore::smoothed_rtt() const noexcept {
    if (single != nullptr) return single->usable() ? single->rtt.smoothed() : Duration{};
    Duration longest{};
    for (const auto& p : paths)
        if (p->usable()) longest = std::max(longest, p->rtt.smoothed());
    return longest;
}

// --- the API

Session::Session(const SessionConfig& config, SessionHandler& handler, std::unique_ptr<Seal> seal)
    : state_(std::make_unique<State>(*this, config, handler, std::move(seal), true)) {}

Session::Session(const SessionConfig& config, SessionHandler& handler, std::unique_ptr<Seal> seal, const Hello& hello,
                 const PathConfig& path, Time now)
    : state_(std::make_unique<State>(*this, config, handler, std::move(seal), false)) {
    state_->last_heard = now;
    state_->nonce = hello.nonce;
    state_->accept_hello(hello, state_->make_path(hello.path, path, now), now);
}

Session::~Session() = default;

PathId Session::add_path(const PathConfig& path, Time now) {
    SessionCore& s = *state_;
    PathId id = 0;
    while (s.path(id) != nullptr) ++id;
    Path& p = s.make_path(id, path, now);
    if (s.paths.size() == 1) s.last_heard = now;
    s.start_hello(p);
    s.enter(SessionState::hello, Status::ok);
    return id;
}

void Session::on_hello(const Hello& hello, const PathConfig& path, Time now) {
    SessionCore& s = *state_;
    const bool same_peer = hello.nonce == s.nonce && hello.peer.instance == s.peer.instance &&
                           hello.peer.incarnation == s.peer.incarnation && hello.session_id == s.peer_session;
    const bool too_many = s.path(hello.path) == nullptr && s.paths.size() >= s.config.max_paths;
    if (s.initiating || s.state == SessionState::closed || !same_peer || too_many) {
        s.counters.drop(Drop::hello_refused);
        return;
    }
    s.last_heard = now;
    Path* p = s.path(hello.path);
    s.accept_hello(hello, p != nullptr ? *p : s.make_path(hello.path, path, now), now);
}

void Session::on_frame(std::span<std::byte> frame, PathId arrived_on, Time now) noexcept {
    if (!state_->on_lone_frame(frame, arrived_on, now)) return state_->on_other_frame(frame, arrived_on, now);
    state_->stamp(now);
}

bool Session::on_lone_frame(std::span<std::byte> frame, PathId arrived_on, Time now) noexcept {
    return state_->on_lone_frame(frame, arrived_on, now);
}

void Session::on_other_frame(std::span<std::byte> frame, PathId arrived_on, Time now) noexcept {
    state_->on_other_frame(frame, arrived_on, now);
}

void Session::stamp(Time now) noexcept {
    state_->stamp(now);
}

bool Session::on_hint(const Hint& hint, Time now) noexcept {
    return state_->on_hint(hint, now);
}

Session::Built Session::build(std::span<std::byte> out, Time now, std::uint64_t not_on) noexcept {
    return state_->build(out, now, not_on);
}

bool Session::wants_to_send(Time now) const noexcept {
    return state_->wants_to_send(now);
}

Session::Built Session::build_lone(std::span<std::byte> out, Time then) noexcept {
    return state_->build_lone(out, then);
}

void Session::left_lone(Time then, Time now) noexcept {
    state_->left_lone(then, now);
}

bool Session::has_lone() const noexcept {
    return state_->has_lone();
}

Time Session::next_timer() const noexcept {
    return state_->timer;
}

void Session::on_timer(Time now) noexcept {
    state_->on_timer(now);
}

void Session::attend(std::vector<std::uint32_t>& awake, std::uint32_t number, Workspace& work) {
    state_->work = &work;
    state_->own_work.reset();
    state_->awake_list = &awake;
    state_->awake_number = number;
    state_->awake = false;
    state_->rouse();
}

void Session::rouse() noexcept {
    state_->rouse();
}

void Session::settle() noexcept {
    state_->settle();
}

Time Session::rest() noexcept {
    assert(state_->late_ack_at == kNever);
    state_->awake = false;
    return state_->timer;
}

Status Session::bind(Function& f, const std::optional<Resume>& resume, Time now) noexcept {
    return state_->bind(core_of(f), resume, now);
}

void Session::unbind(Function& f, Status why, Time /*now*/) noexcept {
    FunctionCore& core = core_of(f);
    if (core.session != state_.get()) return;
    state_->forget(core);
    core.unbind(why);
}

Function* Session::find(FunctionHandle h) noexcept {
    FunctionCore* f = state_->functions.at(h.index);
    return f != nullptr && f->handle() == h ? &f->self : nullptr;
}

void Session::close(Status why, Time /*now*/) noexcept {
    state_->close(why, true);
}

SessionState Session::state() const noexcept {
    return state_->state;
}

Status Session::why() const noexcept {
    return state_->why;
}

const PeerInfo& Session::peer() const noexcept {
    return state_->peer;
}

std::uint32_t Session::session_id() const noexcept {
    return state_->session_id;
}

const SessionCounters& Session::counters() const noexcept {
    return state_->counters;
}

std::vector<Session::PathInfo> Session::paths() const {
    std::vector<PathInfo> out;
    for (const auto& p : state_->paths) {
        PathInfo info{};
        info.id = p->id;
        info.state = p->state;
        info.usable = p->usable();
        info.frame_bytes = p->mtu.frame_bytes();
        info.smoothed_rtt = p->rtt.known() ? p->rtt.smoothed() : Duration{};
        info.min_rtt = p->rtt.known() ? p->rtt.min() : Duration{};
        info.congestion_window_bytes = p->congestion.window_bytes();
        info.in_flight_bytes = p->sent.in_flight_bytes();
        info.packets_sent = p->packets_sent;
        info.packets_lost = p->packets_lost;
        info.packets_received = p->packets_received;
        out.push_back(info);
    }
    return out;
}

}  // namespace farlane::proto
