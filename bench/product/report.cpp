// SPDX-License-Identifier: Apache-2.0
// Receives: samples of ours and of what they stand beside. Hands on: rows as bench/README.md describes them, a table.
// Owns: the result of one run.
#include "report.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "run.hpp"

namespace farlane::bench {
namespace {

std::string machine() {
    utsname u{};
    uname(&u);
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);)
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2) + ", Linux " + u.release;
    return std::string(u.machine) + ", Linux " + u.release;
}

std::string commit() {
    try {
        return output_of({"git", "-C", FARLANE_SOURCE_DIR, "rev-parse", "--short", "HEAD"}).substr(0, 7);
    } catch (const std::exception&) {
        return "unknown";
    }
}

std::string number(const json& v) {
    if (!v.is_number()) return "-";
    char text[32];
    const double x = v.get<double>();
    std::snprintf(text, sizeof text, x >= 1000 ? "%.0f" : x >= 100 ? "%.1f" : "%.3f", x);
    return text;
}

}  // namespace

// Of an even number the mean of the two in the middle: neither the better nor the worse one.
double median(std::vector<double> v) {
    std::ranges::sort(v);
    return (v[(v.size() - 1) / 2] + v[v.size() / 2]) / 2;
}

json Series::row() const {
    if (ours.empty()) throw std::runtime_error(key + ": nothing was measured");
    std::vector<double> ratio;
    for (std::size_t i = 0; i < ours.size() && i < limit.size(); ++i) ratio.push_back(ours[i] / limit[i]);
    json r = {{"ours", median(ours)},
              {"limit", nullptr},
              {"ratio", nullptr},
              {"unit", unit},
              {"min", *std::min_element(ours.begin(), ours.end())},
              {"median", median(ours)},
              {"max", *std::max_element(ours.begin(), ours.end())},
              {"repeats", ours.size()},
              {"reach", nullptr},
              {"ok", nullptr},
              {"more", more}};
    r["more"]["better"] = lower_is_better ? "lower" : "higher";
    if (ratio.empty()) return r;
    r["limit"] = median(limit);
    r["ratio"] = median(ratio);
    r["more"]["ratio_min"] = *std::min_element(ratio.begin(), ratio.end());
    r["more"]["ratio_max"] = *std::max_element(ratio.begin(), ratio.end());
    if (!reach) return r;
    r["reach"] = *reach;
    r["ok"] = lower_is_better ? r["ratio"] <= *reach : r["ratio"] >= *reach;
    return r;
}

// Every key of a row is there, also in rows of other programs; what says nothing is null.
void Report::add(const std::string& key, json row) {
    for (const char* k : {"ours", "limit", "ratio", "unit", "min", "median", "max", "repeats", "reach", "ok"})
        if (!row.contains(k)) row[k] = nullptr;
    print(key, row);
    result_["rows"][key] = std::move(row);
}

void Report::missing(const std::string& key, const std::string& unit, const std::string& reason) {
    add(key, {{"unit", unit}, {"repeats", 0}, {"more", {{"reason", reason}}}});
}

void Report::fail(const std::string& part, const std::string& what) {
    std::fprintf(stderr, "farlane-bench: %s: %s\n", part.c_str(), what.c_str());
    result_["failed"][part] = what;
}

void Report::print(const std::string& key, const json& r) const {
    if (table_ == nullptr) return;
    const auto unit = r["unit"].is_string() ? r["unit"].get<std::string>() : std::string();
    std::fprintf(table_, "%-28s %9s %-6s", key.c_str(), number(r["ours"]).c_str(), unit.c_str());
    if (r["ratio"].is_number())
        std::fprintf(table_, "  beside %9s  ratio %6.3f", number(r["limit"]).c_str(), r["ratio"].get<double>());
    if (r["ok"].is_boolean())
        std::fprintf(table_, "  goal %5s  %s", number(r["reach"]).c_str(), r["ok"].get<bool>() ? "ok" : "MISSED");
    if (r["repeats"].is_number() && r["repeats"] > 1)
        std::fprintf(table_, "  (%s to %s)", number(r["min"]).c_str(), number(r["max"]).c_str());
    if (r.contains("more") && r["more"].contains("reason"))
        std::fprintf(table_, "  %s", r["more"]["reason"].get<std::string>().c_str());
    std::fprintf(table_, "\n");
    std::fflush(table_);
}

json Report::finish() {
    result_["machine"] = machine();
    result_["cores"] = std::thread::hardware_concurrency();
    result_["commit"] = commit();
    if (!cacheline_ns_.empty()) {
        result_["cacheline_ns"] = median(cacheline_ns_);
        if (table_ != nullptr)
            std::fprintf(table_,
                         "cache line, core to core and back: %.0f ns (compare only runs where it is the same)\n",
                         median(cacheline_ns_));
    }
    return result_;
}

}  // namespace farlane::bench
