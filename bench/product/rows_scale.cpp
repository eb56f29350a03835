// SPDX-License-Identifier: Apache-2.0
// Receives: options. Hands on: what many sessions cost beside one. Owns: nothing.
#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <string>

#include "groups.hpp"
#include "many.hpp"

namespace farlane::bench {
namespace {

constexpr unsigned kFunctionsEach = 10;  // 10,000 in all with 1,000 sessions
constexpr double kMostBytes = 3e9;       // of all functions of a row
constexpr unsigned kBatch = 32;

/// How many functions a session may have without this machine running out of memory or of patience.
unsigned functions_that_fit(unsigned sessions, double bytes_each) {
    double available = kMostBytes;
    std::ifstream info("/proc/meminfo");
    for (std::string line; std::getline(info, line);)
        if (line.starts_with("MemAvailable:")) available = std::stod(line.substr(13)) * 1024 / 2;
    const double fit = std::min(available, kMostBytes) / (bytes_each * sessions);
    return std::clamp(static_cast<unsigned>(fit), 1U, kFunctionsEach);
}

void scale(const Options& o, unsigned sessions, Report& report) {
    const auto key = "scale_" + std::to_string(sessions);
    Series s{key, "ns", 1.3, true};
    progress(key, 1, 1);
    Many one("one" + key, 1, kFunctionsEach);
    const unsigned each = functions_that_fit(sessions, one.bytes_per_function());
    Many many(key, sessions, each);
    for (int i = 0; i < o.repeats; ++i) {
        s.limit.push_back(one.ns_per_write());
        s.ours.push_back(many.ns_per_write());
    }
    s.more = {{"limit_is", "one session"},
              {"functions", sessions * each},
              {"bytes_per_session", many.bytes_per_session()},
              {"bytes_per_function", many.bytes_per_function()},
              {"one_session_32_at_once_ns", one.ns_per_write(kBatch)},
              {"these_32_at_once_ns", many.ns_per_write(kBatch)},
              {"turn_of_both_ends_without_work_ns", many.ns_per_idle_turn()}};
    auto row = s.row();
    if (each < kFunctionsEach) {  // not the promise: a function takes too much memory
        row["ok"] = false;
        row["more"]["reason"] =
            std::to_string(sessions * kFunctionsEach) + " functions would take " +
            std::to_string(static_cast<int>(one.bytes_per_function() * sessions * kFunctionsEach / 1e9)) + " GB; " +
            std::to_string(sessions * each) + " were attached";
    }
    report.add(key, row);
}

}  // namespace

void measure_scale(const Options& o, Report& report) {
    for (const unsigned sessions : {10U, 100U, 1000U}) {
        if (!wants(o, "scale_" + std::to_string(sessions))) continue;
        try {
            scale(o, sessions, report);
        } catch (const std::exception& e) {
            report.fail("scale_" + std::to_string(sessions), e.what());
        }
    }
}

}  // namespace farlane::bench
