// SPDX-License-Identifier: Apache-2.0
// Receives: argv. Hands on: a table or JSON on stdout, a result file, an exit code. Owns: one run.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

#include <farlane/status.hpp>

#include "cli/parse.hpp"
#include "compare.hpp"
#include "groups.hpp"
#include "options.hpp"
#include "run.hpp"

namespace farlane::bench {
namespace {

constexpr int kFailed = 1, kUsage = 2, kRegression = 3;

std::vector<std::string> split(const std::string& list) {
    std::vector<std::string> parts;
    std::stringstream in(list);
    for (std::string part; std::getline(in, part, ',');)
        if (!part.empty()) parts.push_back(part);
    return parts;
}

bool matches(const Group& g, const std::string& wanted) {
    const bool part = std::ranges::any_of(groups(), [&](const Group& other) { return other.name == wanted; });
    if (part) return wanted == g.name;
    return std::ranges::any_of(
        g.keys, [&](std::string_view key) { return wanted.starts_with(key) || key.starts_with(wanted); });
}

bool chosen(const Group& g, const Options& o) {
    return o.only.empty() || std::ranges::any_of(o.only, [&](const auto& wanted) { return matches(g, wanted); });
}

void list_parts() {
    for (const Group& g : groups()) {
        std::printf("%-10s", std::string(g.name).c_str());
        for (const auto key : g.keys) std::printf(" %s*", std::string(key).c_str());
        std::printf("\n");
    }
}

Options options_of(const cli::Arguments& a) {
    Options o;
    o.ports = split(a.get("--ports"));
    o.only = split(a.get("--only"));
    o.repeats = static_cast<int>(a.number("--repeats", 1, 100));
    for (const auto& port : o.ports)
        if (port != "vhost" && port != "memif" && port != "udp")
            throw Error(Status::invalid, "no port '" + port + "'; valid: vhost, memif, udp");
    for (const auto& wanted : o.only)
        if (std::ranges::none_of(groups(), [&](const Group& g) { return matches(g, wanted); }))
            throw Error(Status::invalid, "no part or row '" + wanted + "'; --only help lists what there is");
    return o;
}

json read_result(const std::string& path) {
    std::ifstream in(path);
    if (!in) throw Error(Status::not_found, path + " can not be read");
    auto result = json::parse(in, nullptr, false);
    if (!result.is_object() || !result.contains("rows"))
        throw Error(Status::invalid, path + " is no result of farlane-bench");
    return result;
}

json measure(const Options& o, std::FILE* table) {
    Report report(table);
    for (const Group& g : groups()) {
        if (!chosen(g, o)) continue;
        try {
            report.note_cacheline(json::parse(output_of({bench_folder() + "/cacheline"})).at("round_trip_median_ns"));
        } catch (const std::exception& e) {
            std::fprintf(stderr, "farlane-bench: no figure of a cache line: %s\n", e.what());
        }
        g.run(o, report);
    }
    return report.finish();
}

// A run of some parts leaves the others as they were in the file.
void keep_others(json& result, const std::string& path) {
    std::ifstream in(path);
    const auto old = json::parse(in, nullptr, false);
    if (!old.is_object()) return;
    for (const char* part : {"rows", "plots"})
        if (old.contains(part))
            for (const auto& [key, value] : old[part].items())
                if (!result[part].contains(key)) result[part][key] = value;
}

int run(const cli::Arguments& a) {
    if (a.get("--only") == "help") return list_parts(), 0;
    const Options o = options_of(a);
    const bool as_json = a.has("--json");
    const std::string old_path = a.get("--compare"), new_path = a.get("--with"), out = a.get("--out");
    const double tolerance = a.number("--tolerance", 0, 1000) / 100;
    if (!new_path.empty() && old_path.empty()) throw Error(Status::invalid, "--with needs --compare");
    const json old = old_path.empty() ? json() : read_result(old_path);  // before minutes are spent
    json result = new_path.empty() ? measure(o, as_json ? nullptr : stdout) : read_result(new_path);
    const bool failed = new_path.empty() && result.contains("failed");
    const json fresh = result;
    if (new_path.empty() && !out.empty()) {
        if (!o.only.empty()) keep_others(result, out);
        if (!(std::ofstream(out) << result.dump(2) << '\n')) throw Error(Status::io, out + " can not be written");
        std::fprintf(stderr, "written: %s\n", out.c_str());
    }
    if (as_json && new_path.empty()) std::printf("%s\n", fresh.dump(2).c_str());
    if (!old_path.empty() && compare(old, fresh, tolerance, as_json ? stderr : stdout) > 0) return kRegression;
    return failed ? kFailed : 0;
}

}  // namespace
}  // namespace farlane::bench

int main(int argc, char** argv) {
    using namespace farlane;
    const auto parsed = cli::parse(bench::bench_program(), argc, argv);
    if (!parsed.arguments) {
        std::fputs(parsed.text.c_str(), parsed.exit_code == 0 ? stdout : stderr);
        return parsed.exit_code;
    }
    try {
        return bench::run(*parsed.arguments);
    } catch (const Error& e) {
        std::fprintf(stderr, "farlane-bench: %s\n", e.what());
        return bench::kUsage;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "farlane-bench: %s\n", e.what());
        return bench::kFailed;
    }
}
