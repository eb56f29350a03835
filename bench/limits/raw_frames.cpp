// SPDX-License-Identifier: Apache-2.0
// Receives: a medium. Hands on: one-way throughput of frames over it, with and without the copies
// and the CRC32C that any carrier of data has to do, as JSON. Owns: the data.
#include <atomic>

#include <isa-l/crc.h>

#include "pair.hpp"

namespace {

struct Work {
    std::uint32_t bytes;
    bool copy, crc;
    bool drops;                // the medium has no back-pressure
    std::size_t memory_bytes;  // of the source and of the sink
};

std::uint32_t crc32c(const std::byte* data, std::uint32_t bytes) {
    return ::crc32_iscsi(reinterpret_cast<unsigned char*>(const_cast<std::byte*>(data)), static_cast<int>(bytes),
                         0xffffffff);
}

// Sends frames from..to. Frame: data, CRC in the last four bytes.
void produce(limits::Wire& wire, limits::Shared& shared, const Work& work, std::uint64_t from, std::uint64_t to) {
    static const std::vector<std::byte> source(work.memory_bytes, std::byte{0x5a});
    const std::uint32_t data = work.bytes - 4;
    std::uint64_t offered = from;
    std::size_t at = 0;
    const auto fill = [&](std::byte* frame, std::uint32_t i) {
        const std::size_t start = (at + std::size_t{i} * data) % (work.memory_bytes - data);
        if (work.copy) std::memcpy(frame, source.data() + start, data);
        if (!work.crc) return;
        const std::uint32_t sum = crc32c(frame, data);
        std::memcpy(frame + data, &sum, sizeof sum);
    };
    while (offered < to && !shared.done.load(std::memory_order_relaxed)) {
        const std::uint32_t sent = wire.send(limits::kMaxBurst, work.bytes, fill);
        offered += sent;
        at += std::size_t{sent} * data;
        // a medium that drops is kept from running ahead of its receiver
        while (work.drops && offered > shared.received_frames.load(std::memory_order_relaxed) + 192 && !shared.done) {
        }
    }
}

void consume(limits::Wire& wire, limits::Shared& shared, const Work& work, std::uint64_t frames) {
    std::vector<std::byte> sink(work.memory_bytes);
    const std::uint32_t data = work.bytes - 4;
    std::uint64_t got = 0, bad = 0;
    std::size_t at = 0;
    const auto take = [&](const std::byte* frame, std::uint32_t size) {
        if (size < work.bytes) return void(++bad);
        if (work.crc) {
            std::uint32_t said = 0;
            std::memcpy(&said, frame + data, sizeof said);
            bad += said != crc32c(frame, data);
        }
        if (work.copy) std::memcpy(sink.data() + at, frame, data);
        at = (at + data) % (work.memory_bytes - data);
    };
    while (got < frames && !shared.done) {
        const std::uint32_t n = wire.receive(limits::kMaxBurst, take);
        if (n == 0) continue;
        got += n;
        shared.received_frames.store(got, std::memory_order_relaxed);
    }
    shared.bad_frames = bad;
    shared.done = true;
}

}  // namespace

int main(int argc, char** argv) try {
    const limits::Options options(argc, argv,
                                  {{"medium", "vhost"},
                                   {"bytes", "4096"},
                                   {"count", "1000000"},
                                   {"copy", "1"},
                                   {"crc", "1"},
                                   {"memory-mib", "64"},  // larger than the caches: an application's data is cold
                                   {"from", "0"},         // the end that sends: they are not alike on vhost
                                   {"cpu-a", "0"},
                                   {"cpu-b", "1"}});
    const Work work{static_cast<std::uint32_t>(options.number("bytes")), options.number("copy") != 0,
                    options.number("crc") != 0, options.text("medium") == "udp",
                    static_cast<std::size_t>(options.number("memory-mib")) << 20};
    if (work.bytes < 60 || work.bytes > 9600) return std::fprintf(stderr, "--bytes is 60 to 9600\n"), 2;
    if (options.number("memory-mib") < 1 || options.number("memory-mib") > 1024)
        return std::fprintf(stderr, "--memory-mib is 1 to 1024\n"), 2;
    const auto from = options.number("from");
    if (from != 0 && from != 1) return std::fprintf(stderr, "--from is 0 or 1\n"), 2;
    const auto frames = static_cast<std::uint64_t>(options.number("count"));
    const std::uint64_t warm_up = frames / 100 + 1;
    const std::int64_t line = limits::cacheline_round_trip_ns(static_cast<int>(options.number("cpu-a")),
                                                              static_cast<int>(options.number("cpu-b")));
    const auto send = [&](limits::Wire& wire, limits::Shared& shared) {
        produce(wire, shared, work, 0, warm_up);
        const std::int64_t start = limits::now_ns();
        const std::uint64_t before = shared.received_frames;
        produce(wire, shared, work, warm_up, warm_up + frames);
        while (!shared.done && limits::now_ns() - start < 60'000'000'000) {
        }
        shared.elapsed_ns = limits::now_ns() - start;
        shared.counted_frames = shared.received_frames - before;
    };
    const auto receive = [&](limits::Wire& wire, limits::Shared& shared) {
        consume(wire, shared, work, warm_up + frames);
    };
    const limits::Shared& end = from == 0 ? limits::run_pair(options, send, receive)  //
                                          : limits::run_pair(options, receive, send);
    const auto received = static_cast<double>(end.counted_frames);
    const auto elapsed_ns = static_cast<double>(end.elapsed_ns);
    limits::Json()
        .add("program", "raw_frames")
        .add("medium", options.text("medium"))
        .add("bytes", work.bytes)
        .add("copy", work.copy ? 1 : 0)
        .add("crc", work.crc ? 1 : 0)
        .add("from", static_cast<double>(from))
        .add("frames", received)
        .add("bad_frames", static_cast<double>(end.bad_frames))
        .add("gigabytes_per_s", received * work.bytes / elapsed_ns)
        .add("million_frames_per_s", received * 1e3 / elapsed_ns)
        .add("cacheline_before_ns", static_cast<double>(line))
        .print();
    return end.bad_frames == 0 ? 0 : 1;
} catch (const std::exception& e) {
    return std::fprintf(stderr, "%s\n", e.what()), 1;
}
