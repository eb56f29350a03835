// SPDX-License-Identifier: Apache-2.0
// Receives: a seed and the number of a round. Hands on: which faults that round has, and when. Owns: nothing.
#include "chaos/plan.hpp"

#include <algorithm>

#include "chaos/random.hpp"

namespace farlane::chaos {
namespace {

constexpr std::uint64_t kMostFaults = 3, kLatestBeginMs = 700;
constexpr Milliseconds kPause{30};  // between two faults of the same daemon or link

// Which of the three a fault needs for itself. Weather needs none: the link is cut in any weather.
struct Needs {
    bool initiator = false, target = false, link = false;
};

Needs needs(FaultKind kind) noexcept {
    switch (kind) {
        case FaultKind::kill_initiator:
        case FaultKind::restart_initiator:
        case FaultKind::freeze_initiator: return {.initiator = true};
        case FaultKind::kill_target:
        case FaultKind::restart_target:
        case FaultKind::freeze_target: return {.target = true};
        case FaultKind::kill_both: return {.initiator = true, .target = true};
        case FaultKind::cut:
        case FaultKind::cut_one: return {.link = true};
        case FaultKind::weather: break;
    }
    return {};
}

// Most are short: what matters is where in the traffic they begin and end.
Milliseconds duration(Random& random, FaultKind kind) {
    const bool process = ends_a_daemon(kind);
    if (random.percent(process ? 50 : 20)) return Milliseconds(process ? 0 : 1);
    if (random.percent(70)) return Milliseconds(random.between(5, 300));
    return Milliseconds(random.between(300, static_cast<std::uint64_t>(kLongestFault.count())));
}

Weather weather(Random& random) {
    Weather w;
    if (random.percent(60)) w.loss = static_cast<unsigned>(random.between(1, 20));
    if (random.percent(40)) w.duplicated = static_cast<unsigned>(random.between(1, 20));
    if (random.percent(40)) w.reordered = static_cast<unsigned>(random.between(1, 20));
    if (random.percent(25)) w.corrupted = static_cast<unsigned>(random.between(1, 5));
    if (random.percent(40)) w.delay_ms = static_cast<unsigned>(random.between(1, 20));
    if (random.percent(25)) w.jitter_ms = static_cast<unsigned>(random.between(1, 10));
    w.reordered_by_ms = w.reordered != 0 ? static_cast<unsigned>(random.between(1, 10)) : 0;
    return w;
}

FaultKind kind(Random& random) {
    return static_cast<FaultKind>(random.below(kFaultKinds));
}

// Moves a fault behind those that need the same.
void place(Fault& fault, Milliseconds& initiator, Milliseconds& target, Milliseconds& link) {
    const Needs n = needs(fault.kind);
    if (n.initiator) fault.begins = std::max(fault.begins, initiator);
    if (n.target) fault.begins = std::max(fault.begins, target);
    if (n.link) fault.begins = std::max(fault.begins, link);
    const Milliseconds over = fault.begins + fault.lasts + kPause;
    if (n.initiator) initiator = over;
    if (n.target) target = over;
    if (n.link) link = over;
}

std::string of(unsigned value, const char* unit, const char* what) {
    return value == 0 ? "" : ", " + std::to_string(value) + unit + what;
}

}  // namespace

std::string_view name(FaultKind kind) noexcept {
    switch (kind) {
        case FaultKind::kill_initiator: return "kill-initiator";
        case FaultKind::kill_target: return "kill-target";
        case FaultKind::kill_both: return "kill-both";
        case FaultKind::restart_initiator: return "restart-initiator";
        case FaultKind::restart_target: return "restart-target";
        case FaultKind::freeze_initiator: return "freeze-initiator";
        case FaultKind::freeze_target: return "freeze-target";
        case FaultKind::cut: return "cut";
        case FaultKind::cut_one: return "cut-one-way";
        case FaultKind::weather: break;
    }
    return "weather";
}

bool ends_a_daemon(FaultKind kind) noexcept {
    return kind <= FaultKind::restart_target;
}

std::string Weather::text() const {
    const std::string all = of(loss, " %", " lost") + of(duplicated, " %", " doubled") +
                            of(reordered, " %", " held back") + of(reordered_by_ms, " ms", " at most") +
                            of(corrupted, " %", " corrupted") + of(delay_ms, " ms", " late") +
                            of(jitter_ms, " ms", " jitter");
    return all.empty() ? "clear" : all.substr(2);
}

std::string Fault::text() const {
    std::string all(name(kind));
    if (kind == FaultKind::kill_both) all += second ? " (the target is back first)" : " (the initiator is back first)";
    if (kind == FaultKind::cut_one) all += second ? " (to the initiator)" : " (to the target)";
    if (kind == FaultKind::weather) return all + ": " + weather.text();
    return all + " for " + std::to_string(lasts.count()) + " ms";
}

Plan make_plan(std::uint64_t seed, unsigned round) {
    Random random(seed, round, "plan");
    Plan plan{seed, round, random.percent(25), {}};
    const std::uint64_t count = random.between(1, kMostFaults);
    if (random.percent(50)) plan.faults.push_back({.kind = FaultKind::weather, .weather = weather(random)});
    for (std::uint64_t i = 0; i < count; ++i) {
        Fault fault;
        fault.kind = kind(random);
        fault.begins = Milliseconds(random.below(kLatestBeginMs));
        if (fault.kind == FaultKind::weather)
            fault.weather = weather(random);
        else
            fault.lasts = duration(random, fault.kind);
        fault.second = random.percent(50);
        plan.faults.push_back(fault);
    }
    const auto earlier = [](const Fault& a, const Fault& b) { return a.begins < b.begins; };
    std::ranges::stable_sort(plan.faults, earlier);
    Milliseconds initiator{0}, target{0}, link{0};
    for (Fault& fault : plan.faults) place(fault, initiator, target, link);
    std::ranges::stable_sort(plan.faults, earlier);
    return plan;
}

}  // namespace farlane::chaos
