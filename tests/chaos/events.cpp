// SPDX-License-Identifier: Apache-2.0
// Receives: the events of a fabric. Hands on: how many of each kind came for a function. Owns: the thread that waits.
#include "chaos/events.hpp"

#include <chrono>

namespace farlane::chaos {
namespace {

using namespace std::chrono_literals;

constexpr auto kSlice = 100ms;         // then look whether to end
constexpr auto kNoMoreWillCome = 60s;  // an event is told at once; this is for a slow machine

}  // namespace

Events::Events(Fabric& fabric) : fabric_(fabric), thread_([this](const std::stop_token& stop) { watch(stop); }) {}

// Events of the time in which the initiator's farlaned is away are lost, as for any application.
void Events::watch(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        try {
            const auto event = fabric_.next_event(kSlice);
            if (!event) continue;
            const std::scoped_lock lock(mutex_);
            ++counts_[{event->function, event->kind}];
            changed_.notify_all();
        } catch (const Error&) {
            std::this_thread::sleep_for(5ms);  // farlaned is not there; subscribes again when it is
        }
    }
}

std::uint64_t Events::sum(const std::string& function, std::initializer_list<EventKind> kinds) const {
    std::uint64_t all = 0;
    for (const EventKind kind : kinds)
        if (const auto found = counts_.find({function, kind}); found != counts_.end()) all += found->second;
    return all;
}

std::uint64_t Events::count(const std::string& function, std::initializer_list<EventKind> kinds) const {
    const std::scoped_lock lock(mutex_);
    return sum(function, kinds);
}

bool Events::more_than(std::uint64_t before, const std::string& function,
                       std::initializer_list<EventKind> kinds) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kNoMoreWillCome, [&] { return sum(function, kinds) > before; });
}

nlohmann::json Events::all() const {
    const std::scoped_lock lock(mutex_);
    nlohmann::json out = nlohmann::json::object();
    for (const auto& [what, n] : counts_) {
        auto& entry = out[event_name(what.second)];
        entry = n + (entry.is_null() ? 0 : entry.get<std::uint64_t>());
    }
    return out;
}

}  // namespace farlane::chaos
