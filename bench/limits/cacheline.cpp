// SPDX-License-Identifier: Apache-2.0
// Receives: two CPUs. Hands on: the round trip of a cache line between them. Owns: one line.
#include <sys/prctl.h>

#include <atomic>
#include <csignal>

#include "common.hpp"

namespace limits {
namespace {

constexpr std::uint64_t kWarmUp = 2000, kTrips = 20000, kBatch = 100;

struct Line {
    alignas(64) std::atomic<std::uint64_t> ping{0};
    alignas(64) std::atomic<std::uint64_t> pong{0};
};

void echo(Line& line) {
    for (std::uint64_t n = 1; n <= kWarmUp + kTrips; ++n) {
        while (line.ping.load(std::memory_order_acquire) != n) {
        }
        line.pong.store(n, std::memory_order_release);
    }
}

}  // namespace

std::int64_t cacheline_round_trip_ns(int cpu_a, int cpu_b) {
    cpu_set_t before;
    sched_getaffinity(0, sizeof before, &before);
    pin(cpu_b);  // the child inherits it; what fails here fails before anybody spins
    Line* const line = shared<Line>();
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("fork");
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // the parent may be killed for taking too long
        echo(*line);
        ::_exit(0);
    }
    try {
        pin(cpu_a);
    } catch (...) {
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        throw;
    }
    std::vector<std::int64_t> batches;
    std::int64_t start = now_ns();
    for (std::uint64_t n = 1; n <= kWarmUp + kTrips; ++n) {
        line->ping.store(n, std::memory_order_release);
        while (line->pong.load(std::memory_order_acquire) != n) {
        }
        if (n % kBatch != 0) continue;
        const std::int64_t end = now_ns();
        if (n > kWarmUp) batches.push_back((end - start) / static_cast<std::int64_t>(kBatch));
        start = end;
    }
    ::waitpid(child, nullptr, 0);
    ::munmap(line, sizeof(Line));
    sched_setaffinity(0, sizeof before, &before);
    // the median batch: a batch that lost its CPU says nothing of the line
    std::nth_element(batches.begin(), batches.begin() + static_cast<std::ptrdiff_t>(batches.size() / 2), batches.end());
    return batches[batches.size() / 2];
}

}  // namespace limits
