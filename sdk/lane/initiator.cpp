// SPDX-License-Identifier: Apache-2.0
// Receives: what targets say. Hands on: attachments and events. Owns: the peers, their
// sessions (opened again whenever they are gone) and the attachments.
// What applications ask for is in initiator_requests.cpp.
#include "lane/initiator.hpp"

#include <algorithm>

#include "lane/grip.hpp"
#include "lane/initiator_state.hpp"

namespace farlane::lane {

Initiator::Initiator(Lane& lane, InitiatorConfig config, backend::Memory& memory)
    : lane_(lane), config_(std::move(config)), memory_(memory) {
    lane_.add(*this);
}

Initiator::~Initiator() {
    lane_.remove(*this);
    // What waits for an answer may own users of the attachments: they go first.
    pending_.clear();
    listings_.clear();
    grips_.clear();
    for (auto& p : peers_)
        if (p->session != nullptr) lane_.drop(*p->session);
}

Initiator::Peer* Initiator::peer_of(const proto::Session& s) noexcept {
    for (auto& p : peers_)
        if (p->session == &s) return p.get();
    return nullptr;
}

Grip* Initiator::grip_of(const proto::Session& s, proto::FunctionHandle h) noexcept {
    for (auto& g : grips_)
        if (g->session() == &s && g->handle() == h) return g.get();
    return nullptr;
}

void Initiator::on_watch(std::function<void(const Event&)> watcher) {
    watcher_ = std::move(watcher);
}

void Initiator::tell(EventKind kind, const std::string& function, const Peer& peer, const std::string& detail) {
    if (watcher_) watcher_({kind, function, peer.name, detail, std::chrono::system_clock::now()});
}

PeerId Initiator::connect(PortId port, const transport::Address& to, const std::string& address_text) {
    return connect(std::vector<PeerPath>{{port, to, address_text}});
}

PeerId Initiator::connect(std::vector<PeerPath> paths) {
    auto peer = std::make_unique<Peer>();
    peer->id = static_cast<PeerId>(peers_.size());
    peer->paths = std::move(paths);
    peers_.push_back(std::move(peer));
    open_session(*peers_.back());
    return peers_.back()->id;
}

void Initiator::open_session(Peer& peer) {
    peer.retry_at = kNever;
    // Asked again, but only in a new session: one that was silent and is back delivers what was asked in it, once.
    // Asked twice it would be answered twice, and a second RESUME may make a second attachment.
    for (auto& p : pending_)
        if (p->peer == peer.id) p->sent = false;
    peer.session = &lane_.connect(peer.port(), peer.paths[0].to, config_.session, *this);
    for (std::size_t i = 1; i < peer.paths.size(); ++i)
        (void)lane_.add_path(*peer.session, peer.paths[i].port, peer.paths[i].to);
}

std::vector<PeerStatus> Initiator::peers() const {
    std::vector<PeerStatus> all;
    for (const auto& p : peers_)
        all.push_back({p->id, p->name, p->address(), lane_.port(p->port()).info().url,
                       p->session != nullptr ? p->session->state() : proto::SessionState::closed, p->why, p->session});
    return all;
}

void Initiator::each(const std::function<void(Attachment&)>& f) {
    for (auto& g : grips_) f(*g);
}

void Initiator::came_up(Peer& peer) noexcept {
    const bool was_up = peer.up;
    peer.up = true;
    peer.why = Status::ok;
    peer.silent_since = kNever;
    peer.name = peer.session->peer().name;
    if (!was_up) tell(EventKind::link_up, "", peer, peer.address());
    for (auto& g : grips_) {
        if (g->peer() != peer.id || g->state() == AttachmentState::lost) continue;
        if (g->session() == peer.session) {
            g->up();  // was only silent
        } else if (g->state() != AttachmentState::attaching) {
            // A session of its own answers: take the attachment up again there.
            const bool asked = std::ranges::any_of(
                pending_, [&](const auto& p) { return p->kind == Pending::Kind::resume && p->grip == g.get(); });
            if (!asked) {
                auto p = std::make_unique<Pending>();
                p->kind = Pending::Kind::resume;
                p->request = next_request_++;
                p->peer = peer.id;
                p->grip = g.get();
                p->name = g->name();
                pending_.push_back(std::move(p));
            }
        }
    }
    for (auto& p : pending_)
        if (p->peer == peer.id) ask(*p, peer);
    for (auto& l : listings_)
        for (auto& part : l->parts)
            if (part.peer == peer.id && part.wanted == kUnknownCount) peer.session->send_list(l->request);
}

void Initiator::went_down(Peer& peer) noexcept {
    const std::string why = peer.why == Status::ok ? "the target said goodbye" : std::string(status_text(peer.why));
    if (peer.up) tell(EventKind::link_down, "", peer, why);
    peer.up = false;
}

void Initiator::on_state(proto::Session& s, proto::SessionState state, Status why) noexcept {
    auto* peer = peer_of(s);
    if (peer == nullptr) return;
    const Time deadline = lane_.now() + config_.session.grace;
    switch (state) {
        case proto::SessionState::open: came_up(*peer); break;
        case proto::SessionState::silent:
            peer->why = Status::timeout;
            // stale: the target says that it does not know this session, and nobody else spoke up for it.
            peer->silent_since = lane_.now() - (why == Status::stale ? config_.session.keepalive : Duration{});
            went_down(*peer);
            for (auto& g : grips_)
                if (g->session() == &s) g->down(deadline, false, "the target is silent");
            break;
        case proto::SessionState::closed:
            peer->why = why;
            for (auto& g : grips_)
                if (g->session() == &s)
                    g->down(deadline, true,
                            why == Status::ok ? "the target said goodbye"
                                              : "the session is gone: " + std::string(status_text(why)));
            lane_.drop(s);
            peer->session = nullptr;
            peer->retry_at = lane_.now() + config_.reconnect_delay;
            went_down(*peer);
            break;
        default: break;
    }
}

// Of a session with one path its own state says everything; so it does of the path that opened it.
void Initiator::on_path(proto::Session& s, proto::PathId path, proto::PathState state) noexcept {
    const auto* peer = peer_of(s);
    if (peer == nullptr || peer->paths.size() < 2 || s.state() != proto::SessionState::open) return;
    const auto place = lane_.place_of(s, path);
    tell(state == proto::PathState::up ? EventKind::path_up : EventKind::path_down, "", *peer,
         "path " + std::to_string(path) + ", " + lane_.port(place.port).info().url + " " + place.address);
}

void Initiator::lose(Grip& g, const std::string& why) {
    g.lose(why);
    tell(EventKind::device_lost, g.info().name, *peers_[g.peer()], why);
}

void Initiator::on_detach(proto::Session& s, std::uint32_t request, proto::FunctionHandle h, Status) noexcept {
    s.send_detach_reply(request, h, Status::ok);
    if (auto* g = grip_of(s, h); g != nullptr) lose(*g, "removed by the target");
}

void Initiator::on_event(proto::Session& s, unsigned event_code, proto::FunctionHandle h,
                         const fl_function_desc& desc) noexcept {
    const auto* peer = peer_of(s);
    if (peer == nullptr) return;
    const auto info = to_info(desc, peer->name);
    if (event_code == FL_EVENT_ADDED) tell(EventKind::added, info.name, *peer, info.model);
    if (event_code == FL_EVENT_REMOVED) tell(EventKind::removed, info.name, *peer, info.model);
    if (event_code == FL_EVENT_FAILED && grip_of(s, h) != nullptr)
        tell(EventKind::error, info.name, *peer, kFirmwareHangs);
}

void Initiator::close(bool keep) noexcept {
    closing_ = true;
    for (auto& g : grips_)
        if (!keep && g->session() != nullptr) g->session()->send_detach(0, g->handle(), Status::ok);
    if (!keep) grips_.clear();
    for (auto& g : grips_) g->leave();
    for (auto& p : peers_) {
        if (p->session == nullptr) continue;
        auto& s = *p->session;
        p->session = nullptr;
        for (auto& g : grips_)
            if (g->session() == &s) g->down(kNever, true, "this daemon stops");
        s.close(Status::ok, lane_.now());
        lane_.drop(s);
    }
}

bool Initiator::turn(Time now) noexcept {
    bool busy = false;
    for (auto& p : peers_) {
        if (closing_) break;
        // A target that restarted does not know the old session: say hello again. Resuming loses nothing.
        if (p->session != nullptr && p->silent_since != kNever && now - p->silent_since >= config_.session.keepalive) {
            auto& old = *p->session;
            p->silent_since = kNever;
            for (auto& g : grips_)
                if (g->session() == &old) g->down(now + config_.session.grace, true, "the target is silent");
            lane_.drop(old);
            open_session(*p);
            busy = true;
        } else if (p->session == nullptr && p->retry_at <= now) {
            open_session(*p);
            busy = true;
        }
    }
    if (grips_wait_) busy |= turn_grips(now);
    for (std::size_t i = 0; i < pending_.size(); ++i)
        if (pending_[i]->deadline <= now) {
            const bool detach = pending_[i]->kind == Pending::Kind::detach;
            fail(pending_[i]->request, detach && pending_[i]->sent ? Status::timeout : Status::unreachable, "");
            return true;
        }
    for (auto& l : listings_)
        if (l->deadline <= now) {
            finish_listing(*l);
            return true;
        }
    return busy;
}

bool Initiator::turn_grips(Time now) noexcept {
    bool busy = false;
    for (std::size_t i = 0; i < grips_.size(); ++i) {
        if (grips_[i]->next_timeout() <= now) grips_[i]->on_timeout(now);
        if (grips_[i]->deadline() <= now) {
            lose(*grips_[i], "the grace is over");
            busy = true;
        }
    }
    grips_wait_ = std::ranges::any_of(grips_, [](const auto& g) { return g->waits(); });
    return busy;
}

Time Initiator::next_timer() const noexcept {
    Time next = kNever;
    for (const auto& p : peers_) {
        if (p->session == nullptr) next = std::min(next, p->retry_at);
        if (p->silent_since != kNever) next = std::min(next, p->silent_since + config_.session.keepalive);
    }
    if (grips_wait_)
        for (const auto& g : grips_) next = std::min({next, g->deadline(), g->next_timeout()});
    for (const auto& p : pending_) next = std::min(next, p->deadline);
    for (const auto& l : listings_) next = std::min(next, l->deadline);
    return next;
}

}  // namespace farlane::lane
