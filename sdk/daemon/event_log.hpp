// SPDX-License-Identifier: Apache-2.0
// Receives: events, which peers and clients cause as often as they like. Hands on: lines for the log, not more than a
// log should grow. Owns: the counts. Control thread: a log that nobody reads must not stop the lane.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "backend/log_limit.hpp"
#include "lib/daemon_client.hpp"

namespace farlane::daemon {

class EventLog {
public:
    using Time = backend::LogLimit::Time;
    using Print = std::function<void(const std::string& line)>;
    explicit EventLog(Print print) : print_(std::move(print)) {}
    void tell(Time now, const control::Json& event);
    /// What was left out and no later line has told; to be called now and then.
    void tell_rest(Time now);
    /// The same at the end, when there is no later.
    void tell_last();

private:
    Print print_;
    std::map<std::string, backend::LogLimit> limits_;  ///< by role and kind: one that comes often hides no other
};

}  // namespace farlane::daemon
