// SPDX-License-Identifier: Apache-2.0
// Receives: events. Hands on: lines for the log. Owns: see the header.
#include "daemon/event_log.hpp"

namespace farlane::daemon {

void EventLog::tell(Time now, const control::Json& event) {
    const std::string what = event.at("role").get<std::string>() + " " + event.at("kind").get<std::string>();
    auto& limit = limits_.try_emplace(what, "of '" + what + "'").first->second;
    const auto line = limit.take(now, what + " " + event.value("function", "") + " " + event.value("detail", ""));
    if (line) print_(*line);
}

void EventLog::tell_rest(Time now) {
    for (auto& [what, limit] : limits_)
        if (const auto rest = limit.rest(now)) print_(*rest);
}

void EventLog::tell_last() {
    for (auto& [what, limit] : limits_)
        if (const auto rest = limit.last()) print_(*rest);
}

}  // namespace farlane::daemon
