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
    std::string bin;
    std::string out = "bench/results/latest.json";
    std::vector<std::string> ports = {"vhost", "memif", "udp"};
    int repeats = 5;
};

/// How both programs are told to use one kind of port.
struct PortKind {
    std::string name;
    PairConfig ours;
};

std::string scratch_path(const std::string& what) {
    static int number = 0;
    return std::filesystem::temp_directory_path() / ("farlane-bench-" + std::to_string(getpid()) + "-" + what + std::to_string(number++));
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

json row(std::vector<double> ours, std::vector<double> limit, const char* unit, double reach, bool lower_is_better) {
    std::vector<double> ratio;
    for (std::size_t i = 0; i < ours.size() && i < limit.size(); ++i) ratio.push_back(ours[i] / limit[i]);
    json r = {{"ours", percentile(ours, 0.5)}, {"unit", unit}, {"repeats", ours.size()},
              {"min", *std::min_element(ours.begin(), ours.end())},
              {"median", percentile(ours, 0.5)},
              {"max", *std::max_element(ours.begin(), ours.end())}};
    if (!ratio.empty()) {
        r["limit"] = percentile(limit, 0.5);
        r["ratio"] = percentile(ratio, 0.5);
        r["reach"] = reach;
        r["ok"] = lower_is_better ? r["ratio"] <= reach : r["ratio"] >= reach;
    }
    return r;
}

double raw_number(const Options& o, const std::vector<std::string>& args, const char* key) {
    std::vector<std::string> argv = args;
    argv[0] = o.bin + "/" + argv[0];
    return json::parse(output_of(argv)).at(key).get<double>();
}

void print(const std::string& key, const json& r) {
    std::printf("%-24s %10.3f %-4s", key.c_str(), r["ours"].get<double>(), r["unit"].get<std::string>().c_str());
    if (r.contains("ratio"))
        std::printf("  limit %10.3f  ratio %6.2f  reach %5.2f  %s", r["limit"].get<double>(), r["ratio"].get<double>(),
                    r["reach"].get<double>(), r["ok"].get<bool>() ? "ok" : "MISSED");
    std::printf("  (min %.3f, max %.3f, %d repeats)\n", r["min"].get<double>(), r["max"].get<double>(), r["repeats"].get<int>());
    std::fflush(stdout);
}

}  // namespace
}  // namespace farlane::bench

int main(int argc, char** argv) {
    using namespace farlane::bench;
    Options o;
    o.bin = std::filesystem::canonical("/proc/self/exe").parent_path();
    CLI::App app{"Measures Farlane beside the limits of this machine"};
    app.add_option("--ports", o.ports, "vhost, memif, udp")->delimiter(',');
    app.add_option("--repeats", o.repeats, "runs of each, ours and the limit by turns");
    app.add_option("--out", o.out, "JSON file");
    CLI11_PARSE(app, argc, argv);
    (void)port_kind;
    for (const auto& name : o.ports) {
        for (int i = 0; i < o.repeats; ++i) {
            const auto rtt = measure_pair(port_kind(name).ours, read_rtt);
            const auto w = measure_pair(port_kind(name).ours, [](farlane::Fabric& f) { return dma_rate(f, 1); });
            const auto r = measure_pair(port_kind(name).ours, [](farlane::Fabric& f) { return dma_rate(f, 2); });
            std::printf("%s rtt p50 %.0f p99 %.0f ns; dma write %.2f read %.2f GB/s\n", name.c_str(), rtt[0], rtt[1], w[0], r[0]);
        }
    }
}
