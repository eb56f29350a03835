// SPDX-License-Identifier: Apache-2.0
// Receives: two results. Hands on: what became worse, as text. Owns: nothing.
#include "compare.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include <farlane/status.hpp>

namespace farlane::bench {
namespace {

using json = nlohmann::json;

/// What is compared of a row, and how far its own repeats were apart.
struct Figure {
    double value = 0, low = 0, high = 0;
    bool is_ratio = false;
};

std::optional<double> number(const json& row, const char* key) {
    if (!row.contains(key) || !row[key].is_number()) return {};
    return row[key].get<double>();
}

std::optional<Figure> figure(const json& row, bool by_ratio) {
    if (by_ratio) {
        const auto ratio = number(row, "ratio");
        if (!ratio) return {};
        const json& more = row.contains("more") ? row["more"] : row;
        return Figure{*ratio, number(more, "ratio_min").value_or(*ratio), number(more, "ratio_max").value_or(*ratio),
                      true};
    }
    const auto ours = number(row, "ours");
    if (!ours) return {};
    return Figure{*ours, number(row, "min").value_or(*ours), number(row, "max").value_or(*ours), false};
}

std::string unit_of(const json& row) {
    return row.contains("unit") && row["unit"].is_string() ? row["unit"].get<std::string>() : "";
}

bool lower_is_better(const json& row) {
    if (row.contains("more") && row["more"].contains("better")) return row["more"]["better"] == "lower";
    const auto unit = unit_of(row);
    return unit == "us" || unit == "ms" || unit == "instr" || unit == "KiB" || unit == "%";
}

/// Positive = worse, as a share of the old value.
double worse_by(const Figure& before, const Figure& now, bool lower) {
    if (before.value == 0) return 0;
    return lower ? now.value / before.value - 1 : 1 - now.value / before.value;
}

bool outside(const Figure& before, const Figure& now, bool lower) {
    return lower ? now.value > before.high : now.value < before.low;
}

}  // namespace

int compare(const json& before, const json& now, double tolerance, std::FILE* out) {
    int regressions = 0, compared = 0;
    for (const auto& [key, old] : before.at("rows").items()) {
        if (!now.at("rows").contains(key)) {
            std::fprintf(out, "%-28s not in the new run\n", key.c_str());
            continue;
        }
        const json& fresh = now["rows"][key];
        const bool by_ratio = number(old, "ratio") && number(fresh, "ratio");
        const auto was = figure(old, by_ratio);
        if (!was) continue;
        ++compared;
        const auto is = figure(fresh, by_ratio);
        if (!is) {
            ++regressions;
            std::fprintf(out, "%-28s %9.3f -> nothing  REGRESSION\n", key.c_str(), was->value);
            continue;
        }
        const bool lower = lower_is_better(fresh);
        const double worse = worse_by(*was, *is, lower);
        const bool regressed = worse > tolerance && outside(*was, *is, lower);
        regressions += regressed ? 1 : 0;
        const char* verdict = regressed ? "REGRESSION" : worse < -tolerance ? "better" : "";
        std::fprintf(out, "%-28s %9.3f -> %9.3f %-6s %+6.1f %%  %s\n", key.c_str(), was->value, is->value,
                     by_ratio ? "ratio" : unit_of(fresh).c_str(),
                     (is->value / (was->value == 0 ? 1 : was->value) - 1) * 100, verdict);
    }
    const auto line = [](const json& r) { return r.value("cacheline_ns", 0.0); };
    if (line(before) > 0 && line(now) > 0 &&
        std::max(line(before), line(now)) > 1.5 * std::min(line(before), line(now)))
        std::fprintf(out, "beware: a cache line took %.0f ns from core to core then and %.0f ns now\n", line(before),
                     line(now));
    if (compared == 0) throw Error(Status::invalid, "nothing was compared: the runs have no row in common");
    std::fprintf(out, "%d regression%s of more than %.0f %%\n", regressions, regressions == 1 ? "" : "s",
                 tolerance * 100);
    return regressions;
}

}  // namespace farlane::bench
