// SPDX-License-Identifier: Apache-2.0
// Receives: the command line. Hands on: bench/results/gpu.json: what the CUDA executor does over udp: on this host,
// beside the same work by the driver API. Owns: the processes of each measurement, one after the other.
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>

#include <farlane/accel.hpp>

#include "gpu/process.hpp"
#include "gpu/work.hpp"
#include "product/accel_measures.hpp"
#include "product/ports.hpp"
#include "product/report.hpp"

namespace farlane::bench {
namespace {

using gpu::in_child;
using nlohmann::json;
constexpr int kFailed = 1, kUsage = 2, kSkipped = 77;
constexpr std::size_t kMib = std::size_t{1} << 20;

PairConfig pair_with_gpu() {
    auto config = pair_on("udp");
    config.executor = "cuda";
    config.time_limit_ms = 5'000;  // for what shall not end
    config.pinned = false;         // workers need cores too
    config.never_sleep = std::thread::hardware_concurrency() > 3;
    return config;
}

class Results {
public:
    /// `ratio`: better is more.
    void row(const std::string& key, const char* unit, const std::vector<double>& ours,
             const std::vector<double>& beside, double ratio, double goal, const char* beside_is) {
        rows_[key] = {{"unit", unit},
                      {"ours", ours},
                      {"beside", beside},
                      {"beside_is", beside_is},
                      {"ratio", ratio},
                      {"goal", goal},
                      {"ok", goal == 0 || ratio >= goal}};
        std::printf("%-18s %12.3f %12.3f %-4s  ratio %.3f%s\n", key.c_str(), median(ours), median(beside), unit, ratio,
                    goal == 0       ? ""
                    : ratio >= goal ? "  ok"
                                    : "  MISSED");
        std::fflush(stdout);
    }
    void check(const std::string& name, const std::string& wrong) {
        checks_[name] = wrong.empty() ? "ok" : wrong;
        failed_ = failed_ || !wrong.empty();
        std::printf("check %-14s %s\n", name.c_str(), wrong.empty() ? "ok" : wrong.c_str());
        std::fflush(stdout);
    }
    void fail(const std::string& what, const std::string& why) {
        failures_[what] = why;
        failed_ = true;
        std::printf("%-18s could not be measured: %s\n", what.c_str(), why.c_str());
        std::fflush(stdout);
    }
    [[nodiscard]] bool failed() const { return failed_; }
    [[nodiscard]] json all() const { return {{"rows", rows_}, {"checks", checks_}, {"failed", failures_}}; }

private:
    json rows_ = json::object(), checks_ = json::object(), failures_ = json::object();
    bool failed_ = false;
};

/// Parts of the run; all of them when none is named.
class Wanted {
public:
    explicit Wanted(const std::string& list) : list_(list.empty() ? "" : "," + list + ",") {}
    bool operator()(const std::string& part) const {
        return list_.empty() || list_.find("," + part + ",") != std::string::npos;
    }

private:
    std::string list_;
};

template <class Measure>
void try_row(Results& results, const std::string& key, Measure measure) {
    try {
        measure();
    } catch (const std::exception& e) {
        results.fail(key, e.what());
    }
}

void run_checks(Results& results, const Wanted& wanted) {
    for (const auto& check : gpu::checks()) {
        if (!wanted("checks") && !wanted(check.name)) continue;
        std::string wrong;
        try {
            (void)measure_pair(pair_with_gpu(), [&](Fabric& fabric) {
                try {
                    check.run(fabric);
                } catch (const std::exception& e) {
                    std::fprintf(stderr, "%s: %s\n", check.name.c_str(), e.what());
                    throw;
                }
                return std::vector<double>{1};
            });
        } catch (const std::exception& e) {
            wrong = e.what();
        }
        results.check(check.name, wrong);
    }
}

/// By turns: a device that has become warm is slower.
void run_work(Results& results, const Wanted& wanted) {
    constexpr unsigned kTurns = 3;
    for (const auto& [work, goal] : {std::pair{"gemm_f32", 0.98}, {"gemm_bf16", 0.98}, {"launches", 0.80}}) {
        if (!wanted(work)) continue;
        try_row(results, work, [&, work = std::string(work), goal = goal] {
            std::vector<double> local, ours;
            for (unsigned turn = 0; turn < kTurns; ++turn) {
                for (const double ms : in_child([&] { return gpu::local_ms(work); })) local.push_back(ms);
                for (const double ms :
                     measure_pair(pair_with_gpu(), [&](Fabric& f) { return gpu::remote_ms(f, work); }))
                    ours.push_back(ms);
            }
            results.row(work, "ms", ours, local, median(local) / median(ours), goal, "the driver API, locally");
        });
    }
}

/// What is the vendor's of a context's cost is beside it: a process that does the same by the driver API.
void run_context(Results& results) {
    try_row(results, "context", [&] {
        const auto local = gpu::local_context();
        const auto ours = measure_pair(pair_with_gpu(), [](Fabric& f) { return gpu::remote_context(f); });
        constexpr const char* kBeside = "a process of the driver API";
        results.row("context_device", "MiB", {ours[0] / kMib}, {local[0] / kMib}, 0, 0, kBeside);
        results.row("context_host", "MiB", {ours[1] / kMib}, {local[1] / kMib}, 0, 0, kBeside);
        results.row("context_open", "ms", {ours[2]}, {local[2]}, 0, 0, kBeside);
    });
}

void run_copies(Results& results, const Wanted& wanted) {
    for (const std::size_t mib : {1, 16, 64}) {
        const std::string size = std::to_string(mib) + "m";
        if (!wanted("copies_" + size)) continue;
        try_row(results, "copies_" + size, [&] {
            const auto config = pair_with_gpu();
            const auto port =
                measure_pair(config, [&](Fabric& f) { return std::vector{aperture_write_rate(f, mib * kMib)}; });
            const auto up =
                measure_pair(pair_with_gpu(), [&](Fabric& f) { return std::vector{upload_rate(f, mib * kMib)}; });
            const auto down =
                measure_pair(pair_with_gpu(), [&](Fabric& f) { return std::vector{download_rate(f, mib * kMib)}; });
            const auto local = in_child([&] { return gpu::local_copy_rates(mib * kMib); });
            results.row("h2d_" + size, "GB/s", up, port, up[0] / port[0], 0.85, "posted writes of the port");
            results.row("d2h_" + size, "GB/s", down, port, down[0] / port[0], 0.85, "posted writes of the port");
            results.row("h2d_local_" + size, "GB/s", up, {local[0]}, up[0] / local[0], 0, "pinned copies, locally");
            results.row("d2h_local_" + size, "GB/s", down, {local[1]}, down[0] / local[1], 0, "pinned copies, locally");
        });
    }
}

json machine() {
    utsname name{};
    (void)uname(&name);
    return {{"kernel", name.release}, {"machine", name.machine}, {"cores", std::thread::hardware_concurrency()}};
}

/// Name and driver of the device, as the accelerator tells them.
json device() {
    std::string text;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    (void)measure_pair(pair_with_gpu(), [&](Fabric& fabric) {
        auto on = fabric.attach("accel0");
        accel::Context context(on);
        const auto p = context.properties();
        text = p.device_name + "\n" + p.driver_version + "\n" + std::to_string(p.local_bytes) + "\n" +
               std::to_string(p.worker_bytes);
        return std::vector<double>{static_cast<double>(write(ends[1], text.data(), text.size()))};
    });
    close(ends[1]);
    char part[1024];
    const ssize_t got = read(ends[0], part, sizeof part);
    close(ends[0]);
    return {
        {"name, driver, local bytes, worker bytes", std::string(part, got > 0 ? static_cast<std::size_t>(got) : 0)}};
}

int run(const std::string& out, const Wanted& wanted, const std::string& note) {
    try {
        (void)in_child([] { return gpu::local_copy_rates(kMib); });
    } catch (const std::exception& e) {
        std::printf("skipped: %s\n", e.what());
        return kSkipped;
    }
    Results results;
    json all = {{"what", "CUDA executor over udp: on one host, beside the driver API"}, {"machine", machine()}};
    if (!note.empty()) all["note"] = note;
    try_row(results, "device", [&] { all["device"] = device(); });
    // After each part: what stops the run does not take along what was measured.
    const auto save = [&] {
        all.update(results.all());
        std::ofstream(out) << all.dump(1) << '\n';
    };
    run_checks(results, wanted);
    save();
    if (wanted("context")) run_context(results);
    run_work(results, wanted);
    save();
    run_copies(results, wanted);
    save();
    std::printf("raw figures: %s\n", out.c_str());
    return results.failed() ? kFailed : 0;
}

}  // namespace
}  // namespace farlane::bench

int main(int argc, char** argv) {
    std::string out = "bench/results/gpu.json", only, note;
    bool usage = argc % 2 == 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::string(argv[i]) == "--out") {
            out = argv[i + 1];
        } else if (std::string(argv[i]) == "--only") {
            only = argv[i + 1];
        } else if (std::string(argv[i]) == "--note") {
            note = argv[i + 1];
        } else {
            usage = true;
        }
    }
    if (usage) {
        std::fprintf(
            stderr,
            "usage: farlane-bench-gpu [--out FILE] [--only PART,PART] [--note TEXT]\n"
            "Checks and measures the CUDA executor on this machine's GPU (bench/README.md). Parts: checks (or the\n"
            "name of one), context,\n"
            "gemm_f32, gemm_bf16, launches, copies_1m, copies_16m, copies_64m.\n");
        return farlane::bench::kUsage;
    }
    return farlane::bench::run(out, farlane::bench::Wanted(only), note);
}
