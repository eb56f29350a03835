// SPDX-License-Identifier: Apache-2.0
// Receives: argv. Hands on: a table or JSON on stdout, a result file, an exit code. Owns: one run.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <farlane/status.hpp>

#include "cli/parse.hpp"
#include "compare.hpp"
#include "groups.hpp"
#include "options.hpp"
#include "run.hpp"

namespace farlane::bench {
namespace {

namespace fs = std::filesystem;

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

// As bench/README.md describes it, as far as compare() looks.
bool is_row(const json& row) {
    const auto is = [&](const char* key, auto type) { return !row.contains(key) || type(row[key]); };
    return row.is_object() && is("unit", [](const json& v) { return v.is_null() || v.is_string(); }) &&
           is("more", [](const json& v) { return v.is_object(); });
}

json read_result(const std::string& path) {
    std::ifstream in(path);
    if (!in || fs::is_directory(path)) throw Error(Status::not_found, path + " can not be read");
    auto result = json::parse(in, nullptr, false);
    const bool good = result.is_object() && result.contains("rows") && result["rows"].is_object() &&
                      std::ranges::all_of(result["rows"], is_row) &&
                      (!result.contains("cacheline_ns") || result["cacheline_ns"].is_number());
    if (!good) throw Error(Status::invalid, path + " is no result of farlane-bench");
    return result;
}

// Minutes pass before it is written: what is in the way is said before.
void check_out(const std::string& path) {
    if (path.empty()) return;
    const fs::path folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
    if (!fs::is_directory(folder))
        throw Error(Status::invalid, "--out " + path + ": there is no folder " + folder.string() +
                                         "; run it in the repository, or name another file (--out '' writes none)");
    if (fs::is_directory(path)) throw Error(Status::invalid, "--out " + path + " is a folder, not a file");
    if (access((fs::exists(path) ? fs::path(path) : folder).c_str(), W_OK) != 0)
        throw Error(Status::invalid, "--out " + path + " can not be written");
}

// Both ends spin on a core each: who else runs shows in every figure.
double load_before() {
    double load = 0;
    if (getloadavg(&load, 1) != 1) return 0;
    if (load > 0.5)
        std::fprintf(stderr, "farlane-bench: beware: the load of this machine is %.1f; figures will be worse for it\n",
                     load);
    return load;
}

json measure(const Options& o, std::FILE* table) {
    if (std::thread::hardware_concurrency() < 2)
        throw Error(Status::invalid, "needs two processors: one for each end, which both spin");
    const double load = load_before();
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
    json result = report.finish();
    result["load_before"] = load;
    return result;
}

// A run of some parts leaves the others as they were in the file, each with the commit that it was measured with.
void keep_others(json& result, const std::string& path) {
    if (!fs::exists(path)) return;
    json old;
    try {
        old = read_result(path);
    } catch (const Error&) {
        return;
    }
    const json commit = old.value("commit", json("unknown"));
    for (const auto& [key, value] : old["rows"].items()) {
        if (result["rows"].contains(key)) continue;
        json& row = result["rows"][key] = value;
        if (commit != result["commit"] && !row["more"].contains("commit")) row["more"]["commit"] = commit;
    }
    if (old.contains("plots") && old["plots"].is_object())
        for (const auto& [key, value] : old["plots"].items())
            if (!result["plots"].contains(key)) result["plots"][key] = value;
}

int run(const cli::Arguments& a) {
    if (a.get("--only") == "help") return list_parts(), 0;
    const Options o = options_of(a);
    const bool as_json = a.has("--json");
    const std::string old_path = a.get("--compare"), new_path = a.get("--with"), out = a.get("--out");
    const double tolerance = a.number("--tolerance", 0, 1000) / 100;
    if (!new_path.empty() && old_path.empty()) throw Error(Status::invalid, "--with needs --compare");
    const json old = old_path.empty() ? json() : read_result(old_path);  // before minutes are spent
    if (new_path.empty()) check_out(out);
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
        if (parsed.exit_code == 0) return std::fputs(parsed.text.c_str(), stdout), 0;
        std::fprintf(stderr, "farlane-bench: %s\n", parsed.text.c_str());
        return bench::kUsage;
    }
    try {
        return bench::run(*parsed.arguments);
    } catch (const Error& e) {
        std::fprintf(stderr, "farlane-bench: %s\n", e.detail().c_str());
        return bench::kUsage;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "farlane-bench: %s\n", e.what());
        return bench::kFailed;
    }
}
