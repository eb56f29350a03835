// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the parts of a run, as data. Owns: nothing.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "report.hpp"

namespace farlane::bench {

struct Options {
    std::vector<std::string> ports = {"vhost", "memif", "udp"};
    std::vector<std::string> only;  ///< parts or beginnings of keys; empty = all
    int repeats = 3;
};

/// A part of the run: what makes some of the rows.
struct Group {
    std::string_view name;
    std::vector<std::string_view> keys;  ///< beginnings of the keys of its rows
    void (*run)(const Options&, Report&);
};

[[nodiscard]] std::span<const Group> groups();

// One function for each, by file rows_*.cpp.
void measure_rtt(const Options& o, Report& report);
void measure_dma(const Options& o, Report& report);
void measure_posted(const Options& o, Report& report);
void measure_daemon(const Options& o, Report& report);
void measure_idle(const Options& o, Report& report);
void measure_peers(const Options& o, Report& report);
void measure_sizes(const Options& o, Report& report);
void measure_scale(const Options& o, Report& report);
void measure_paths(const Options& o, Report& report);
void measure_cycles(const Options& o, Report& report);
void measure_accel(const Options& o, Report& report);
void measure_simulated(const Options& o, Report& report);

/// Whether this one row of a part that was chosen is wanted.
[[nodiscard]] bool wants(const Options& o, std::string_view key);
/// "port 2 of 3" on stderr, where it does not stand in the table.
void progress(const std::string& what, int at, int of);
/// The output of a program of bench/limits.
[[nodiscard]] json limit_of(const std::string& program, const std::string& medium, const std::string& count,
                            const std::vector<std::string>& more = {});

}  // namespace farlane::bench
