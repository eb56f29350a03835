// SPDX-License-Identifier: Apache-2.0
// Receives: what to measure. Hands on: a table, and JSON as bench/README.md describes it.
// Owns: the runs of one benchmark session, ours and the limit's by turns.
#include <sys/utsname.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>

#include "lane/scratch_device.hpp"
#include "pair.hpp"

namespace farlane::bench {
namespace {

using json = nlohmann::json;
using Clock = std::chrono::steady_clock;
using D = test::ScratchDevice;

constexpr auto kWarmUp = std::chrono::milliseconds(200);
constexpr auto kMeasure = std::chrono::milliseconds(1000);
constexpr std::size_t kMostReads = 4'000'000;

struct Options {
    std::string limits;  ///< folder of the programs of bench/limits
    std::string out = "bench/results/latest.json";
    std::vector<std::string> ports = {"vhost", "memif", "udp"};
    int repeats = 5;
    bool simulated = true;  ///< the rows of farlane_sim_bench as well
};

/// How both programs are told to use one kind of port.
struct PortKind {
    std::string name;
    PairConfig ours;
};

std::string scratch_path(const std::string& what) {
    static int number = 0;
    return std::filesystem::temp_directory_path() /
           ("farlane-bench-" + std::to_string(getpid()) + "-" + what + std::to_string(number++));
}

PortKind port_kind(const std::string& name) {
    PortKind k{name, {}};
    if (name == "vhost") {
        const auto path = scratch_path("vhost");
        k.ours.target_port = "dpdk:net_vhost0,iface=" + path + ",client=1";
        k.ours.initiator_port = "dpdk:net_virtio_user0,path=" + path + ",server=1";
    } else if (name == "memif") {
        const auto path = scratch_path("memif");
        k.ours.target_port = "dpdk:net_memif0,role=server,socket=" + path + ",socket-abstract=no,bsize=10240";
        k.ours.initiator_port = "dpdk:net_memif0,role=client,socket=" + path + ",socket-abstract=no,bsize=10240";
    } else {
        const auto port = std::to_string(30000 + (getpid() + rand()) % 20000);
        k.ours.target_port = "udp:127.0.0.1:" + port;
        k.ours.initiator_port = "udp:127.0.0.1:0";
        k.ours.peer = "127.0.0.1:" + port;
    }
    return k;
}

double resident_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmRSS:")) return std::stod(line.substr(6));
    return 0;
}

double percentile(std::vector<double>& v, double p) {
    const auto at = static_cast<std::size_t>(p * static_cast<double>(v.size() - 1));
    std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(at), v.end());
    return v[at];
}

/// Nanoseconds of 8-byte register reads: p50 and p99.
std::vector<double> read_rtt(Fabric& fabric) {
    auto d = fabric.attach("scratch0");
    d.enable();
    std::vector<double> ns;
    ns.reserve(kMostReads);
    const auto warm = Clock::now() + kWarmUp;
    const auto end = warm + kMeasure;
    for (auto start = Clock::now(); start < end && ns.size() < kMostReads;) {
        (void)d.read64(0, D::kIdent);
        const auto now = Clock::now();
        if (start >= warm) ns.push_back(std::chrono::duration<double, std::nano>(now - start).count());
        start = now;
    }
    if (ns.empty()) throw std::runtime_error("no read was answered");
    return {percentile(ns, 0.5), percentile(ns, 0.99)};
}

/// GB/s of device DMA writes (go = 1) or reads (go = 2) of 4 KiB each.
std::vector<double> dma_rate(Fabric& fabric, std::uint64_t go) {
    auto d = fabric.attach("scratch0");
    d.enable();
    d.enable_interrupts(1);
    auto buffer = d.domain().allocate(D::kBar2Bytes);
    std::fill(buffer.bytes().begin(), buffer.bytes().end(), std::byte{1});
    const auto mapping = d.domain().map(buffer, DmaDirection::bidirectional);
    d.write64(0, D::kRelaxed, 1);
    d.write64(0, D::kIova, mapping.iova());
    d.write64(0, D::kLength, buffer.size());
    d.write64(0, D::kMemory, 0);
    const auto seconds_for = [&](std::uint64_t repeat) {
        d.write64(0, D::kRepeat, repeat);
        const auto start = Clock::now();
        d.write64(0, D::kGo, go);
        if (!d.wait_interrupt(0, std::chrono::seconds(60))) throw std::runtime_error("no interrupt");
        return std::chrono::duration<double>(Clock::now() - start).count();
    };
    const double one = seconds_for(4) / 4;  // warms up, and says how many fit
    const auto repeat = static_cast<std::uint64_t>(std::clamp(1.0 / one, 4.0, 4096.0));
    return {static_cast<double>(repeat * buffer.size()) / seconds_for(repeat) / 1e9};
}

