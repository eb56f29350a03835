// SPDX-License-Identifier: Apache-2.0
// Receives: the verb probe. Hands on: what the link to a target is and what workloads will get over it.
// Owns: the attachment of one free function while it measures. Reads only: nothing of a device is changed.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include <farlane/fabric.hpp>

#include "farlane/probe_model.hpp"
#include "farlane/verbs.hpp"

namespace farlane::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBulkBytes = 8 << 20;  // of one call: as many requests as may be are under way
constexpr std::size_t kMostReads = 1'000'000;
constexpr std::uint64_t kSmallestBar = 4096;

struct Path {
    std::uint64_t id = 0, least_rtt_ns = 0, smoothed_rtt_ns = 0, frame_bytes = 0, sent = 0, lost = 0;
    bool usable = false;
    std::string port, address;
};

struct Measured {
    std::string function;
    std::vector<std::uint64_t> read_ns;  ///< sorted
    std::optional<unsigned> bar;
    double bulk_bytes_per_s = 0;
};

/// Address and paths of the session with a target.
struct Link {
    std::string peer, address, port;
    std::vector<Path> paths;
};

Link link_of(const Json& stats, const std::string& target) {
    std::string others;
    for (const Json& s : part_of(stats, "sessions")) {
        if (!s.is_object() || text_of(s, "role") != "initiator") continue;
        const auto peer = text_of(s, "peer"), address = text_of(s, "address");
        others += (others.empty() ? "" : ", ") + (peer.empty() ? address : peer);
        const Json& ways = part_of(s, "paths");
        const bool on_path =
            std::ranges::any_of(ways, [&](const Json& p) { return p.is_object() && text_of(p, "address") == target; });
        if (target != peer && target != address && !on_path) continue;
        if (text_of(s, "state") != "open")
            throw Error(Status::unreachable, "target '" + target + "' does not answer (" + text_of(s, "state") + ")");
        Link link{peer, address, text_of(s, "port"), {}};
        for (const Json& p : ways)
            if (p.is_object())
                link.paths.push_back({number_of(p, "id"), number_of(p, "min_rtt_ns"), number_of(p, "smoothed_rtt_ns"),
                                      number_of(p, "frame_bytes"), number_of(p, "packets_sent"),
                                      number_of(p, "packets_lost"), flag_of(p, "usable"), text_of(p, "port"),
                                      text_of(p, "address")});
        return link;
    }
    throw Error(Status::not_found, "no target '" + target + "'; there are: " + (others.empty() ? "none" : others));
}

/// The BAR that bulk reads may go to: PCIe 6.0, 7.5.1.2.1: reads of a prefetchable BAR have no side effects.
std::optional<unsigned> readable_bar(const Json& function) {
    for (const Json& b : part_of(function, "bars"))
        if (b.is_object() && flag_of(b, "prefetchable") && number_of(b, "size_bytes") >= kSmallestBar)
            return static_cast<unsigned>(number_of(b, "index"));
    return std::nullopt;
}

/// A free function of the target, one with such a BAR rather than another; "" = none is free.
Json choose_function(const Json& list, const std::string& target, const std::string& wanted) {
    Json chosen;
    for (const Json& f : part_of(list, "functions")) {
        if (!f.is_object() || text_of(f, "target") != target) continue;
        if (!wanted.empty() && text_of(f, "name") != wanted) continue;
        if (!wanted.empty() && text_of(f, "state") != "free")
            throw Error(Status::busy, "'" + wanted + "' is not free: choose another function, or none");
        if (text_of(f, "state") != "free") continue;
        if (chosen.is_null() || (!readable_bar(chosen) && readable_bar(f))) chosen = f;
    }
    if (!wanted.empty() && chosen.is_null())
        throw Error(Status::not_found, "'" + target + "' exports no function '" + wanted + "'");
    return chosen;
}

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void time_reads(Device& device, double seconds, Measured& m) {
    const auto start = Clock::now();
    while (seconds_since(start) < seconds && m.read_ns.size() < kMostReads) {
        const auto before = Clock::now();
        (void)device.config_read32(0);
        m.read_ns.push_back(static_cast<std::uint64_t>((Clock::now() - before) / std::chrono::nanoseconds(1)));
    }
    std::sort(m.read_ns.begin(), m.read_ns.end());
}

