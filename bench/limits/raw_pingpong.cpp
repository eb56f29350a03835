// SPDX-License-Identifier: Apache-2.0
// Receives: a medium. Hands on: the round trip of one frame over it, as JSON. Owns: samples.
// The limit beside which a remote register read is measured: the same driver, no protocol.
#include "pair.hpp"

namespace {

void echo(limits::Wire& wire, limits::Shared& shared, std::uint32_t bytes) {
    std::byte first{};
    const auto look = [&first](const std::byte* frame, std::uint32_t) { first = frame[0]; };
    const auto fill = [&first](std::byte* frame, std::uint32_t) { frame[0] = first; };
    while (!shared.done.load(std::memory_order_relaxed))
        if (wire.receive(1, look) != 0)
            while (wire.send(1, bytes, fill) == 0 && !shared.done) {
            }
}

// False: the frame did not come back within a second.
bool trip(limits::Wire& wire, std::uint32_t bytes, std::byte mark) {
    std::byte seen{};
    const auto fill = [mark](std::byte* frame, std::uint32_t) { frame[0] = mark; };
    const auto look = [&seen](const std::byte* frame, std::uint32_t) { seen = frame[0]; };
    while (wire.send(1, bytes, fill) == 0) {
    }
    for (std::uint64_t polls = 0;; ++polls) {
        if (wire.receive(1, look) != 0 && seen == mark) return true;
        if (polls % (1 << 24) == (1 << 24) - 1) return false;
    }
}

}  // namespace

int main(int argc, char** argv) try {
    const limits::Options options(argc, argv,
                                  {{"medium", "vhost"},
                                   {"bytes", "64"},
                                   {"count", "200000"},
                                   {"warm-up", "20000"},
                                   {"cpu-a", "0"},
                                   {"cpu-b", "1"}});
    const auto bytes = static_cast<std::uint32_t>(options.number("bytes"));
    if (bytes < 60 || bytes > 9600) return std::fprintf(stderr, "--bytes is 60 to 9600\n"), 2;
    const std::int64_t line_before = limits::cacheline_round_trip_ns(static_cast<int>(options.number("cpu-a")),
                                                                     static_cast<int>(options.number("cpu-b")));
    std::vector<std::int64_t> samples;
    samples.reserve(static_cast<std::size_t>(options.number("count")));
    limits::run_pair(
        options,
        [&](limits::Wire& wire, limits::Shared& shared) {
            std::uint8_t mark = 0;
            for (std::int64_t i = -options.number("warm-up"); i < options.number("count"); ++i) {
                const std::int64_t start = limits::now_ns();
                if (!trip(wire, bytes, std::byte{++mark})) continue;
                if (i >= 0) samples.push_back(limits::now_ns() - start);
            }
            shared.done = true;
        },
        [&](limits::Wire& wire, limits::Shared& shared) { echo(wire, shared, bytes); });
    if (samples.empty()) return std::fprintf(stderr, "no frame came back\n"), 1;
    limits::Json()
        .add("program", "raw_pingpong")
        .add("medium", options.text("medium"))
        .add("bytes", bytes)
        .add("trips", static_cast<double>(samples.size()))
        .percentiles("round_trip", samples)
        .add("cacheline_before_ns", static_cast<double>(line_before))
        .print();
} catch (const std::exception& e) {
    return std::fprintf(stderr, "%s\n", e.what()), 1;
}