/// What was measured of one key, ours and the limit by turns.
struct Series {
    std::string key, unit;
    double reach = 0;  ///< ratio that the issue of the day asks for; 0 = none
    bool lower_is_better = false;
    std::vector<double> ours, limit;

    [[nodiscard]] json row() {
        std::vector<double> ratio;
        for (std::size_t i = 0; i < ours.size() && i < limit.size(); ++i) ratio.push_back(ours[i] / limit[i]);
        json r = {{"ours", percentile(ours, 0.5)},   {"unit", unit},
                  {"repeats", ours.size()},          {"min", *std::min_element(ours.begin(), ours.end())},
                  {"median", percentile(ours, 0.5)}, {"max", *std::max_element(ours.begin(), ours.end())}};
        if (ratio.empty()) return r;
        r["limit"] = percentile(limit, 0.5);
        r["ratio"] = percentile(ratio, 0.5);
        if (reach == 0) return r;
        r["reach"] = reach;
        r["ok"] = lower_is_better ? r["ratio"] <= reach : r["ratio"] >= reach;
        return r;
    }
};

json limit_of(const Options& o, const std::string& program, const std::string& medium, const char* count) {
    return json::parse(output_of({o.limits + "/" + program, "--medium", medium, "--count", count}));
}

void print(const std::string& key, const json& r) {
    std::printf("%-22s %9.3f %-4s", key.c_str(), r["ours"].get<double>(), r["unit"].get<std::string>().c_str());
    if (r.contains("ratio"))
        std::printf("  limit %9.3f  ratio %5.2f", r["limit"].get<double>(), r["ratio"].get<double>());
    if (r.contains("ok"))
        std::printf("  reach %4.2f  %s", r["reach"].get<double>(), r["ok"].get<bool>() ? "ok" : "MISSED");
    std::printf("  (%.3f to %.3f, %d repeats)\n", r["min"].get<double>(), r["max"].get<double>(),
                r["repeats"].get<int>());
    std::fflush(stdout);
}

/// Kilobytes that moving 64 MiB each way adds to the resident memory of the initiator, buffer excluded.
std::vector<double> extra_memory(Fabric& fabric) {
    auto d = fabric.attach("scratch0");
    d.enable();
    d.enable_interrupts(1);
    auto buffer = d.domain().allocate(D::kBar2Bytes);
    std::fill(buffer.bytes().begin(), buffer.bytes().end(), std::byte{1});
    const auto mapping = d.domain().map(buffer, DmaDirection::bidirectional);
    d.write64(0, D::kIova, mapping.iova());
    d.write64(0, D::kLength, buffer.size());
    d.write64(0, D::kRepeat, 8);
    const auto before = resident_kib();
    for (const std::uint64_t go : {1, 2}) {
        d.write64(0, D::kGo, go);
        if (!d.wait_interrupt(0, std::chrono::seconds(60))) throw std::runtime_error("no interrupt");
    }
    return {resident_kib() - before};
}

