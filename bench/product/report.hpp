// SPDX-License-Identifier: Apache-2.0
// Receives: samples of ours and of what they stand beside. Hands on: rows as bench/README.md describes them, a table.
// Owns: the result of one run.
#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace farlane::bench {

using json = nlohmann::json;

[[nodiscard]] double median(std::vector<double> v);

/// What was measured of one key, ours and the limit by turns.
struct Series {
    std::string key, unit;
    std::optional<double> reach = {};  ///< ratio that is the goal; none = stated
    bool lower_is_better = false;
    std::vector<double> ours = {}, limit = {};
    json more = json::object();

    [[nodiscard]] json row() const;
};

/// Rows, in the order of their keys, and what went wrong.
class Report {
public:
    /// Rows are printed to `table` as they come; null = not at all.
    explicit Report(std::FILE* table) : table_(table) {}

    void add(const Series& s) { add(s.key, s.row()); }
    void add(const std::string& key, json row);
    /// A row that could not be measured here, and why.
    void missing(const std::string& key, const std::string& unit, const std::string& reason);
    /// A part that should have worked and did not.
    void fail(const std::string& part, const std::string& what);
    /// Points of a plot: a list under `name`.
    void plot(const std::string& name, json points) { result_["plots"][name] = std::move(points); }
    void note_cacheline(double ns) { cacheline_ns_.push_back(ns); }

    [[nodiscard]] bool has(const std::string& key) const { return result_["rows"].contains(key); }
    [[nodiscard]] const json& row(const std::string& key) const { return result_["rows"].at(key); }
    [[nodiscard]] bool failed() const { return result_.contains("failed"); }
    /// With machine, cores, kernel and commit.
    [[nodiscard]] json finish();

private:
    void print(const std::string& key, const json& row) const;

    std::FILE* table_;
    json result_ = {{"rows", json::object()}};
    std::vector<double> cacheline_ns_;
};

}  // namespace farlane::bench
