// SPDX-License-Identifier: Apache-2.0
// Receives: counters. Hands on: their JSON form. Owns: nothing. docs/control-socket.md, "stats".
#pragma once

#include "daemon/reply.hpp"
#include "proto/function.hpp"

namespace farlane::daemon {

[[nodiscard]] inline Json records_json(const proto::FunctionCounters& c) {
    const auto classes = [](const std::uint64_t(&n)[proto::kClasses]) {
        return Json::array({n[FL_CLASS_POSTED], n[FL_CLASS_NON_POSTED], n[FL_CLASS_COMPLETION]});
    };
    return {{"submitted", classes(c.submitted)},
            {"sent", classes(c.sent)},
            {"resent", classes(c.resent)},
            {"received", classes(c.received)},
            {"executed", classes(c.executed)},
            {"duplicates", c.duplicates},
            {"timeouts", c.timeouts},
            {"payload_bytes_out", c.payload_bytes_out},
            {"payload_bytes_in", c.payload_bytes_in}};
}

}  // namespace farlane::daemon
