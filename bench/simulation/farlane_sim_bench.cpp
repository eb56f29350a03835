// SPDX-License-Identifier: Apache-2.0
// Receives: seeds. Hands on: what is judged in simulated time, as a table or as JSON rows like those of farlane_bench.
// Owns: nothing. bench/README.md, "Simulated time".
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "simulation/scenarios.hpp"

namespace farlane::bench {
namespace {

using namespace simulation;
using json = nlohmann::json;

struct Options {
    std::uint64_t seed = 1;
    unsigned repeats = 3;
    std::string only;
    std::string out;
    bool quiet = false;
};

/// What one seed gave.
struct Sample {
    double ours = 0, limit = 0;
    double round_trips = -1;  ///< until the steady state; -1 = never
    json more = json::object();
};

struct Row {
    std::string key, unit;
    double reach = 0;  ///< 0 = stated
    bool lower_is_better = false;
    double round_trips_at_most = 0;
    std::function<Sample(std::uint64_t seed)> run;
};

double median(std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return (v[(v.size() - 1) / 2] + v[v.size() / 2]) / 2;
}

json measure(const Row& row, const Options& o) {
    std::vector<double> ours, limit, ratio, round_trips;
    json more;
    for (unsigned i = 0; i < o.repeats; ++i) {
        const Sample s = row.run(o.seed + i);
        ours.push_back(s.ours);
        limit.push_back(s.limit);
        ratio.push_back(s.ours / s.limit);
        round_trips.push_back(s.round_trips);
        more = s.more;
    }
    json r = {{"ours", median(ours)},
              {"limit", median(limit)},
              {"ratio", median(ratio)},
              {"unit", row.unit},
              {"min", *std::min_element(ours.begin(), ours.end())},
              {"median", median(ours)},
              {"max", *std::max_element(ours.begin(), ours.end())},
              {"repeats", ours.size()},
              {"simulated", true}};
    bool ok = true;
    const double worst = *std::max_element(round_trips.begin(), round_trips.end());
    const bool reached = *std::min_element(round_trips.begin(), round_trips.end()) >= 0;
    if (reached) r["round_trips"] = worst;
    if (row.round_trips_at_most > 0) ok = reached && worst <= row.round_trips_at_most;
    if (!more.empty()) r["more"] = more;
    if (row.reach == 0) return r;
    r["reach"] = row.reach;
    r["ok"] = ok && (row.lower_is_better ? r["ratio"] <= row.reach : r["ratio"] >= row.reach);
    return r;
}

void print(const std::string& key, const json& r) {
    std::printf("%-24s %9.3f %-4s  limit %9.3f  ratio %6.3f", key.c_str(), r["ours"].get<double>(),
                r["unit"].get<std::string>().c_str(), r["limit"].get<double>(), r["ratio"].get<double>());
    if (r.contains("ok"))
        std::printf("  reach %5.2f  %s", r["reach"].get<double>(), r["ok"].get<bool>() ? "ok" : "MISSED");
    if (r.contains("round_trips")) std::printf("  after %.0f round trips", r["round_trips"].get<double>());
    std::printf("  (%.3f to %.3f)", r["min"].get<double>(), r["max"].get<double>());
    if (r.contains("more")) std::printf("  %s", r["more"].dump().c_str());
    std::printf("\n");
    std::fflush(stdout);
}

constexpr double kGiga = 1e9;

json details(const BulkResult& r) {
    return {{"packets_sent", r.packets_sent},
            {"packets_lost", r.packets_lost},
            {"writes_sent_again", r.resent},
            {"most_queued_bytes", r.most_queued_bytes},
            {"memory_bytes", r.memory_bytes}};
}

// --- loss: 10 Gb/s, 100 us; beside the same without loss

Row loss_row(const std::string& key, double loss, double reach, Wan wan = {}) {
    return {key, "Gb/s", reach, false, 0, [=](std::uint64_t seed) {
                Wan w = wan;
                const auto warm_up = w.round_trip * 20 + 200ms;
                const auto measured = w.round_trip * 20 + 500ms;
                const double without = bulk(w, seed, warm_up, measured).goodput_bits_per_s;
                w.loss = loss;
                const BulkResult with = bulk(w, seed, warm_up, measured);
                return Sample{with.goodput_bits_per_s / kGiga, without / kGiga, -1, details(with)};
            }};
}

// --- distance: 10 Gb/s, beside the link

Row distance_row(const std::string& key, Duration round_trip, double reach, std::uint32_t frame_bytes,
                 std::uint64_t told) {
    Wan w;
    w.round_trip = round_trip;
    w.buffer_bytes = 4 << 20;
    w.frame_bytes = frame_bytes;
    w.link_rate_bits_per_s = told;
    if (round_trip >= 50ms) w.posted_window = 65536;
    if (frame_bytes < 4096 && round_trip >= 50ms) w.packet_window = 262144;
    const double trips = told != 0 ? 2 : 10;
    return {key, "Gb/s", reach, false, reach == 0 ? 0 : trips, [=](std::uint64_t seed) {
                const auto warm_up = w.round_trip * static_cast<int>(trips);
                const auto measured = std::max<Duration>(w.round_trip * 15, 300ms);
                const BulkResult r = bulk(w, seed, warm_up, measured);
                json more = details(r);
                more["bytes_in_flight_for_the_link"] = w.bits_per_s / 8e9 * static_cast<double>(w.round_trip.count());
                more["posted_window"] = w.posted_window;
                return Sample{r.goodput_bits_per_s / kGiga, w.bits_per_s / kGiga, r.reached_after_rtt, more};
            }};
}

// --- paths

Row paths_row(Duration round_trip, const std::string& key, double reach) {
    return {key, "Gb/s", reach, false, 0, [=](std::uint64_t seed) {
                Wan w;
                w.round_trip = round_trip;
                const auto warm_up = round_trip * 20 + 200ms;
                const double one = bulk(w, seed, warm_up, 500ms).goodput_bits_per_s;
                w.paths = 2;
                const BulkResult two = bulk(w, seed, warm_up, 500ms);
                return Sample{two.goodput_bits_per_s / kGiga, one / kGiga, -1, details(two)};
            }};
}

// --- congestion

// The smaller share of two flows beside one half of both.
Row fair_row(const std::string& key, Wan w, Duration apart, Duration warm_up, Duration measured, double reach) {
    return {key, "Gb/s", reach, false, 0, [=](std::uint64_t seed) {
                const ShareResult r = share(w, seed, 2, apart, warm_up, measured);
                const auto& g = r.goodput_bits_per_s;
                const double sum = g[0] + g[1];
                return Sample{std::min(g[0], g[1]) / kGiga,
                              sum / 2 / kGiga,
                              -1,
                              {{"sum_gbit_per_s", sum / kGiga}, {"most_queued_bytes", r.most_queued_bytes}}};
            }};
}

Row latency_row(const std::string& key, Duration round_trip, bool same_session, double reach) {
    return {key, "us", reach, true, 0, [=](std::uint64_t seed) {
                Wan w;
                w.round_trip = round_trip;
                const LatencyResult r = latency(w, seed, same_session, 1s);
                return Sample{r.busy_p99_ns / 1e3,
                              r.idle_p99_ns / 1e3,
                              -1,
                              {{"busy_p50_us", r.busy_p50_ns / 1e3},
                               {"bulk_gbit_per_s", r.bulk_bits_per_s / kGiga},
                               {"failed", r.failed}}};
            }};
}

Row incast_row(const std::string& key, unsigned targets, std::uint64_t buffer_bytes, double reach) {
    return {key, "Gb/s", reach, false, 0, [=](std::uint64_t seed) {
                Wan w;
                w.buffer_bytes = buffer_bytes;
                const ShareResult r = share(w, seed, targets, 0ms, 0ms, 500ms);  // the storm at the start counts
                double sum = 0;
                for (const double g : r.goodput_bits_per_s) sum += g;
                const auto [least, most] =
                    std::minmax_element(r.goodput_bits_per_s.begin(), r.goodput_bits_per_s.end());
                return Sample{sum / kGiga,
                              w.bits_per_s / kGiga,
                              -1,
                              {{"least_gbit_per_s", *least / kGiga}, {"most_gbit_per_s", *most / kGiga}}};
            }};
}

std::vector<Row> rows() {
    constexpr std::uint32_t kJumbo = 8972, kStandard = 1472;
    constexpr std::uint64_t kTold = 10'000'000'000;
    Wan strict, far, half_second;
    strict.strict = true;
    far.round_trip = 30ms;
    far.buffer_bytes = 4 << 20;
    far.posted_window = 65536;
    std::vector<Row> all = {
        loss_row("loss_0p01", 0.0001, 0.99),
        loss_row("loss_0p1", 0.001, 0.95),
        loss_row("loss_1", 0.01, 0.80),
        loss_row("loss_5", 0.05, 0),
        loss_row("loss_1_strict", 0.01, 0, strict),
        loss_row("loss_1_30ms", 0.01, 0, far),
    };
    for (const auto& [name, rtt] :
         {std::pair{"1ms", Duration(1ms)}, {"15ms", 15ms}, {"30ms", 30ms}, {"100ms", 100ms}}) {
        const std::string key = std::string("distance_") + name;
        all.push_back(distance_row(key, rtt, 0.90, kJumbo, 0));
        all.push_back(distance_row(key + "_told", rtt, 0.90, kJumbo, kTold));
        all.push_back(distance_row(key + "_1500", rtt, 0, kStandard, 0));
    }
    all.push_back(paths_row(100us, "paths_speedup", 1.7));
    all.push_back(paths_row(10ms, "paths_speedup_10ms", 0));
    all.push_back(fair_row("fair_2", {}, 0ms, 200ms, 1s, 0.9));
    all.push_back(fair_row("fair_2_late", {}, 300ms, 200ms, 1s, 0.9));
    all.push_back(fair_row("fair_2_30ms", far, 0ms, 5s, 3s, 0));
    all.push_back(latency_row("latency_beside_bulk", 100us, false, 3));
    all.push_back(latency_row("latency_one_session", 100us, true, 3));
    all.push_back(latency_row("latency_beside_bulk_20us", 20us, false, 0));
    all.push_back(latency_row("latency_beside_bulk_1ms", 1ms, false, 3));
    all.push_back(incast_row("incast_16", 16, 1 << 20, 0.9));
    all.push_back(incast_row("incast_16_256k", 16, 256 << 10, 0));
    return all;
}

}  // namespace

constexpr int kUsage = 2;

namespace {

int run(const Options& o) {
    json result = json::object();
    for (const Row& row : rows()) {
        if (row.key.find(o.only) == std::string::npos) continue;
        const json r = measure(row, o);
        if (!o.quiet) print(row.key, r);
        result[row.key] = r;
    }
    if (result.empty()) {
        std::fprintf(stderr, "farlane_sim_bench: --only: no row's key contains '%s'\n", o.only.c_str());
        return kUsage;
    }
    if (o.out == "-")
        std::printf("%s\n", result.dump(2).c_str());
    else if (!o.out.empty() && !(std::ofstream(o.out) << result.dump(2) << '\n')) {
        std::fprintf(stderr, "farlane_sim_bench: %s can not be written\n", o.out.c_str());
        return 1;
    }
    return 0;
}

}  // namespace
}  // namespace farlane::bench

int main(int argc, char** argv) {
    farlane::bench::Options o;
    CLI::App app{"Measures the protocol in simulated time: loss, distance, paths, congestion. bench/README.md"};
    app.add_option("--seed", o.seed, "first seed; the same seed gives the same figures");
    app.add_option("--repeats", o.repeats, "seeds per row")->check(CLI::Range(1, 1000));
    app.add_option("--only", o.only, "rows whose key contains this");
    app.add_option("--out", o.out, "JSON file of the rows; '-' = standard output");
    app.add_flag("--quiet", o.quiet, "no table");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : farlane::bench::kUsage;
    }
    return farlane::bench::run(o);
}
