// SPDX-License-Identifier: Apache-2.0
// Receives: options. Hands on: rows of the accelerator function: commands, copies, launches over distance.
// Owns: nothing.
#include <string>

#include "accel_measures.hpp"
#include "groups.hpp"
#include "measures.hpp"
#include "ports.hpp"
#include "run.hpp"

namespace farlane::bench {
namespace {

constexpr double kNoopRoomUs = 1.5;  // a command may cost this much more than a frame there and back
constexpr double kStreamKib = 256;
constexpr unsigned kLaunches = 1000;
constexpr double kFarRoundTripMs = 15;

PairConfig accel_pair(const std::string& port) {
    auto config = pair_on(port);
    config.executor = "cpu";
    return config;
}

void noop_on(const Options& o, const std::string& port, Report& report) {
    Series s{"accel_noop_" + port, "us", 1.0, true};
    s.more = {{"limit_is", "64-byte raw frame there and back, and 1.5 us"}};
    std::vector<double> raw_us, read_us;
    for (int i = 0; i < o.repeats; ++i) {
        progress(s.key, i + 1, o.repeats);
        const auto raw = limit_of("raw_pingpong", port, port == "udp" ? "50000" : "200000");
        raw_us.push_back(raw.at("round_trip_p50_ns").get<double>() / 1e3);
        s.limit.push_back(raw_us.back() + kNoopRoomUs);
        s.ours.push_back(measure_pair(accel_pair(port), noop_rtt)[kP50] / 1e3);
        read_us.push_back(measure_pair(pair_on(port), read_rtt)[kP50] / 1e3);
    }
    s.more["raw_us"] = median(raw_us);
    s.more["register_read_us"] = median(read_us);
    report.add(s);
}

void copies_on(const Options& o, const std::string& port, Report& report) {
    for (const unsigned mib : {1U, 4U, 16U, 64U}) {
        const std::size_t bytes = std::size_t{mib} << 20;
        const std::string suffix = std::to_string(mib) + "m_" + port;
        Series up{"accel_h2d_" + suffix, "GB/s", 0.85}, down{"accel_d2h_" + suffix, "GB/s", 0.85};
        if (!wants(o, up.key) && !wants(o, down.key)) continue;
        for (int i = 0; i < o.repeats; ++i) {
            progress(up.key, i + 1, o.repeats);
            const auto posted =
                measure_pair(accel_pair(port), [&](Fabric& f) { return std::vector{aperture_write_rate(f, bytes)}; });
            for (auto* s : {&up, &down}) s->limit.push_back(posted[0]);
            const auto rates = measure_pair(accel_pair(port), [&](Fabric& f) {
                return std::vector{upload_rate(f, bytes), download_rate(f, bytes)};
            });
            up.ours.push_back(rates[0]);
            down.ours.push_back(rates[1]);
        }
        report.add(up);
        report.add(down);
    }
}

/// A link with a round trip of kFarRoundTripMs: UDP on loopback, every frame late on its way there and back.
PairConfig far_pair() {
    auto config = accel_pair("udp");
    const std::string faults = "?delay=" + std::to_string(static_cast<int>(kFarRoundTripMs * 500)) + "us&hold=65536";
    config.target_port = "fault+" + config.target_port + faults;
    config.initiator_port = "fault+" + config.initiator_port + faults;
    return config;
}

void far_row(const Options& o, const std::string& key, double round_trips, Report& report,
             const std::function<LaunchTimes(Fabric&)>& measure) {
    Series s{key, "ms", 1.0, true};
    for (int i = 0; i < o.repeats; ++i) {
        progress(key, i + 1, o.repeats);
        const auto times = measure_pair(far_pair(), [&](Fabric& f) {
            const auto t = measure(f);
            return std::vector{t.all_ms, t.kernels_ms, t.submit_ms, t.round_trip_ms};
        });
        s.ours.push_back(times[0]);
        s.limit.push_back((round_trips * times[3] + times[1]) * 1.1);
        s.more["kernels_ms"] = times[1];
        s.more["submit_ms"] = times[2];
        s.more["round_trip_ms"] = times[3];
    }
    s.more["limit_is"] =
        "1.1 times (" + std::to_string(static_cast<int>(round_trips)) + " round trips and the kernels)";
    report.add(s);
}

/// Work of a local OpenCL device beside the same work through the fabric, data resident. On shared cores: nobody spins.
void opencl_row(const Options& o, const std::string& work, Report& report) {
    Series s{"accel_opencl_" + work, "ms", 1 / 0.9, true};
    s.more = {{"limit_is", "the same kernel on the same device, locally"}};
    auto config = pair_on("udp");
    config.executor = "opencl";
    config.pinned = config.never_sleep = false;
    const unsigned count = work == "gemm" ? 2 : 20;
    for (int i = 0; i < o.repeats; ++i) {
        progress(s.key, i + 1, o.repeats);
        const auto local = json::parse(
            output_of({bench_folder() + "/opencl_local", "--work", work, "--count", std::to_string(count)}));
        s.limit.push_back(local.at("median_ms").get<double>());
        s.more["device"] = local.at("device");
        const auto ours = measure_pair(config, [&](Fabric& f) { return opencl_ms(f, work, count); });
        s.ours.push_back(ours[0]);
        s.more["worker_mib"] = ours[1];
    }
    report.add(s);
}

}  // namespace

void measure_accel(const Options& o, Report& report) {
    for (const auto& port : o.ports) {
        try {
            if (wants(o, "accel_noop_" + port)) noop_on(o, port, report);
            copies_on(o, port, report);
        } catch (const std::exception& e) {
            report.fail("accel_" + port, e.what());
        }
    }
    try {
        if (wants(o, "accel_stream_memory")) {
            Series s{"accel_stream_memory", "KiB", 1.0, true};
            s.ours = measure_pair(accel_pair("udp"), [](Fabric& f) { return std::vector{stream_kib(f)}; });
            s.limit = {kStreamKib};
            s.more = {{"limit_is", "the goal"}};
            report.add(s);
        }
        if (wants(o, "accel_launches_15ms")) {
            far_row(o, "accel_launches_15ms", 1, report, [](Fabric& f) { return launch_times(f, kLaunches); });
        }
        for (const char* work : {"saxpy", "gemm"}) {
            if (wants(o, std::string("accel_opencl_") + work)) opencl_row(o, work, report);
        }
        if (wants(o, "accel_cold_15ms")) far_row(o, "accel_cold_15ms", 2, report, cold_program);
    } catch (const std::exception& e) {
        report.fail("accel", e.what());
    }
}

}  // namespace farlane::bench
