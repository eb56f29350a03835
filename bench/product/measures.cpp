// SPDX-License-Identifier: Apache-2.0
// Receives: an open fabric with the function "scratch0" (tests/lane/scratch_device.hpp). Hands on: figures of it.
// Owns: the device while it is measured. Each runs in the initiator's process of a pair.
#include "measures.hpp"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "echo_device.hpp"
#include "lane/scratch_device.hpp"
#include "report.hpp"

namespace farlane::bench {
namespace {

using Clock = std::chrono::steady_clock;
using D = test::ScratchDevice;

constexpr auto kWarmUp = std::chrono::milliseconds(100);
constexpr auto kMeasure = std::chrono::milliseconds(500);
constexpr std::size_t kMostReads = 4'000'000;
constexpr std::size_t kBytesPerPoll = 32768;
constexpr unsigned kWritesPerLook = 1024;  // at the clock

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A device ready for DMA, with a mapped buffer as large as its own memory.
struct Dma {
    explicit Dma(Fabric& fabric) : d(fabric.attach("scratch0")) {
        d.enable();
        d.enable_interrupts(1);
        buffer = d.domain().allocate(D::kBar2Bytes);
        std::fill(buffer.bytes().begin(), buffer.bytes().end(), std::byte{1});
        mapping = d.domain().map(buffer, DmaDirection::bidirectional);
        d.write64(0, D::kRelaxed, 1);
        d.write64(0, D::kIova, mapping.iova());
        d.write64(0, D::kLength, buffer.size());
        d.write64(0, D::kMemory, 0);
    }
    double seconds_for(std::uint64_t go, std::uint64_t repeat) {
        d.write64(0, D::kRepeat, repeat);
        const auto start = Clock::now();
        d.write64(0, D::kGo, go);
        if (!d.wait_interrupt(0, std::chrono::seconds(60))) throw std::runtime_error("no interrupt");
        return seconds_since(start);
    }
    Device d;
    DmaBuffer buffer;
    Mapping mapping;
};

}  // namespace

double resident_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmRSS:")) return std::stod(line.substr(6));
    return 0;
}

std::vector<double> percentiles_of(std::vector<double>& ns) {
    if (ns.empty()) throw std::runtime_error("nothing was answered");
    std::sort(ns.begin(), ns.end());
    std::vector<double> all;
    for (const double p : kPercentiles) all.push_back(ns[static_cast<std::size_t>(p * double(ns.size() - 1))]);
    return all;
}

std::vector<double> read_rtt(Fabric& fabric) {
    auto d = fabric.attach("scratch0");
    d.enable();
    std::vector<double> ns;
    ns.reserve(kMostReads);
    const auto warm = Clock::now() + kWarmUp;
    const auto end = warm + kMeasure / 2;
    for (auto start = Clock::now(); start < end && ns.size() < kMostReads;) {
        (void)d.read64(0, D::kIdent);
        const auto now = Clock::now();
        if (start >= warm) ns.push_back(std::chrono::duration<double, std::nano>(now - start).count());
        start = now;
    }
    return percentiles_of(ns);
}

std::vector<double> read_rtt_after(Fabric& fabric, const char* function, std::uint64_t offset,
                                   std::chrono::milliseconds pause, unsigned count) {
    auto d = fabric.attach(function);
    d.enable();
    std::vector<double> ns;
    for (unsigned i = 0; i < count; ++i) {
        if (pause.count() > 0) std::this_thread::sleep_for(pause);
        const auto start = Clock::now();
        (void)d.read32(0, offset);
        ns.push_back(seconds_since(start) * 1e9);
    }
    ns.erase(ns.begin(), ns.begin() + count / 10);  // the first ones fill caches
    return percentiles_of(ns);
}

double dma_rate(Fabric& fabric, std::uint64_t go) {
    Dma dma(fabric);
    const double one = dma.seconds_for(go, 4) / 4;  // warms up, and says how many fit
    const auto repeat = static_cast<std::uint64_t>(std::clamp(0.5 / one, 4.0, 4096.0));
    return static_cast<double>(repeat * dma.buffer.size()) / dma.seconds_for(go, repeat) / 1e9;
}

double posted_rate(Fabric& fabric, std::uint64_t writes_per_poll) {
    auto d = fabric.attach("scratch0");
    d.enable();
    std::uint64_t n = 0, from = 0;
    const auto batch = [&] {
        for (unsigned i = 0; i < kWritesPerLook; ++i) {
            d.write64(0, D::kCounter, ++n);
            if (n % writes_per_poll == 0) fabric.poll();
        }
    };
    for (const auto end = Clock::now() + kWarmUp; Clock::now() < end;) batch();
    d.flush();
    from = n;
    const auto start = Clock::now();
    for (const auto end = start + kMeasure; Clock::now() < end;) batch();
    d.flush();
    const double rate = static_cast<double>(n - from) / seconds_since(start) / 1e6;
    if (d.read64(0, D::kCounter) != n || d.read64(0, D::kCounterErrors) != 0)
        throw std::runtime_error("writes were lost or came out of order");
    return rate;
}

double write_rate(Fabric& fabric, std::size_t bytes) {
    auto d = fabric.attach("scratch0");
    d.enable();
    const auto buffer = d.domain().allocate(D::kBar2Bytes);
    const std::size_t per_poll = std::clamp<std::size_t>(kBytesPerPoll / bytes, 1, 32);
    std::size_t at = 0, written = 0;
    const auto some = [&] {
        for (std::size_t i = 0; i < per_poll; ++i, at += bytes, written += bytes) {
            if (at + bytes > D::kBar2Bytes) at = 0;
            d.write_from(2, at, buffer, at, bytes);
        }
        fabric.poll();
    };
    for (const auto end = Clock::now() + kWarmUp; Clock::now() < end;) some();
    d.flush();
    written = 0;
    const auto start = Clock::now();
    for (const auto end = start + kMeasure / 2; Clock::now() < end;) some();
    d.flush();
    return static_cast<double>(written) / seconds_since(start) / 1e9;
}

double put_latency(Fabric& fabric, bool page) {
    using E = EchoDevice;
    auto d = fabric.attach("echo0");
    d.enable();
    auto buffer = d.domain().allocate(E::kPageBytes);
    const auto source = d.domain().allocate(E::kPageBytes);
    const auto mapping = d.domain().map(buffer, DmaDirection::from_device);
    d.write64(0, E::kIova, mapping.iova());
    const auto* seen = reinterpret_cast<volatile std::uint64_t*>(buffer.bytes().data() +
                                                                 (page ? E::kPageBytes - sizeof(std::uint64_t) : 0));
    std::vector<double> us;
    us.reserve(kMostReads);
    const auto warm = Clock::now() + kWarmUp;
    const auto end = warm + kMeasure;
    std::uint64_t value = 0;
    for (auto start = Clock::now(); start < end && us.size() < kMostReads;) {
        ++value;
        if (page) d.write_from(2, 0, source, 0, E::kPageBytes);
        d.write64(0, page ? E::kEchoPage : E::kEcho, value);
        while (*seen != value) fabric.poll();
        const auto now = Clock::now();
        if (now - start > std::chrono::seconds(10)) throw std::runtime_error("no echo");
        if (start >= warm) us.push_back(std::chrono::duration<double, std::micro>(now - start).count() / 2);
        start = now;
    }
    return percentiles_of(us)[kP50];
}

double extra_memory(Fabric& fabric) {
    Dma dma(fabric);
    const auto before = resident_kib();
    for (const std::uint64_t go : {1, 2}) (void)dma.seconds_for(go, 8);
    return resident_kib() - before;
}

}  // namespace farlane::bench
