// SPDX-License-Identifier: Apache-2.0
// Receives: options. Hands on: rows of two processes on this machine: round trip, DMA, posted writes.
// Owns: nothing.
#include <algorithm>

#include "groups.hpp"
#include "measures.hpp"
#include "ports.hpp"
#include "still.hpp"

namespace farlane::bench {
namespace {

// Posted writes have no peer on this machine: the goal stands where others have a limit.
constexpr double kPostedGoal = 20;
constexpr std::uint64_t kWritesPerPoll[] = {32, 128};  // how often an application turns the data plane
constexpr const char* kSourceMib = "8";  // as much as the device has: both copy between memories of the same size

bool dpdk(const std::string& port) {
    return port != "udp";
}

/// Both figures of a read on one port.
struct ReadSeries {
    Series p50, p99;
};

json distribution(const std::vector<double>& ns, const json& raw) {
    json points = json::array();
    for (std::size_t i = 0; i < ns.size(); ++i) {
        char key[48];
        std::snprintf(key, sizeof key, "round_trip_p%g_ns", kPercentiles[i] * 100);
        points.push_back({{"percentile", kPercentiles[i] * 100}, {"ours_ns", ns[i]}, {"raw_ns", raw.at(key)}});
    }
    return points;
}

ReadSeries read_series(const Options& o, const std::string& port, Report& report) {
    ReadSeries s{{"mmio_read_rtt_" + port, "us", {}, true}, {"mmio_read_rtt_p99_" + port, "us", {}, true}};
    if (dpdk(port)) s.p50.reach = 1.5, s.p99.reach = 2.0;
    std::vector<double> middle;
    json raw;
    for (int i = 0; i < o.repeats; ++i) {
        progress("mmio_read_rtt " + port, i + 1, o.repeats);
        middle = measured_still(s.p50.more, [&](Cores& cores) {
            raw = limit_of("raw_pingpong", port, port == "udp" ? "50000" : "200000");
            cores.look();
            return measure_pair(pair_on(port), read_rtt);
        });
        s.p50.limit.push_back(raw.at("round_trip_p50_ns").get<double>() / 1e3);
        s.p99.limit.push_back(raw.at("round_trip_p99_ns").get<double>() / 1e3);
        s.p50.ours.push_back(middle[kP50] / 1e3);
        s.p99.ours.push_back(middle[kP99] / 1e3);
    }
    s.p99.more = s.p50.more;
    report.plot("latency_" + port, distribution(middle, raw));
    return s;
}

enum class Pick { best, worst };

/// The row without a port in its key: one of those that live on this machine alone.
void add_one(Report& report, const std::string& key, const std::vector<std::string>& ports, Pick pick) {
    std::string found;
    for (const auto& port : ports) {
        const auto with = key + "_" + port;
        if (!dpdk(port) || !report.has(with) || !report.row(with)["ratio"].is_number()) continue;
        const auto& row = report.row(with);
        const bool lower = (row["more"]["better"] == "lower") == (pick == Pick::best);
        if (found.empty() || (row["ratio"] < report.row(key + "_" + found)["ratio"]) == lower) found = port;
    }
    if (found.empty()) return report.missing(key, "", "neither vhost nor memif was measured");
    json row = report.row(key + "_" + found);
    row["more"]["port"] = found;
    report.add(key, row);
}

}  // namespace

void measure_rtt(const Options& o, Report& report) {
    for (const auto& port : o.ports) {
        try {
            const auto s = read_series(o, port, report);
            report.add(s.p50);
            report.add(s.p99);
        } catch (const std::exception& e) {
            report.fail("mmio_read_rtt_" + port, e.what());
        }
    }
    add_one(report, "mmio_read_rtt", o.ports, Pick::worst);  // the promise is made for each
    add_one(report, "mmio_read_rtt_p99", o.ports, Pick::worst);
}

// Ends are not alike: on vhost the end 0, the target's, copies for both directions. So the data of the limit goes the
// way that ours goes: what a device writes leaves end 0, what it reads leaves end 1.
static double frames_limit(const std::string& port, bool integrity, const char* from) {
    const auto frames = limit_of("raw_frames", port, port == "udp" ? "100000" : "400000",
                                 {"--memory-mib", kSourceMib, "--crc", integrity ? "1" : "0", "--from", from});
    return frames.at("gigabytes_per_s").get<double>();
}

/// One direction: `go` of the device, and the end that its data leaves.
static void dma_way(const PairConfig& config, const std::string& port, std::uint64_t go, const char* from, Series& s) {
    const auto pair = measured_still(s.more, [&](Cores& cores) {
        const double limit = frames_limit(port, config.integrity, from);
        cores.look();
        return std::vector{limit, measure_pair(config, [go](Fabric& f) { return std::vector{dma_rate(f, go)}; })[0]};
    });
    s.limit.push_back(pair[0]);
    s.ours.push_back(pair[1]);
}

static void dma_on(const Options& o, const std::string& port, bool integrity, Report& report) {
    const std::string suffix = (integrity ? "" : "_nocrc") + ("_" + port);
    Series write{"dma_write_4k" + suffix, "GB/s"}, read{"dma_read_4k" + suffix, "GB/s"};
    if (dpdk(port) && integrity) write.reach = 0.85, read.reach = 0.80;
    auto config = pair_on(port);
    config.integrity = integrity;
    for (int i = 0; i < o.repeats; ++i) {
        progress(write.key, i + 1, o.repeats);
        dma_way(config, port, 1, "0", write);
        dma_way(config, port, 2, "1", read);
    }
    report.add(write);
    report.add(read);
}

void measure_dma(const Options& o, Report& report) {
    for (const auto& port : o.ports) {
        try {
            for (const bool integrity : {true, false}) dma_on(o, port, integrity, report);
            Series memory{"memory_64mib_" + port, "KiB", {}, true};
            memory.ours = measure_pair(pair_on(port), [](Fabric& f) { return std::vector{extra_memory(f)}; });
            report.add(memory);
        } catch (const std::exception& e) {
            report.fail("dma_" + port, e.what());
        }
    }
    for (const char* key : {"dma_write_4k", "dma_read_4k", "dma_write_4k_nocrc", "dma_read_4k_nocrc"})
        add_one(report, key, o.ports, Pick::best);
}

static void posted_on(const Options& o, const std::string& port, Report& report) {
    Series s{"posted_rate_" + port, "M/s"};
    if (dpdk(port)) s.reach = 1.0;
    s.more = {{"limit_is", "the goal"}, {"goal", kPostedGoal}};
    for (int i = 0; i < o.repeats; ++i) {
        progress(s.key, i + 1, o.repeats);
        const auto rates = measure_pair(pair_on(port), [](Fabric& f) {
            std::vector<double> all;
            for (const auto writes : kWritesPerPoll) all.push_back(posted_rate(f, writes));
            return all;
        });
        for (std::size_t at = 0; at < rates.size(); ++at) {
            auto& kept = s.more["polled_every_" + std::to_string(kWritesPerPoll[at])];
            kept = std::max(kept.is_number() ? kept.get<double>() : 0.0, rates[at]);
        }
        s.ours.push_back(*std::max_element(rates.begin(), rates.end()));
        s.limit.push_back(kPostedGoal);
    }
    report.add(s);
}

void measure_posted(const Options& o, Report& report) {
    for (const auto& port : o.ports) {
        try {
            posted_on(o, port, report);
        } catch (const std::exception& e) {
            report.fail("posted_rate_" + port, e.what());
        }
    }
    add_one(report, "posted_rate", o.ports, Pick::best);
}

}  // namespace farlane::bench
