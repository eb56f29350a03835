// SPDX-License-Identifier: Apache-2.0
// Receives: the wish to end this life of the daemon with nothing in doubt. Hands on: the moment when that is so, or
// what is in the way. Owns: nothing.
#include "daemon/drain.hpp"

#include <algorithm>

namespace farlane::daemon {

Drain::Drain(lane::Lane& lane, Holdings& holdings, lane::Target& target)
    : lane_(lane), holdings_(holdings), target_(target) {
    lane_.add(*this);
}

Drain::~Drain() {
    lane_.remove(*this);
}

void Drain::start(lane::Duration at_most, bool force, Done done) {
    if (done_) return done(refusal(Status::busy, "an upgrade is under way"));
    if (const std::string sharers = holdings_.sharers(); !force && !sharers.empty())
        return done(refusal(Status::busy, "shared by applications, which would lose it: " + sharers +
                                              "; --force does it all the same"));
    const std::vector<std::string> lost = target_.would_reset();
    if (!force && !lost.empty()) {
        std::string names;
        for (const std::string& n : lost) names += (names.empty() ? "" : ", ") + n;
        return done(refusal(Status::busy, "in use, and without a memory of their own: " + names +
                                              "; who has them would see device_reset; --force does it all the same"));
    }
    done_ = std::move(done);
    until_ = lane_.now() + at_most;
    next_ = lane_.now() + kAttempt;
    hold(true);
}

void Drain::hold(bool on) noexcept {
    held_ = on;
    holdings_.pause(on);
    target_.hold(on);
}

std::string Drain::unsettled() const {
    const std::string ours = holdings_.unsettled();
    return ours.empty() ? target_.unsettled() : ours;
}

void Drain::finish(Reply reply) {
    std::exchange(done_, nullptr)(std::move(reply));
}

bool Drain::turn(lane::Time now) noexcept {
    if (!done_) return false;
    if (held_) {
        const std::string waits = unsettled();
        if (waits.empty()) {
            finish({});
            return true;
        }
        if (now < next_) return false;
        hold(false);
        next_ = now + kRest;
        if (next_ < until_) return true;
        finish(refusal(Status::timeout, "'" + waits +
                                            "' has work under way that does not end: nothing was changed; try again, "
                                            "detach it, or restart farlaned instead"));
        return true;
    }
    if (now < next_) return false;
    next_ = now + kAttempt;
    hold(true);
    return true;
}

lane::Time Drain::next_timer() const noexcept {
    if (!done_) return lane::kNever;
    return held_ ? std::min(next_, lane_.now() + kLook) : next_;
}

}  // namespace farlane::daemon