void time_bulk(Device& device, unsigned bar, std::uint64_t bar_bytes, double seconds, Measured& m) {
    std::vector<std::byte> into(std::min<std::uint64_t>(bar_bytes, kBulkBytes));
    device.enable();
    device.read(bar, 0, into);  // the windows grow
    const auto start = Clock::now();
    double bytes = 0;
    do {
        device.read(bar, 0, into);
        bytes += static_cast<double>(into.size());
    } while (seconds_since(start) < seconds);
    m.bulk_bytes_per_s = bytes / seconds_since(start);
}

std::uint64_t bar_size(const Json& function, unsigned bar) {
    for (const Json& b : part_of(function, "bars"))
        if (number_of(b, "index") == bar) return number_of(b, "size_bytes");
    return 0;
}

Measured measure(const Context& c, const Json& function, double seconds) {
    Measured m;
    if (function.is_null()) return m;
    m.function = text_of(function, "name");
    m.bar = readable_bar(function);
    FabricOptions o;
    o.socket = c.socket;
    auto fabric = Fabric::open(o);
    auto device = fabric.attach(text_of(function, "target") + "/" + m.function);
    time_reads(device, m.bar ? seconds / 2 : seconds, m);
    if (m.bar) time_bulk(device, *m.bar, bar_size(function, *m.bar), seconds / 2, m);
    device.detach();
    return m;
}

std::uint64_t percentile(const std::vector<std::uint64_t>& sorted, double p) {
    return sorted.empty() ? 0 : sorted[static_cast<std::size_t>(p * static_cast<double>(sorted.size() - 1))];
}

Json or_null(double v) {
    return v > 0 ? Json(v) : Json(nullptr);
}

/// Both looks at the link and what lies between them.
struct Outcome {
    Link link;
    Measured measured;
    LinkFigures figures;
    std::uint64_t sent = 0, lost = 0;
    Prediction prediction;
};

Json json_of(const Outcome& o) {
    Json paths = Json::array();
    for (const Path& p : o.link.paths)
        paths.push_back({{"id", p.id},
                         {"port", p.port},
                         {"address", p.address},
                         {"usable", p.usable},
                         {"frame_bytes", p.frame_bytes},
                         {"least_rtt_ns", p.least_rtt_ns},
                         {"smoothed_rtt_ns", p.smoothed_rtt_ns}});
    const auto& ns = o.measured.read_ns;
    Json reads = nullptr;
    if (!ns.empty())
        reads = {{"count", ns.size()},
                 {"p50_ns", percentile(ns, 0.5)},
                 {"p90_ns", percentile(ns, 0.9)},
                 {"p99_ns", percentile(ns, 0.99)},
                 {"max_ns", ns.back()}};
    const auto& p = o.prediction;
    return {{"target", o.link.peer},
            {"address", o.link.address},
            {"port", o.link.port},
            {"function", o.measured.function},
            {"paths", paths},
            {"read_round_trip", reads},
            {"frames", {{"sent", o.sent}, {"lost", o.lost}}},
            {"bulk_read_bytes_per_s", or_null(o.measured.bulk_bytes_per_s)},
            {"prediction",
             {{"reads_depth1_per_s", or_null(p.reads_per_s)},
              {"posted_writes_8_bytes_per_s", or_null(p.posted_writes_per_s)},
              {"bulk_bytes_per_s", or_null(p.bulk_bytes_per_s)},
              {"bulk_is_least", p.bulk_is_least},
              {"nvme_4k_random_reads_depth1_per_s", or_null(p.nvme_reads_depth1_per_s)},
              {"nvme_4k_random_reads_depth32_per_s", or_null(p.nvme_reads_depth32_per_s)}}}};
}

std::string rate_text(double per_s, const char* unit) {
    return per_s > 0 ? count_text(per_s) + unit : "unknown: give --link-rate, or free a function with memory";
}

