// SPDX-License-Identifier: Apache-2.0
// Receives: list, attach, resume and detach of applications. Hands on: questions to targets,
// and their answers, exactly once. Owns: the questions that are open.
#include <algorithm>

#include "lane/function_place.hpp"
#include "lane/initiator_state.hpp"
#include "proto/codec.hpp"

namespace farlane::lane {
namespace {

bool file_safe(char c) noexcept {
    return (std::isalnum(static_cast<unsigned char>(c)) != 0) || c == '-' || c == '_' || c == '.';
}

std::string region_name(const std::string& name, const std::string& address) {
    std::string out = "attachment-" + name + "-" + address;
    std::ranges::replace_if(
        out, [](char c) { return !file_safe(c); }, '_');
    return out;
}

/// Every way to a peer: its address, and the port here.
std::string where_of(Lane& lane, const std::vector<PeerPath>& paths) {
    std::string out;
    for (const PeerPath& p : paths)
        out += (out.empty() ? "" : " and ") + (p.address.empty() ? "" : p.address + " ") + "on " +
               lane.port(p.port).info().url;
    return out;
}

std::string names_of(const std::vector<FunctionInfo>& functions) {
    std::string out;
    for (const auto& f : functions) out += (out.empty() ? "" : ", ") + f.name;
    return out.empty() ? "nothing" : out;
}

}  // namespace

void Initiator::list(Duration timeout, ListDone done) {
    auto l = std::make_unique<Listing>();
    l->request = next_request_++;
    l->deadline = Lane::clock() + timeout;
    l->done = std::move(done);
    for (auto& p : peers_) {
        l->parts.push_back({p->id, kUnknownCount, 0});
        if (p->up) p->session->send_list(l->request);
    }
    listings_.push_back(std::move(l));
    if (peers_.empty()) finish_listing(*listings_.back());
    lane_.wake();
}

void Initiator::on_list_reply(proto::Session& s, std::uint32_t request, unsigned, unsigned count,
                              const fl_function_desc& desc) noexcept {
    const auto* peer = peer_of(s);
    const auto l = std::ranges::find(listings_, request, [](const auto& x) { return x->request; });
    if (peer == nullptr || l == listings_.end()) return;
    auto& parts = (*l)->parts;
    const auto part = std::ranges::find(parts, peer->id, &Listing::Part::peer);
    if (part == parts.end()) return;
    part->wanted = count;
    if (count > 0 && part->got < count) {
        ++part->got;
        (*l)->functions.push_back(to_info(desc, peer->name));
    }
    const bool complete =
        std::ranges::all_of(parts, [](const auto& x) { return x.wanted != kUnknownCount && x.got >= x.wanted; });
    if (complete) finish_listing(**l);
}

void Initiator::finish_listing(Listing& l) {
    const auto at = std::ranges::find(listings_, &l, [](const auto& x) { return x.get(); });
    const auto owned = std::move(*at);
    listings_.erase(at);
    const bool any = std::ranges::any_of(owned->parts, [](const auto& x) { return x.wanted != kUnknownCount; });
    if (any || owned->parts.empty()) return owned->done(std::move(owned->functions));
    std::string where;
    for (const auto& p : peers_) where += (where.empty() ? "" : ", ") + where_of(lane_, p->paths);
    owned->done(Failure{Status::unreachable, "no target answers (asked: " + where + "); is farlaned running there?"});
}

Result<Initiator::Peer*> Initiator::choose_peer(std::string& name) {
    const auto slash = name.find('/');
    if (slash == std::string::npos) return peers_.size() == 1 ? peers_[0].get() : nullptr;
    const auto target = name.substr(0, slash);
    for (auto& p : peers_)
        if (p->name == target) {
            name = name.substr(slash + 1);
            return p.get();
        }
    return {Status::not_found, "no target named '" + target + "' is reachable"};
}

void Initiator::attach(const std::string& wanted, AttachDone done, std::optional<Duration> timeout) {
    std::string name = wanted;
    const Duration patience = timeout.value_or(config_.attach_timeout);
    const Time deadline = Lane::clock() + patience;
    if (peers_.empty()) return done(Failure{Status::unreachable, "no target is configured"});
    if (name.empty() || name.size() >= FL_NAME_BYTES)
        return done(Failure{Status::invalid, "a function name has 1 to 63 characters"});
    auto peer = choose_peer(name);
    if (!peer.ok()) return done(peer.failure());
    if (peer.value() != nullptr) return attach_at(*peer.value(), name, deadline, std::move(done));
    // Several targets and no word on which: ask all of them. One that is silent must not use up all the time.
    list(patience / 2, [this, name, deadline, done = std::move(done)](Result<std::vector<FunctionInfo>> all) {
        if (!all.ok()) return done(all.failure());
        std::vector<FunctionInfo> match;
        std::ranges::copy_if(all.value(), std::back_inserter(match), [&](const auto& f) { return f.name == name; });
        if (match.empty())
            return done(Failure{Status::not_found, "no function '" + name + "'; there is: " + names_of(all.value())});
        if (match.size() > 1)
            return done(Failure{Status::invalid,
                                "several targets export '" + name + "': name one, as " + match[0].target + "/" + name});
        const auto at = std::ranges::find(peers_, match[0].target, [](const auto& p) { return p->name; });
        attach_at(**at, name, deadline, done);
    });
}

void Initiator::attach_at(Peer& peer, const std::string& name, Time deadline, AttachDone done) {
    const bool known = std::ranges::any_of(grips_, [&](const auto& g) {
        return g->peer() == peer.id && g->name() == name && g->state() != AttachmentState::lost;
    });
    if (known)
        return done(Failure{Status::busy, "'" + name + "' is held by " + config_.session.name + ", which is here"});
    auto p = std::make_unique<Pending>();
    p->request = next_request_++;
    p->peer = peer.id;
    p->name = name;
    p->deadline = deadline;
    p->attach_done = std::move(done);
    pending_.push_back(std::move(p));
    if (peer.up) ask(*pending_.back(), peer);
    lane_.wake();
}

void Initiator::resume(const SavedAttachment& saved, AttachDone done) {
    std::string name = saved.name;
    const auto peer = std::ranges::find_if(peers_, [&](const auto& p) {
        return p->name.empty() || saved.info.target.empty() || p->name == saved.info.target;
    });
    if (peer == peers_.end())
        return done(Failure{Status::not_found, "no target '" + saved.info.target + "' is configured"});
    auto grip = make_grip(**peer, name);
    if (!grip.ok()) return done(grip.failure());
    auto& g = *grip.value();
    if (const auto status = g.adopt(saved); status != Status::ok) {
        std::erase_if(grips_, [&](const auto& x) { return x.get() == &g; });
        return done(Failure{status, "the state of '" + name + "' of the earlier daemon can not be used"});
    }
    auto p = std::make_unique<Pending>();
    p->kind = Pending::Kind::resume;
    p->request = next_request_++;
    p->peer = (*peer)->id;
    p->name = name;
    p->grip = &g;
    p->deadline = Lane::clock() + config_.session.grace;
    p->attach_done = std::move(done);
    pending_.push_back(std::move(p));
    if ((*peer)->up) ask(*pending_.back(), **peer);
    lane_.wake();
}

Result<Grip*> Initiator::make_grip(Peer& peer, const std::string& name) {
    // A lost attachment of that name may still be held by its user; it no longer touches its memory.
    bool fresh = false;
    const auto place = function_place(memory_, region_name(name, peer.address()), fresh);
    if (!place.ok()) return place.failure();
    grips_.push_back(std::make_unique<Grip>(lane_, grips_wait_, peer.id, name, place.value(), config_.limits));
    return grips_.back().get();
}

void Initiator::ask(Pending& p, Peer& peer) noexcept {
    if (p.sent) return;
    p.sent = true;
    if (p.kind == Pending::Kind::detach) return peer.session->send_detach(p.request, p.grip->handle(), Status::ok);
    proto::AttachRequest r;
    if (p.kind == Pending::Kind::resume) r = p.grip->resume_request(p.request);
    r.request = p.request;
    r.name = p.name;
    r.completion_timeout = config_.limits.completion_timeout;
    peer.session->send_attach(r);
}

void Initiator::on_attach_reply(proto::Session& s, const proto::AttachReply& r) noexcept {
    const auto at = std::ranges::find(pending_, r.request, [](const auto& p) { return p->request; });
    if (at == pending_.end() || (*at)->kind == Pending::Kind::detach) {
        // Nobody waits any more: give it back, unless it is held by now, from an answer to the same question.
        if (r.status == Status::ok && grip_of(s, r.handle) == nullptr) s.send_detach(0, r.handle, Status::canceled);
        return;
    }
    const auto p = std::move(*at);
    pending_.erase(at);
    p->kind == Pending::Kind::resume ? resumed(*p, s, r) : attached(*p, s, r);
}

void Initiator::attached(Pending& p, proto::Session& s, const proto::AttachReply& r) {
    auto& peer = *peers_[p.peer];
    if (r.status == Status::busy) {
        const std::string holder(proto::read_name(r.desc.holder));  // of a refusal nothing was checked
        return p.attach_done(
            Failure{Status::busy, "'" + p.name + "' is held by " + (holder.empty() ? "somebody" : holder)});
    }
    if (r.status == Status::not_found) {
        return list(
            config_.attach_timeout, [name = p.name, done = p.attach_done](Result<std::vector<FunctionInfo>> all) {
                done(Failure{Status::not_found,
                             "no function '" + name + "'" + (all.ok() ? "; there is: " + names_of(all.value()) : "")});
            });
    }
    if (r.status != Status::ok)
        return p.attach_done(Failure{r.status, "attach of '" + p.name + "': " + std::string(status_text(r.status))});
    auto grip = make_grip(peer, p.name);
    if (!grip.ok()) return p.attach_done(grip.failure());
    if (const auto status = grip.value()->start(s, r, peer.name); status != Status::ok)
        return p.attach_done(Failure{status, "attach of '" + p.name + "'"});
    tell(EventKind::attached, p.name, peer, grip.value()->info().model);
    p.attach_done(grip.value());
}

void Initiator::resumed(Pending& p, proto::Session& s, const proto::AttachReply& r) {
    auto& peer = *peers_[p.peer];
    Status status = r.status;
    if (status == Status::ok) status = p.grip->resume(s, r, peer.name);
    if (status != Status::ok) {
        lose(*p.grip, "the target refuses to go on: " + std::string(status_text(status)));
        if (p.attach_done) p.attach_done(Failure{status, "'" + p.name + "' can not go on"});
        return;
    }
    const bool reset = p.grip->state() == AttachmentState::reset;
    tell(reset ? EventKind::device_reset : EventKind::resumed, p.name, peer, "");
    if (p.attach_done) p.attach_done(p.grip);
}

void Initiator::detach(Attachment& a, Done done) {
    const auto at = std::ranges::find(grips_, &a, [](const auto& g) { return static_cast<Attachment*>(g.get()); });
    if (at == grips_.end()) return done(Status::not_found);
    auto& g = **at;
    g.set_sink(nullptr);
    // Questions about it that are still open end here.
    std::erase_if(pending_, [&](const auto& p) { return p->grip == &g; });
    if (g.session() == nullptr || !peers_[g.peer()]->up) {
        const bool lost = g.state() == AttachmentState::lost;
        grips_.erase(at);
        return done(lost ? Status::ok : Status::unreachable);  // the target frees it after its grace
    }
    auto p = std::make_unique<Pending>();
    p->kind = Pending::Kind::detach;
    p->request = next_request_++;
    p->peer = g.peer();
    p->grip = &g;
    p->name = g.name();
    p->deadline = Lane::clock() + config_.attach_timeout;
    p->done = std::move(done);
    pending_.push_back(std::move(p));
    ask(*pending_.back(), *peers_[g.peer()]);
    lane_.wake();
}

void Initiator::on_detach_reply(proto::Session&, std::uint32_t request, proto::FunctionHandle, Status status) noexcept {
    const auto at = std::ranges::find(pending_, request, [](const auto& p) { return p->request; });
    if (at == pending_.end() || (*at)->kind != Pending::Kind::detach) return;
    const auto p = std::move(*at);
    pending_.erase(at);
    tell(EventKind::detached, p->name, *peers_[p->peer], "");
    std::erase_if(grips_, [&](const auto& g) { return g.get() == p->grip; });
    p->done(status);
}

// A question that will not be answered.
void Initiator::fail(std::uint32_t request, Status status, const std::string& detail) {
    const auto at = std::ranges::find(pending_, request, [](const auto& p) { return p->request; });
    if (at == pending_.end()) return;
    const auto p = std::move(*at);
    pending_.erase(at);
    const auto& peer = *peers_[p->peer];
    const std::string where = where_of(lane_, peer.paths);
    std::string text = detail;
    if (text.empty())
        text = peer.up ? "the target " + peer.name + " (" + where +
                             ") is connected, but did not answer in time: it is overloaded, or hangs"
                       : "the target does not answer (" + where + "); is farlaned running there?";
    if (p->kind == Pending::Kind::detach) {
        std::erase_if(grips_, [&](const auto& g) { return g.get() == p->grip; });
        return p->done(status);
    }
    if (p->kind == Pending::Kind::resume) lose(*p->grip, text);
    if (p->attach_done) p->attach_done(Failure{status, text});
}

}  // namespace farlane::lane
