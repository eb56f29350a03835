// SPDX-License-Identifier: Apache-2.0
// Receives: faults as they are made, answers as they come. Hands on: excuses and stalls. Owns: the record.
#include "chaos/chronicle.hpp"

#include <algorithm>
#include <cstdio>

namespace farlane::chaos {
namespace {

double ms(Clock::duration d) {
    return std::chrono::duration<double, std::milli>(d).count();
}

// docs/failures.md, "within". A daemon counts as back when it answers on its socket; a target learns of a session that
// it has forgotten by the next frame, which is a keep-alive at the latest.
double bound_ms(FaultKind kind, Milliseconds round_trip) {
    constexpr double kKeepaliveMs = 100;
    const auto rtt = static_cast<double>(round_trip.count());
    if (!ends_a_daemon(kind)) return rtt + 100;
    return std::max(50.0, 4 * rtt) + (kind == FaultKind::kill_target ? kKeepaliveMs : 0);
}

bool ends_initiator(FaultKind kind) {
    return kind == FaultKind::kill_initiator || kind == FaultKind::kill_both || kind == FaultKind::restart_initiator;
}

}  // namespace

void Chronicle::round_begins() {
    const std::scoped_lock lock(mutex_);
    round_.clear();
    pending_.reset();
    round_begun_ = Clock::now();
}

std::size_t Chronicle::begins(const Fault& fault) {
    const std::scoped_lock lock(mutex_);
    round_.push_back({fault, Clock::now(), {}, {}});
    ++made_[static_cast<std::size_t>(fault.kind)];
    pending_.reset();  // whatever comes now has another reason as well
    return round_.size() - 1;
}

void Chronicle::daemon_gone(std::size_t number) {
    const std::scoped_lock lock(mutex_);
    round_[number].gone = Clock::now();
}

void Chronicle::over(std::size_t number, Milliseconds round_trip) {
    const std::scoped_lock lock(mutex_);
    round_[number].over = Clock::now();
    if (round_[number].fault.kind == FaultKind::weather) return;
    const bool others =
        std::ranges::any_of(round_, [](const Entry& e) { return !e.over && e.fault.kind != FaultKind::weather; });
    if (!others)
        pending_ = {round_[number].fault.kind, *round_[number].over, bound_ms(round_[number].fault.kind, round_trip)};
}

void Chronicle::answered() {
    const std::scoped_lock lock(mutex_);
    if (!pending_) return;
    Stall& stall = stalls_[static_cast<std::size_t>(pending_->kind)];
    const double took_ms = ms(Clock::now() - pending_->over);
    ++stall.measured;
    stall.beyond += took_ms > pending_->bound_ms ? 1 : 0;
    if (took_ms >= stall.longest_ms) {
        stall.longest_ms = took_ms;
        stall.bound_ms = pending_->bound_ms;
    }
    pending_.reset();
}

bool Chronicle::daemon_ended_since(Time since) const {
    const std::scoped_lock lock(mutex_);
    return std::ranges::any_of(
        round_, [&](const Entry& e) { return ends_a_daemon(e.fault.kind) && (!e.gone || *e.gone >= since); });
}

bool Chronicle::disturbed_since(Time since) const {
    constexpr std::chrono::seconds kAfterwards{10};  // all of it may have to be sent again
    const std::scoped_lock lock(mutex_);
    return std::ranges::any_of(round_, [&](const Entry& e) { return !e.over || *e.over + kAfterwards >= since; });
}

bool Chronicle::initiator_ended_in_round() const {
    const std::scoped_lock lock(mutex_);
    return std::ranges::any_of(round_, [](const Entry& e) { return ends_initiator(e.fault.kind); });
}

std::array<std::uint64_t, kFaultKinds> Chronicle::made() const {
    const std::scoped_lock lock(mutex_);
    return made_;
}

std::array<Stall, kFaultKinds> Chronicle::stalls() const {
    const std::scoped_lock lock(mutex_);
    return stalls_;
}

double Chronicle::since_round_ms(Time t) const {
    return ms(t - round_begun_);
}

std::string Chronicle::text() const {
    const std::scoped_lock lock(mutex_);
    std::string all;
    for (const Entry& e : round_) {
        char times[96];
        if (e.over)
            std::snprintf(times, sizeof times, "  %9.3f ms to %9.3f ms  ", since_round_ms(e.begun),
                          since_round_ms(*e.over));
        else
            std::snprintf(times, sizeof times, "  %9.3f ms on              ", since_round_ms(e.begun));
        all += times + e.fault.text() + "\n";
    }
    return all;
}

}  // namespace farlane::chaos
