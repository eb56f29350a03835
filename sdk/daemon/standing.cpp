// SPDX-License-Identifier: Apache-2.0
// Receives: attachments that are wanted for good. Hands on: attempts to make those that are gone again, when their
// target is there. Owns: the list of them and its file.
#include "daemon/standing.hpp"

#include <algorithm>

namespace farlane::daemon {
namespace {

bool is_called(const StandingEntry& e, const std::string& name) {
    return name == e.name || name == e.target + "/" + e.name;
}

/// This daemon itself, for the user that asked.
Client client_for(const StandingEntry& e) {
    Client c;
    c.uid = e.uid;
    c.comm = "farlaned";
    c.role = Role::admin;
    return c;
}

}  // namespace

Standing::Standing(HoldingHost& host, lane::Initiator& initiator, Holdings& holdings, std::string file)
    : host_(host), initiator_(initiator), holdings_(holdings), file_(std::move(file)) {
    host_.lane.add(*this);
}

Standing::~Standing() {
    host_.lane.remove(*this);
}

std::vector<std::string> Standing::restore() {
    std::vector<std::string> report;
    auto found = read_standing(file_);
    if (!found.ok()) return {found.failure().detail};
    for (StandingEntry& e : *found) {
        report.push_back("'" + e.name + "' of " + e.target + " is to be attached");
        entries_.push_back({std::move(e)});
    }
    return report;
}

Standing::Entry* Standing::find(const std::string& name, const std::string& target) noexcept {
    const auto at =
        std::ranges::find_if(entries_, [&](const Entry& e) { return e.what.name == name && e.what.target == target; });
    return at != entries_.end() ? &*at : nullptr;
}

Result<bool> Standing::save() const {
    std::vector<StandingEntry> all;
    for (const Entry& e : entries_) all.push_back(e.what);
    return write_standing(file_, all);
}

Result<bool> Standing::keep(const StandingEntry& entry) {
    if (Entry* known = find(entry.name, entry.target)) {
        known->what = entry;
    } else {
        if (entries_.size() >= kMaxAttachments)
            return {Status::limit, "at most " + std::to_string(kMaxAttachments) + " attachments are kept"};
        entries_.push_back({entry});
        entries_.back().attached = true;
    }
    return save();
}

bool Standing::forget(const std::string& name) {
    if (std::erase_if(entries_, [&](const Entry& e) { return is_called(e.what, name); }) == 0) return false;
    if (const auto saved = save(); !saved.ok())
        host_.emit({EventKind::error, name, "", saved.failure().detail, std::chrono::system_clock::now()});
    return true;
}

std::optional<uid_t> Standing::owner_of(const std::string& name) const {
    const auto at = std::ranges::find_if(entries_, [&](const Entry& e) { return is_called(e.what, name); });
    return at != entries_.end() ? std::optional(at->what.uid) : std::nullopt;
}

bool Standing::stands(const std::string& name, const std::string& target) const {
    return std::ranges::any_of(entries_,
                               [&](const Entry& e) { return e.what.name == name && e.what.target == target; });
}

Json Standing::waiting() const {
    Json all = Json::array();
    for (const Entry& e : entries_)
        if (!holdings_.has(e.what.name, e.what.target))
            all.push_back({{"name", e.what.name},
                           {"target", e.what.target},
                           {"provider", use_name(e.what.use)},
                           {"uid", e.what.uid},
                           {"why", e.why}});
    return all;
}

void Standing::ask(Entry& e, lane::Time now) {
    e.asking = true;
    e.next = now + e.pause;
    e.pause = std::min(e.pause * 2, kLongestPause);
    holdings_.attach(
        client_for(e.what), e.what.target + "/" + e.what.name, true,
        [this, what = e.what](const Reply& reply) { answered(what, reply); }, kPatience, e.what.use);
}

void Standing::answered(const StandingEntry& what, const Reply& reply) {
    Entry* e = find(what.name, what.target);
    if (e == nullptr) {  // detached meanwhile
        if (reply.status == Status::ok)
            holdings_.detach(client_for(what), what.target + "/" + what.name, true, [](const Reply&) {});
        return;
    }
    e->asking = false;
    if (reply.status == Status::ok || e->why == reply.message) return;
    e->why = reply.message;  // told once
    host_.emit({EventKind::error, what.name, what.target, "not attached again yet: " + reply.message,
                std::chrono::system_clock::now()});
}

void Standing::look(Entry& e, const std::vector<lane::PeerStatus>& peers, lane::Time now) {
    const bool attached = holdings_.has(e.what.name, e.what.target);
    const bool reachable = std::ranges::any_of(peers, [&](const lane::PeerStatus& p) {
        return p.name == e.what.target && p.state == proto::SessionState::open;
    });
    // A target that has just come has had no chance yet.
    if (attached || (reachable && !e.reachable)) {
        e.pause = kFirstPause;
        e.next = now;
    }
    if (e.attached && !attached) e.why = "it is gone: see farlane events, or the log";
    if (!reachable) e.why = "its target does not answer";
    e.attached = attached;
    e.reachable = reachable;
    if (!attached && reachable && !e.asking && now >= e.next) ask(e, now);
}

bool Standing::turn(lane::Time now) noexcept {
    if (entries_.empty() || left_ || now < look_at_) return false;
    look_at_ = now + kLook;
    const std::vector<lane::PeerStatus> peers = initiator_.peers();
    // An attach may be answered at once; none of the entries goes away by that.
    for (std::size_t i = 0; i < entries_.size(); ++i) look(entries_[i], peers, now);
    return false;
}

lane::Time Standing::next_timer() const noexcept {
    lane::Time next = lane::kNever;
    for (const Entry& e : entries_)
        if (!e.attached && e.reachable && !e.asking && !left_) next = std::min(next, std::max(e.next, look_at_));
    return next;
}

}  // namespace farlane::daemon
