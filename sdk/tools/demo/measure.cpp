// SPDX-License-Identifier: Apache-2.0
// Receives: an attached accelerator. Hands on: what a round trip and a byte cost, as measured now.
// Owns: buffers while it measures.
#include <algorithm>
#include <vector>

#include <farlane/uapi/accel.h>

#include "demo/steps.hpp"

namespace farlane::demo {
namespace {

constexpr int kWarmUp = 200;
constexpr int kRounds = 3000;
constexpr std::size_t kBulkBytes = std::size_t{8} << 20;
constexpr int kBulkRounds = 8;

template <class F>
double median_seconds(F&& work, int rounds) {
    std::vector<double> times;
    times.reserve(static_cast<std::size_t>(rounds));
    for (int i = 0; i < rounds; ++i) {
        const Stopwatch time;
        work();
        times.push_back(time.seconds());
    }
    const auto middle = times.begin() + rounds / 2;
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
}

}  // namespace

void measure(Device& device, accel::Context& context, Report& report) {
    auto& stream = context.stream();
    const auto read = [&] { (void)device.read64(FL_ACCEL_BAR_REGISTERS, offsetof(fl_accel_registers, life)); };
    report.progress("measuring", 0.1);
    (void)median_seconds(read, kWarmUp);
    const double read_p50 = median_seconds(read, kRounds);
    const auto ping = [&] { stream.ping(); };
    report.progress("measuring", 0.3);
    (void)median_seconds(ping, kWarmUp);
    const double ping_p50 = median_seconds(ping, kRounds);

    const auto memory = context.allocate<std::byte>(kBulkBytes);
    const auto host = context.allocate_host<std::byte>(kBulkBytes);
    std::fill(host.begin(), host.end(), std::byte{0x5a});
    report.progress("measuring", 0.5);
    const double up = median_seconds(
        [&] {
            stream.upload(memory, host);
            stream.synchronize();
        },
        kBulkRounds);
    report.progress("measuring", 0.8);
    const double down = median_seconds(
        [&] {
            stream.download(memory, host);
            stream.synchronize();
        },
        kBulkRounds);
    const auto bytes = static_cast<double>(kBulkBytes);
    report.result("round trip   " + time_text(read_p50) + " for an 8-byte register read, " + time_text(ping_p50) +
                      " for a command and its completion (p50 of " + std::to_string(kRounds) + ")",
                  "round_trip", {{"register_read_p50_seconds", read_p50}, {"command_p50_seconds", ping_p50}});
    report.result(
        "throughput   " + rate_text(bytes / up) + " to the accelerator, " + rate_text(bytes / down) + " from it (" +
            size_text(kBulkBytes) + ", median of " + std::to_string(kBulkRounds) + ")",
        "throughput",
        {{"bytes", kBulkBytes}, {"upload_bytes_per_second", bytes / up}, {"download_bytes_per_second", bytes / down}});
}

}  // namespace farlane::demo