void measure_port(const Options& o, const std::string& name, json& rows, std::vector<double>& cacheline) {
    Series rtt{"mmio_read_rtt_" + name, "us", name == "udp" ? 0 : 2.5, true, {}, {}};
    Series p99{"mmio_read_p99_" + name, "us", 0, true, {}, {}};
    Series write{"dma_write_4k_" + name, "GB/s", name == "udp" ? 0 : 0.6, false, {}, {}};
    Series read{"dma_read_4k_" + name, "GB/s", 0, false, {}, {}};
    for (int i = 0; i < o.repeats; ++i) {
        std::fprintf(stderr, "%s: %d of %d\r", name.c_str(), i + 1, o.repeats);
        const auto raw = limit_of(o, "raw_pingpong", name, "200000");
        cacheline.push_back(raw.at("cacheline_before_ns").get<double>());
        rtt.limit.push_back(raw.at("round_trip_p50_ns").get<double>() / 1e3);
        p99.limit.push_back(raw.at("round_trip_p99_ns").get<double>() / 1e3);
        const auto ours = measure_pair(port_kind(name).ours, read_rtt);
        rtt.ours.push_back(ours[0] / 1e3);
        p99.ours.push_back(ours[1] / 1e3);
        const auto frames = limit_of(o, "raw_frames", name, "400000");
        write.limit.push_back(frames.at("gigabytes_per_s").get<double>());
        read.limit.push_back(frames.at("gigabytes_per_s").get<double>());
        write.ours.push_back(measure_pair(port_kind(name).ours, [](Fabric& f) { return dma_rate(f, 1); })[0]);
        read.ours.push_back(measure_pair(port_kind(name).ours, [](Fabric& f) { return dma_rate(f, 2); })[0]);
    }
    Series memory{"memory_64mib_" + name, "KiB", 0, true, measure_pair(port_kind(name).ours, extra_memory), {}};
    for (auto* s : {&rtt, &p99, &write, &read, &memory}) print(s->key, rows[s->key] = s->row());
}

// The rows that are judged in simulated time: the same program, the same shape.
void add_simulated(const Options& o, json& rows) {
    const auto simulated = json::parse(output_of({o.limits + "/farlane_sim_bench", "--quiet", "--out", "-"}));
    for (const auto& [key, row] : simulated.items()) print(key, rows[key] = row);
}

std::string machine() {
    utsname u{};
    uname(&u);
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);)
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2) + ", Linux " + u.release;
    return std::string(u.machine) + ", Linux " + u.release;
}

int run(const Options& o) {
    json result = {{"machine", machine()}, {"cores", std::thread::hardware_concurrency()}, {"rows", json::object()}};
    try {
        result["commit"] = output_of({"/usr/bin/git", "rev-parse", "--short", "HEAD"}).substr(0, 7);
    } catch (const std::exception&) {
        result["commit"] = "unknown";
    }
    std::vector<double> cacheline;
    for (const auto& name : o.ports) {
        try {
            measure_port(o, name, result["rows"], cacheline);
        } catch (const std::exception& e) {
            std::fprintf(stderr, "%s: %s\n", name.c_str(), e.what());
            result["failed"][name] = e.what();
        }
    }
    if (o.simulated) {
        try {
            add_simulated(o, result["rows"]);
        } catch (const std::exception& e) {
            std::fprintf(stderr, "simulated: %s\n", e.what());
            result["failed"]["simulated"] = e.what();
        }
    }
    if (!cacheline.empty()) {
        result["cacheline_ns"] = percentile(cacheline, 0.5);
        std::printf("cache line, core to core and back: %.0f ns (compare only runs where it is the same)\n",
                    percentile(cacheline, 0.5));
    }
    std::ofstream(o.out) << result.dump(2) << '\n';
    std::printf("written: %s\n", o.out.c_str());
    return result.contains("failed") ? 1 : 0;
}

}  // namespace
}  // namespace farlane::bench

int main(int argc, char** argv) {
    farlane::bench::Options o;
    o.limits = std::filesystem::canonical("/proc/self/exe").parent_path();
    CLI::App app{"Measures Farlane beside the limits of this machine. bench/README.md"};
    app.add_option("--ports", o.ports, "any of vhost, memif, udp")
        ->delimiter(',')
        ->check(CLI::IsMember({"vhost", "memif", "udp"}));
    app.add_option("--repeats", o.repeats, "runs of each, ours and the limit by turns")->check(CLI::Range(1, 100));
    app.add_flag("--simulated,!--no-simulated", o.simulated, "the figures in simulated time as well (default), or not");
    app.add_option("--out", o.out, "JSON file");
    CLI11_PARSE(app, argc, argv);
    return farlane::bench::run(o);
}
