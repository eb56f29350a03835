// SPDX-License-Identifier: Apache-2.0
// Receives: farlaned's counters. Hands on: a table of those that are not zero, or all of them.
// Owns: nothing.
#include <fmt/format.h>

#include "farlane/verbs.hpp"
#include "proto/counters.hpp"

namespace farlane::cli {
namespace {

/// Why something was dropped, in words; "" for a reason that this program does not know.
std::string_view reason_text(std::string_view name) {
    for (unsigned i = 0; i < proto::kDrops; ++i)
        if (proto::drop_name(static_cast<proto::Drop>(i)) == name) return proto::drop_text(static_cast<proto::Drop>(i));
    return {};
}

class Printer {
public:
    Printer(std::ostream& out, bool all) : out_(out), all_(all) {}

    void title(const std::string& text) { out_ << clean(text) << '\n'; }

    /// The numbers of an object, one a line; nested objects are the caller's.
    void numbers(const Json& object, std::string_view indent = "  ") const {
        Table table;
        for (const auto& [key, value] : object.items()) {
            if (value.is_number_unsigned() && (all_ || value.get<std::uint64_t>() != 0)) table.row({key, value.dump()});
            if (value.is_array() && is_classes(value)) add_classes(table, key, value);
        }
        print(table, indent);
    }

    void drops(const Json& object) const {
        Table table;
        for (const auto& [reason, value] : object.items()) {
            if (!value.is_number_unsigned() || (!all_ && value.get<std::uint64_t>() == 0)) continue;
            table.row({reason, value.dump(), std::string(reason_text(reason))});
        }
        if (table.empty()) return;
        out_ << "  dropped\n";
        print(table, "    ");
    }

private:
    static bool is_classes(const Json& v) {
        return v.size() == 3 && v[0].is_number_unsigned() && v[1].is_number_unsigned() && v[2].is_number_unsigned();
    }
    void add_classes(Table& table, const std::string& key, const Json& v) const {
        if (!all_ && v[0] == 0 && v[1] == 0 && v[2] == 0) return;
        table.row(
            {key, fmt::format("posted {}  non-posted {}  completions {}", v[0].dump(), v[1].dump(), v[2].dump())});
    }
    void print(const Table& table, std::string_view indent) const {
        if (!table.empty()) table.print(out_, {}, indent);
    }

    std::ostream& out_;
    bool all_;
};

std::string to_text(const Json& path) {
    const std::string address = clean(text_of(path, "address"));
    return address.empty() ? "" : " to " + address;
}

void print_sessions(std::ostream& out, Printer& p, const Json& sessions) {
    for (const Json& s : sessions) {
        const std::string peer = text_of(s, "peer"), address = text_of(s, "address");
        p.title(fmt::format("session {} ({}) with {}{} on {}: {}", number_of(s, "session"), text_of(s, "role"),
                            peer.empty() ? "an unnamed peer" : peer, address.empty() ? "" : " at " + address,
                            text_of(s, "port"), text_of(s, "state")));
        p.numbers(s);
        p.drops(part_of(s, "drops"));
        for (const Json& path : part_of(s, "paths"))
            out << fmt::format("  path {} on {}{}: {}, round trip {} (least {}), frames of {} B, lost {} of {}\n",
                               number_of(path, "id"), clean(text_of(path, "port")), to_text(path),
                               clean(text_of(path, "state")), duration_text(number_of(path, "smoothed_rtt_ns")),
                               duration_text(number_of(path, "min_rtt_ns")), number_of(path, "frame_bytes"),
                               number_of(path, "packets_lost"), number_of(path, "packets_sent"));
    }
}

void print_function(Printer& p, const char* what, const Json& f) {
    const std::string other = text_of(f, "target").empty() ? text_of(f, "holder") : text_of(f, "target");
    p.title(
        fmt::format("{} {}{}{}: {}", what, text_of(f, "name"), other.empty() ? "" : " - ", other, text_of(f, "state")));
    p.numbers(f);
    p.numbers(part_of(f, "records"));
    p.numbers(part_of(f, "device"));
    for (const Json& share : part_of(f, "shares")) {
        const Json& holder = part_of(share, "holder");
        p.title("  shared by " + holder_text(holder) + ": " + share_text(holder));
        p.numbers(share, "    ");
        p.numbers(part_of(share, "channel"), "    ");
    }
    if (!part_of(f, "channel").empty()) {
        p.title("  channel");
        p.numbers(part_of(f, "channel"), "    ");
    }
}

}  // namespace

int run_stats(const Context& c) {
    const Json result = c.call("stats");
    if (c.json) {
        c.print(result);
        return 0;
    }
    Printer p(c.out, c.arguments.has("--all"));
    const Json& daemon = part_of(result, "daemon");
    p.title(fmt::format("farlaned {} ({}), pid {}, up {:.1f} s{}", text_of(daemon, "name"), text_of(daemon, "version"),
                        number_of(daemon, "pid"), static_cast<double>(number_of(daemon, "uptime_ms")) / 1e3,
                        flag_of(daemon, "insecure") ? ", INSECURE: frames are not encrypted" : ""));
    p.title("lane");
    p.numbers(part_of(result, "lane"));
    for (const Json& port : part_of(result, "ports")) {
        p.title(fmt::format("port {} {} ({})", text_of(port, "name"), text_of(port, "url"),
                            flag_of(port, "link_up") ? "up" : "down"));
        p.numbers(port);
        p.drops(part_of(port, "drops"));
    }
    print_sessions(c.out, p, part_of(result, "sessions"));
    if (const Json& ended = part_of(result, "ended_sessions"); number_of(ended, "count") != 0) {
        p.title(fmt::format("sessions that are over: {}", number_of(ended, "count")));
        p.drops(part_of(ended, "drops"));
    }
    for (const Json& f : part_of(result, "exports")) print_function(p, "export", f);
    for (const Json& f : part_of(result, "attachments")) print_function(p, "attachment", f);
    return 0;
}

}  // namespace farlane::cli
