// SPDX-License-Identifier: Apache-2.0
// Receives: hellos and control records of initiators. Hands on: exports to sessions.
// Owns: the exports and the peers that talk to this target.
#include "lane/target.hpp"

#include <algorithm>
#include <cassert>
#include <cctype>
#include <functional>

#include "lane/function_place.hpp"
#include "lane/target_export.hpp"

namespace farlane::lane {

struct Target::Peer {
    proto::PeerInfo info;
    proto::Session* session = nullptr;
    std::uint32_t peer_session_id = 0;
    std::uint64_t nonce = 0;
    Time silent_until = kNever;  // then its session is given up
};

namespace {

bool good_name(std::string_view name) noexcept {
    return !name.empty() && name.size() < FL_NAME_BYTES && std::ranges::all_of(name, [](char c) {
        return (std::isalnum(static_cast<unsigned char>(c)) != 0) || c == '-' || c == '_' || c == '.';
    });
}

template <class T>
Result<T*> object_in(backend::Memory& memory, const std::string& what, bool& fresh) {
    auto region = memory.region(what, sizeof(T), fresh);
    if (!region.ok()) return region.failure();
    return reinterpret_cast<T*>(region.value().data());  // page-aligned plain data
}

}  // namespace

Target::Target(Lane& lane, TargetConfig config, backend::Memory& memory)
    : lane_(lane), config_(std::move(config)), memory_(memory) {
    lane_.add(*this);
}

Target::~Target() {
    lane_.remove(*this);
    exports_.clear();
    for (auto& p : peers_) lane_.drop(*p->session);
}

Target::Peer* Target::peer_of(const proto::Session& s) noexcept {
    const auto at = std::ranges::find(peers_, &s, [](const auto& p) { return p->session; });
    return at == peers_.end() ? nullptr : at->get();
}

Export* Target::export_of(std::string_view name) noexcept {
    for (auto& e : exports_)
        if (e && e->name() == name) return e.get();
    return nullptr;
}

void Target::on_watch(std::function<void(const TargetEvent&)> watcher) {
    watcher_ = std::move(watcher);
}

void Target::tell(const Export& e, const std::string& what, const std::string& detail) const {
    if (watcher_) watcher_({e.name(), e.holder_name(), what, detail});
}

Result<bool> Target::add(const std::string& name, std::unique_ptr<backend::Device> device) {
    if (!good_name(name)) return {Status::invalid, "not a name of a function"};
    if (export_of(name) != nullptr) return {Status::busy, "there is a function of this name"};
    bool fresh_memory = false;
    bool fresh_record = false;
    const auto function = function_place(memory_, "function-" + name, fresh_memory);
    const auto record = object_in<ExportRecord>(memory_, "export-" + name, fresh_record);
    if (!function.ok()) return function.failure();
    if (!record.ok()) return record.failure();

    auto made = std::make_unique<Export>(lane_, working_, name, std::move(device), function.value(), *record.value(),
                                         config_.limits);
    // An adopted attachment keeps the index it had: the handle is known to its initiator.
    std::size_t at = static_cast<std::size_t>(
        std::ranges::find_if(exports_, std::logical_not{}, [](const auto& e) { return e != nullptr; }) -
        exports_.begin());
    const std::size_t wanted = function.value().memory.index;
    const bool has_place = wanted < 65535 && (wanted >= exports_.size() || exports_[wanted] == nullptr);
    if (!fresh_memory && function.value().memory.in_use == 1 && has_place) at = wanted;
    if (at >= 65535) return {Status::limit, "65,535 functions are exported already"};
    if (at >= exports_.size()) exports_.resize(at + 1);
    const bool adopted = made->adopt(static_cast<std::uint16_t>(at), Lane::clock(), config_.session.grace);
    exports_[at] = std::move(made);
    tell(*exports_[at], adopted ? "adopted" : "exported");
    announce(FL_EVENT_ADDED, *exports_[at]);
    return true;
}

Status Target::remove(const std::string& name) {
    auto* e = export_of(name);
    if (e == nullptr) return Status::not_found;
    announce(FL_EVENT_REMOVED, *e);
    if (e->session() != nullptr) e->session()->send_detach(0, e->handle(), Status::device_lost);
    tell(*e, "removed");
    e->release(Status::device_lost, lane_.now());
    std::erase(working_.list, e);
    *std::ranges::find(exports_, e, [](const auto& p) { return p.get(); }) = nullptr;
    return Status::ok;
}

void Target::announce(unsigned event_code, const Export& e) noexcept {
    const auto desc = e.describe();
    for (auto& p : peers_)
        if (p->session->state() == proto::SessionState::open) p->session->send_event(event_code, {}, desc);
}

void Target::listen(PortId port) {
    lane_.listen(port, *this);
}

void Target::each(const std::function<void(const std::string&, const ExportStatus&, const backend::Device&)>& f) const {
    for (const auto& e : exports_)
        if (e) f(e->name(), e->status(), e->device());
}

void Target::hold(bool on) noexcept {
    held_ = on;
    for (auto& e : exports_)
        if (e && e->function() != nullptr) e->function()->hold(on);
}

std::string Target::unsettled() const {
    for (const auto& e : exports_) {
        if (!e || e->session() == nullptr || e->session()->state() != proto::SessionState::open) continue;
        if (!e->function()->settled()) return e->name();
    }
    return {};
}

std::vector<std::string> Target::would_reset() const {
    std::vector<std::string> names;
    for (const auto& e : exports_)
        if (e && e->state() != Export::State::free && !e->device().keeps_state()) names.push_back(e->name());
    return names;
}

void Target::close(bool keep) noexcept {
    closed_ = true;  // who asks again finds the next life
    for (auto& e : exports_)
        if (e && !keep && e->session() != nullptr) {
            e->session()->send_detach(0, e->handle(), Status::device_lost);
            e->release(Status::device_lost, lane_.now());
        }
    while (!peers_.empty()) {
        auto& s = *peers_.back()->session;
        retire(*peers_.back());
        s.close(Status::ok, lane_.now());
    }
}

// The peer's session is over: its functions wait for the grace.
void Target::retire(Peer& peer) noexcept {
    for (auto& e : exports_)
        if (e && e->session() == peer.session) {
            e->enter_grace(lane_.now() + config_.session.grace, true, lane_.now());
            tell(*e, "grace");
        }
    lane_.drop(*peer.session);
    std::erase_if(peers_, [&](const auto& p) { return p.get() == &peer; });
}

// A hello costs its sender nothing, not even an address of its own.
void Target::bound_half_open() noexcept {
    const auto half_open = [](const auto& p) { return p->session->state() == proto::SessionState::hello; };
    if (std::ranges::count_if(peers_, half_open) < static_cast<std::ptrdiff_t>(config_.max_half_open)) return;
    retire(**std::ranges::find_if(peers_, half_open));  // in the order they came
}

void Target::on_hello(PortId port, const transport::Address* from, const proto::Hello& hello, Time) noexcept {
    if (closed_) return;
    // Paths are numbered from 0: a larger number is nobody's, and would cost memory.
    if (hello.path >= config_.session.max_paths) return lane_.reject(port, from, hello, Status::limit);
    const auto known = std::ranges::find(peers_, hello.peer.instance, [](const auto& p) { return p->info.instance; });
    if (known != peers_.end()) {
        auto& p = **known;
        const bool same_session = p.peer_session_id == hello.session_id && p.info.incarnation == hello.peer.incarnation;
        if (same_session && p.nonce == hello.nonce) return lane_.join(*p.session, port, from, hello);
        // A new session of the same peer: it restarted, or gave the old session up.
        retire(p);
    }
    bound_half_open();
    if (peers_.size() >= config_.max_sessions) return lane_.reject(port, from, hello, Status::limit);
    if (hello.version_max < config_.session.version_min || hello.version_min > config_.session.version_max)
        return lane_.reject(port, from, hello, Status::version);
    auto peer = std::make_unique<Peer>();
    peer->info = hello.peer;
    peer->peer_session_id = hello.session_id;
    peer->nonce = hello.nonce;
    peers_.push_back(std::move(peer));
    auto& slot = *peers_.back();
    slot.session = &lane_.accept(port, from, hello, config_.session, *this);
}

void Target::on_state(proto::Session& s, proto::SessionState state, Status) noexcept {
    auto* peer = peer_of(s);
    if (peer == nullptr) return;
    if (state == proto::SessionState::closed) return retire(*peer);
    peer->silent_until = state == proto::SessionState::silent ? lane_.now() + config_.session.grace : kNever;
    for (auto& e : exports_) {
        if (!e || e->session() != &s) continue;
        if (state == proto::SessionState::silent)
            e->enter_grace(lane_.now() + config_.session.grace, false, lane_.now());
        if (state == proto::SessionState::open) e->leave_grace();
    }
}

// Told of sessions that have several; the first one is no news.
void Target::on_path(proto::Session& s, proto::PathId path, proto::PathState state) noexcept {
    const auto* peer = peer_of(s);
    if (peer == nullptr || !watcher_) return;
    const auto paths = s.paths();
    const bool others = std::ranges::any_of(paths, [&](const auto& p) { return p.id != path && p.usable; });
    if (!others) return;
    const auto place = lane_.place_of(s, path);
    watcher_({"", peer->info.name, state == proto::PathState::up ? "path_up" : "path_down",
              "path " + std::to_string(path) + ", " + lane_.port(place.port).info().url + " " + place.address});
}

void Target::on_list(proto::Session& s, std::uint32_t request) noexcept {
    const auto count =
        static_cast<unsigned>(std::ranges::count_if(exports_, [](const auto& e) { return e != nullptr; }));
    if (count == 0) s.send_list_reply(request, 0, 0, fl_function_desc{});
    unsigned index = 0;
    for (const auto& e : exports_)
        if (e) s.send_list_reply(request, index++, count, e->describe());
}

proto::AttachReply Target::attach(proto::Session& s, const Peer& peer, const proto::AttachRequest& r) noexcept {
    proto::AttachReply reply;
    reply.request = r.request;
    auto* e = export_of(r.name);
    if (e == nullptr) {
        reply.status = Status::not_found;
        return reply;
    }
    const bool same = e->held_by(peer.info.instance);
    const bool here = e->session() == &s;
    if ((e->state() != Export::State::free && !same) || (here && !r.resume)) {
        reply.status = Status::busy;
        reply.desc = e->describe();
        return reply;
    }
    if (same && r.resume && e->handle() == r.handle && e->resume(s, r, reply, lane_.now())) {
        tell(*e, "resumed");
    } else {
        // Fresh: nothing of an earlier attachment may be replayed into this one.
        e->release(Status::device_reset, lane_.now());
        const auto index = static_cast<std::uint16_t>(
            std::ranges::find(exports_, e, [](const auto& p) { return p.get(); }) - exports_.begin());
        reply.status = e->attach(index, s, peer.info, lane_.now());
        tell(*e, r.resume ? "device_reset" : "attached");
    }
    reply.handle = e->handle();
    reply.desc = e->describe();
    return reply;
}

void Target::on_attach(proto::Session& s, const proto::AttachRequest& r) noexcept {
    if (const auto* peer = peer_of(s); peer != nullptr) s.send_attach_reply(attach(s, *peer, r));
}

void Target::on_detach(proto::Session& s, std::uint32_t request, proto::FunctionHandle h, Status) noexcept {
    Export* e = h.index < exports_.size() ? exports_[h.index].get() : nullptr;
    const auto* peer = peer_of(s);
    if (e == nullptr || peer == nullptr || !e->held_by(peer->info.instance) || !(e->handle() == h)) {
        s.send_detach_reply(request, h, Status::not_found);
        return;
    }
    tell(*e, "detached");
    e->release(Status::ok, lane_.now());
    s.send_detach_reply(request, h, Status::ok);
}

bool Target::turn(Time now) noexcept {
    bool busy = turn_devices();
    if (now < next_look_) return busy;
    next_look_ = now + std::max<Duration>(kLookEvery, std::chrono::microseconds(exports_.size()));
    if (working_.waiting) busy |= turn_waiting(now);
    const auto gone = std::ranges::find_if(peers_, [&](const auto& p) { return p->silent_until <= now; });
    if (gone != peers_.end()) {
        auto& s = *(*gone)->session;
        retire(**gone);
        s.close(Status::timeout, now);
        busy = true;
    }
    return busy;
}

bool Target::turn_waiting(Time now) noexcept {
    bool busy = false;
    for (auto& e : exports_) {
        if (!e) continue;
        while (const auto news = e->news(now)) {
            tell(*e, news->what, news->detail);
            if (news->event_code != 0 && e->session() != nullptr)
                e->session()->send_event(news->event_code, e->handle(), e->describe());
        }
        if (e->next_timeout() <= now) e->on_timeout(now);
        if (e->state() == Export::State::grace && e->deadline() <= now) {
            tell(*e, "released", "grace is over");
            e->release(Status::device_lost, now);
            busy = true;
        }
    }
    working_.waiting = std::ranges::any_of(exports_, [](const auto& e) { return e && e->waits(); });
    return busy;
}

Time Target::next_timer() const noexcept {
    Time next = kNever;
    for (const auto& p : peers_) next = std::min(next, p->silent_until);
    if (!working_.waiting) return next;
    for (const auto& e : exports_)
        if (e) next = std::min({next, e->deadline(), e->next_timeout(), e->next_news()});
    return next;
}

// A target may export ten thousand functions: those whose devices have nothing to do cost nothing.
bool Target::turn_devices() noexcept {
    if (held_) return false;
    if (working_.woken.load(std::memory_order_relaxed) && working_.woken.exchange(false, std::memory_order_acquire))
        for (auto& e : exports_)
            if (e && e->busy()) e->touch();
    bool busy = false;
    for (std::size_t i = 0; i < working_.list.size();) {
        Export* const e = working_.list[i];
        if (e->busy()) {
            busy |= e->turn();
            ++i;
            continue;
        }
        e->unlist();
        working_.list[i] = working_.list.back();
        working_.list.pop_back();
    }
    return busy;
}

bool Target::prepare_sleep() noexcept {
    if (held_) return true;
    assert(std::ranges::all_of(exports_, [this](const auto& e) {
        return !e || e->listed() || e->device().ends_elsewhere() || !e->busy() ||
               working_.woken.load(std::memory_order_acquire);
    }));
    return working_.list.empty() && !working_.woken.load(std::memory_order_acquire);
}

}  // namespace farlane::lane
