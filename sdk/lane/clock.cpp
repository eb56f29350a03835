// SPDX-License-Identifier: Apache-2.0
// Receives: looks at CLOCK_MONOTONIC. Hands on: the ratio of the time stamp counter to it. Owns: nothing more.
#include "lane/clock.hpp"

#include <chrono>
#include <ctime>
#include <fstream>
#include <string>

namespace farlane::lane {
namespace {

using namespace std::chrono_literals;

constexpr proto::Duration kFollow = 1ms;
constexpr proto::Duration kMeasure = 10ms;  // the ratio is right to 10^-5 then
constexpr proto::Duration kRenew = 1s;
constexpr std::uint64_t kTogether = 20'000;                                // ticks, some microseconds
constexpr std::uint64_t kFewestTicks = 100'000, kMostTicks = 100'000'000;  // of kMeasure, at 10 MHz and 10 GHz

// The kernel watches the counter and takes another clock when it is not constant. Under kvm and Hyper-V the clocks
// that the guest is told to use are made of it.
bool counter_is_trusted() noexcept {
#if defined(__x86_64__)
    try {
        std::ifstream in("/sys/devices/system/clocksource/clocksource0/current_clocksource");
        std::string name;
        std::getline(in, name);
        return name == "tsc" || name == "kvm-clock" || name == "hyperv_clocksource_tsc_page";
    } catch (const std::exception&) {
        return false;
    }
#else
    return false;
#endif
}

std::uint64_t counter() noexcept {
#if defined(__x86_64__)
    return __rdtsc();
#else
    return 0;
#endif
}

}  // namespace

LaneClock::LaneClock() noexcept {
    static const bool trusted = counter_is_trusted();
    trusted_ = trusted;
    (void)look();
}

proto::Time LaneClock::exact() noexcept {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return proto::Time{std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec)};
}

proto::Time LaneClock::look() noexcept {
    const std::uint64_t before = counter();
    const proto::Time t = exact();
    const std::uint64_t ticks = counter();
    last_ = std::max(last_, t);
    if (!trusted_ || ticks - before > kTogether) return last_;  // interrupted between the two: the next look is better
    const proto::Duration lasted = t - measured_from_;
    const std::uint64_t passed = ticks - measured_from_ticks_;
    if (measured_from_ == proto::Time{} || lasted >= kRenew) {
        measured_from_ = t;
        measured_from_ticks_ = ticks;
    } else if (lasted >= kMeasure) {
        const double ticks_per_ns = static_cast<double>(passed) / static_cast<double>(lasted.count());
        const double in_measure = ticks_per_ns * static_cast<double>(kMeasure.count());
        trusted_ = in_measure >= static_cast<double>(kFewestTicks) && in_measure <= static_cast<double>(kMostTicks);
        ns_2_32_ = trusted_ ? static_cast<std::uint64_t>(4294967296.0 / ticks_per_ns) : 0;
        most_ticks_ = trusted_ ? static_cast<std::uint64_t>(ticks_per_ns * static_cast<double>(kFollow.count())) : 0;
    }
    base_ticks_ = ticks;
    base_ = t;
    return last_;
}

}  // namespace farlane::lane