void print(std::ostream& out, const Outcome& o) {
    out << fmt::format("target {} at {} on {}\n", clean(o.link.peer), clean(o.link.address), clean(o.link.port));
    Table link;
    for (const Path& p : o.link.paths)
        link.row({fmt::format("path {}", p.id),
                  fmt::format("on {}{}: {}, frames of {} B, round trip at least {}", clean(p.port),
                              p.address.empty() ? "" : " to " + clean(p.address), p.usable ? "usable" : "not usable",
                              p.frame_bytes, duration_text(p.least_rtt_ns))});
    const auto& ns = o.measured.read_ns;
    if (ns.empty())
        link.row({"reads", "not measured: no function of this target is free"});
    else
        link.row(
            {"reads", fmt::format("p50 {}  p90 {}  p99 {}  max {}  ({} of '{}')", duration_text(percentile(ns, 0.5)),
                                  duration_text(percentile(ns, 0.9)), duration_text(percentile(ns, 0.99)),
                                  duration_text(ns.back()), ns.size(), o.measured.function)});
    link.row({"frames", fmt::format("{} sent from here, {} lost", o.sent, o.lost)});
    link.row({"bulk reads", o.measured.bulk_bytes_per_s > 0 ? count_text(o.measured.bulk_bytes_per_s) + "B/s"
                                                            : "not measured: no free function has a prefetchable BAR"});
    link.print(out, {}, "  ");
    out << "what a workload will get\n";
    const auto& p = o.prediction;
    Table work;
    work.row({"register reads, one after the other", rate_text(p.reads_per_s, "/s")});
    work.row({"posted writes of 8 bytes", rate_text(p.posted_writes_per_s, "/s")});
    work.row({"bulk, 4 KiB transactions", rate_text(p.bulk_bytes_per_s, p.bulk_is_least ? "B/s or more" : "B/s")});
    work.row({"NVMe, 4 KiB random reads, depth 1", rate_text(p.nvme_reads_depth1_per_s, "/s")});
    work.row({"NVMe, 4 KiB random reads, depth 32", rate_text(p.nvme_reads_depth32_per_s, "/s")});
    work.print(out, {}, "  ");
}

}  // namespace

int run_probe(const Context& c) {
    const double seconds = c.arguments.number("--seconds", 0.1, 600);
    const double gigabits = c.arguments.get("--link-rate").empty() ? 0 : c.arguments.number("--link-rate", 1e-6, 1e5);
    const Link before = link_of(c.call("stats"), c.arguments.get("TARGET"));
    const Json list = c.call("list", {{"timeout_ms", c.patience().count()}});
    const Json function = choose_function(list, before.peer, c.arguments.get("--function"));
    Outcome o;
    o.measured = measure(c, function, seconds);
    o.link = link_of(c.call("stats"), c.arguments.get("TARGET"));
    for (const Path& p : o.link.paths) {
        const auto old = std::ranges::find(before.paths, p.id, &Path::id);
        const bool known = old != before.paths.end() && p.sent >= old->sent && p.lost >= old->lost;
        o.sent += known ? p.sent - old->sent : p.sent;
        o.lost += known ? p.lost - old->lost : p.lost;
        if (!p.usable) continue;
        o.figures.frame_bytes = static_cast<std::uint32_t>(p.frame_bytes);
        o.figures.round_trip_s = static_cast<double>(p.smoothed_rtt_ns) / 1e9;
    }
    if (!o.measured.read_ns.empty())
        o.figures.round_trip_s = static_cast<double>(percentile(o.measured.read_ns, 0.5)) / 1e9;
    if (o.sent > 0) o.figures.loss = static_cast<double>(o.lost) / static_cast<double>(o.sent);
    o.figures.link_bits_per_s = gigabits * 1e9;
    o.figures.payload_bytes_per_s = gigabits > 0 ? 0 : o.measured.bulk_bytes_per_s;
    o.prediction = predict(o.figures);
    if (c.json)
        c.print(json_of(o));
    else
        print(c.out, o);
    return 0;
}

}  // namespace farlane::cli
