// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the parts of a run, as data. Owns: nothing.
#include "groups.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "run.hpp"

namespace farlane::bench {

std::span<const Group> groups() {
    static const std::array all = {
        Group{"rtt", {"mmio_read_rtt"}, measure_rtt},
        Group{"daemon", {"mmio_read_rtt_daemon"}, measure_daemon},
        Group{"dma", {"dma_write_4k", "dma_read_4k", "memory_64mib"}, measure_dma},
        Group{"posted", {"posted_rate"}, measure_posted},
        Group{"cycles", {"cycles"}, measure_cycles},
        Group{"peers", {"vs_"}, measure_peers},
        Group{"sizes", {"throughput_"}, measure_sizes},
        Group{"scale", {"scale_"}, measure_scale},
        Group{"paths", {"paths_stall"}, measure_paths},
        Group{"idle", {"idle"}, measure_idle},
        Group{"accel", {"accel_"}, measure_accel},
        Group{"simulated", {"loss_", "distance_", "paths_speedup", "fair_", "latency_", "incast_"}, measure_simulated},
    };
    return all;
}

bool wants(const Options& o, std::string_view key) {
    const auto part = [&](const std::string& wanted) {
        return std::ranges::any_of(groups(), [&](const Group& g) { return g.name == wanted; });
    };
    return o.only.empty() || std::ranges::any_of(o.only, [&](const auto& w) { return part(w) || key.starts_with(w); });
}

void progress(const std::string& what, int at, int of) {
    static const bool terminal = isatty(STDERR_FILENO) != 0;
    std::fprintf(stderr, terminal ? "\r\033[K%s: %d of %d%s" : "%s: %d of %d%s", what.c_str(), at, of,
                 terminal ? "" : "\n");
    if (terminal && at == of) std::fprintf(stderr, "\r\033[K");
}

json limit_of(const std::string& program, const std::string& medium, const std::string& count,
              const std::vector<std::string>& more) {
    std::vector<std::string> argv = {bench_folder() + "/" + program, "--medium", medium, "--count", count};
    argv.insert(argv.end(), more.begin(), more.end());
    return json::parse(output_of(argv));
}

}  // namespace farlane::bench
