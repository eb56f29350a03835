// SPDX-License-Identifier: Apache-2.0
// Receives: options. Hands on: rows with farlaned in between: round trip through it, what it costs when idle.
// Owns: the daemons of one measurement and their folder.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "daemon/process.hpp"
#include "groups.hpp"
#include "lane/scratch_device.hpp"
#include "measures.hpp"
#include "ports.hpp"

namespace farlane::bench {
namespace {

constexpr auto kIdleWindow = std::chrono::seconds(4);
constexpr auto kPause = std::chrono::milliseconds(50);  // everybody sleeps by then
constexpr unsigned kWakes = 40, kReads = 20000;
constexpr std::uint64_t kNvmeVersion = 8;  // a register of the NVMe model
constexpr double kDaemonMoreUs = 1.0;      // what a daemon in between may add
constexpr double kIdleGoalPercent = 1.0;

std::string port_table(const std::string& url, bool listen) {
    return "[[port]]\nname = \"p\"\nurl = \"" + url + "\"\nlisten = " + (listen ? "true" : "false") + "\n";
}

std::string initiator_config(const PairConfig& ports) {
    return port_table(ports.initiator_port, false) + "[[peer]]\naddress = \"" + ports.peer + "\"\n";
}

Fabric open_daemon(const test::Daemon& daemon, const std::string& function) {
    FabricOptions o;
    o.socket = daemon.socket();
    auto fabric = Fabric::open(o);
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);;) {
        const auto all = fabric.list();
        if (std::ranges::any_of(all, [&](const auto& f) { return f.name == function; })) return fabric;
        if (std::chrono::steady_clock::now() > end) throw std::runtime_error("no session within 20 s");
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

/// Nanoseconds on a processor, all threads.
double cpu_ns(pid_t pid) {
    double sum = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
        double ns = 0;
        std::ifstream(task.path() / "schedstat") >> ns;
        sum += ns;
    }
    return sum;
}

double daemon_rtt(const std::string& port, unsigned cores) {
    auto ports = pair_on(port);
    ports.never_sleep = cores >= 3;
    const TargetProcess target(ports);
    const test::TempDir dir;
    const std::string lane =
        cores >= 3 ? "[lane]\nnever_sleep = true\ncpu = 2\n" : "[lane]\nspin_us = 1000000\ncpu = 1\n";
    const test::Daemon daemon(dir, "initiator", lane + initiator_config(ports));
    pin_to(0);
    auto fabric = open_daemon(daemon, "scratch0");
    const auto ns = read_rtt_after(fabric, "scratch0", test::ScratchDevice::kIdent, {}, kReads);
    return ns[kP50] / 1e3;
}

void idle_on(const std::string& port, Report& report) {
    const auto ports = pair_on(port);
    const test::TempDir dir;
    test::Daemon target(
        dir, "target",
        port_table(ports.target_port, true) + "[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"1M\"\n");
    test::Daemon initiator(dir, "initiator", initiator_config(ports));
    auto fabric = open_daemon(initiator, "nvme0");
    (void)read_rtt_after(fabric, "nvme0", kNvmeVersion, {}, 20);
    Series s{"idle_" + port, "%", 1.0, true};
    s.limit = {kIdleGoalPercent};
    const double before[] = {cpu_ns(initiator.process().pid()), cpu_ns(target.process().pid())};
    const auto start = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(kIdleWindow);
    const double window = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
    s.ours = {(cpu_ns(initiator.process().pid()) - before[0]) / window * 100};
    s.more = {{"limit_is", "the goal"},
              {"target_percent", (cpu_ns(target.process().pid()) - before[1]) / window * 100}};
    const auto wake = read_rtt_after(fabric, "nvme0", kNvmeVersion, kPause, kWakes);
    s.more["wake_up_p50_us"] = wake[kP50] / 1e3;
    s.more["wake_up_p99_us"] = wake[kP99] / 1e3;
    report.add(s);
}

}  // namespace

void measure_daemon(const Options& o, Report& report) {
    const unsigned cores = std::thread::hardware_concurrency();
    std::string better;
    double best = 0;
    for (const auto& port : o.ports) {
        if (port == "udp") continue;
        const auto key = "mmio_read_rtt_daemon_" + port;
        try {
            Series s{key, "us", {}, true};
            if (cores >= 3) s.reach = 1.0;
            s.more = {{"limit_is", "raw round trip + 1 us"}, {"cores", cores}};
            if (cores < 3) s.more["reason"] = "daemon and target share a core: reported, not judged";
            for (int i = 0; i < o.repeats; ++i) {
                progress(key, i + 1, o.repeats);
                const auto raw = limit_of("raw_pingpong", port, "100000");
                s.limit.push_back(raw.at("round_trip_p50_ns").get<double>() / 1e3 + kDaemonMoreUs);
                s.ours.push_back(daemon_rtt(port, cores));
            }
            report.add(s);
            const double ratio = report.row(key)["ratio"];
            if (better.empty() || ratio < best) better = port, best = ratio;
        } catch (const std::exception& e) {
            report.fail(key, e.what());
        }
    }
    if (better.empty()) return report.missing("mmio_read_rtt_daemon", "us", "neither vhost nor memif was measured");
    auto row = report.row("mmio_read_rtt_daemon_" + better);
    row["more"]["port"] = better;
    report.add("mmio_read_rtt_daemon", row);
}

// The bare row is the worst port: the promise is made for each.
void measure_idle(const Options& o, Report& report) {
    std::string worst;
    int at = 0;
    for (const auto& port : o.ports) {
        progress("idle " + port, ++at, static_cast<int>(o.ports.size()));
        try {
            idle_on(port, report);
            if (worst.empty() || report.row("idle_" + port)["ours"] > report.row("idle_" + worst)["ours"]) worst = port;
        } catch (const std::exception& e) {
            report.fail("idle_" + port, e.what());
        }
    }
    if (worst.empty()) return report.missing("idle", "%", "no port was measured");
    auto row = report.row("idle_" + worst);
    row["more"]["port"] = worst;
    report.add("idle", row);
}

}  // namespace farlane::bench
