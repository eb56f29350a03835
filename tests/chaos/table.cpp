// SPDX-License-Identifier: Apache-2.0
// Receives: the summary of a run. Hands on: it as text for people. Owns: nothing.
#include <cstdio>

#include "chaos/runner.hpp"

namespace farlane::chaos {
namespace {

using nlohmann::json;

std::string row(const std::string& key, const json& values) {
    std::string line = "  " + key + ":";
    for (const auto& [name, value] : values.items()) line += " " + name + " " + value.dump() + ",";
    line.pop_back();
    return line + "\n";
}

std::string stall_row(const std::string& kind, std::uint64_t made, const json& stalls) {
    char line[160];
    if (!stalls.contains(kind)) {
        std::snprintf(line, sizeof line, "  %-18s %6llu %9s %12s %9s %7s\n", kind.c_str(),
                      static_cast<unsigned long long>(made), "-", "-", "-", "-");
        return line;
    }
    const json& s = stalls.at(kind);
    std::snprintf(line, sizeof line, "  %-18s %6llu %9llu %9.1f ms %6.0f ms %7llu\n", kind.c_str(),
                  static_cast<unsigned long long>(made), s.at("measured").get<unsigned long long>(),
                  s.at("longest_ms").get<double>(), s.at("bound_ms").get<double>(),
                  s.at("beyond").get<unsigned long long>());
    return line;
}

}  // namespace

std::string as_table(const json& summary) {
    std::string out = "seed " + summary.at("seed").dump() + ": " + summary.at("rounds").dump() + " rounds, attached " +
                      summary.at("attached").dump() + " times\n";
    for (const auto& [device, counts] : summary.at("loads").items()) out += row(device, counts);
    if (!summary.at("events").empty()) out += row("events", summary.at("events"));
    for (const auto& [way, counts] : summary.at("link").items()) {
        json some;
        for (const char* key : {"frames", "lost", "duplicated", "reordered", "corrupted", "dropped_cut"})
            some[key] = counts.at(key);
        out += row("link " + way, some);
    }
    out += "  fault                made  measured  longest stall     bound  beyond\n";
    for (const auto& [kind, made] : summary.at("faults").items())
        out += stall_row(kind, made.get<std::uint64_t>(), summary.at("stalls"));
    return out;
}

}  // namespace farlane::chaos
