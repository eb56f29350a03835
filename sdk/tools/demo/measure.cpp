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
constexpr double kMostSeconds = 1;  ///< of one measurement; an emulated machine needs milliseconds for a round
constexpr std::size_t kBulkBytes = std::size_t{8} << 20;
constexpr int kBulkRounds = 8;

struct Median {
    double seconds;
    std::size_t rounds;
};

/// As many rounds as are wanted, or as the time allows; one at least.
template <class F>
Median median_of(F&& work, int rounds) {
    std::vector<double> times;
    times.reserve(static_cast<std::size_t>(rounds));
    const Stopwatch all;
    do {
        const Stopwatch time;
        work();
        times.push_back(time.seconds());
    } while (times.size() < static_cast<std::size_t>(rounds) && all.seconds() < kMostSeconds);
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return {*middle, times.size()};
}

}  // namespace

void measure(Device& device, accel::Context& context, Report& report) {
    auto& stream = context.stream();
    const auto read = [&] { (void)device.read64(FL_ACCEL_BAR_REGISTERS, offsetof(fl_accel_registers, life)); };
    report.progress("measuring", 0.1);
    (void)median_of(read, kWarmUp);
    const Median read_p50 = median_of(read, kRounds);
    const auto ping = [&] { stream.ping(); };
    report.progress("measuring", 0.3);
    (void)median_of(ping, kWarmUp);
    const Median ping_p50 = median_of(ping, kRounds);

    const auto memory = context.allocate<std::byte>(kBulkBytes);
    const auto host = context.allocate_host<std::byte>(kBulkBytes);
    std::fill(host.begin(), host.end(), std::byte{0x5a});
    report.progress("measuring", 0.5);
    const Median up = median_of(
        [&] {
            stream.upload(memory, host);
            stream.synchronize();
        },
        kBulkRounds);
    report.progress("measuring", 0.8);
    const Median down = median_of(
        [&] {
            stream.download(memory, host);
            stream.synchronize();
        },
        kBulkRounds);
    const auto bytes = static_cast<double>(kBulkBytes);
    report.result("round trip   " + time_text(read_p50.seconds) + " for an 8-byte register read, " +
                      time_text(ping_p50.seconds) + " for a command and its completion (p50 of " +
                      std::to_string(std::min(read_p50.rounds, ping_p50.rounds)) + ")",
                  "round_trip",
                  {{"register_read_p50_seconds", read_p50.seconds}, {"command_p50_seconds", ping_p50.seconds}});
    report.result("throughput   " + rate_text(bytes / up.seconds) + " to the accelerator, " +
                      rate_text(bytes / down.seconds) + " from it (" + size_text(kBulkBytes) + ", median of " +
                      std::to_string(std::min(up.rounds, down.rounds)) + ")",
                  "throughput",
                  {{"bytes", kBulkBytes},
                   {"upload_bytes_per_second", bytes / up.seconds},
                   {"download_bytes_per_second", bytes / down.seconds}});
}

}  // namespace farlane::demo
