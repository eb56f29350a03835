// SPDX-License-Identifier: Apache-2.0
// Receives: a CSV file. Hands on: its numbers (table.hpp). Owns: nothing.
#include "kmeans/table.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>

#include <farlane/status.hpp>

namespace example {
namespace {

using farlane::Error;
using farlane::Status;

constexpr std::size_t kMaxValues = std::size_t{1} << 26;
constexpr float kMaxMagnitude = 1e15F;  ///< squares of distances, and their sums, must be floats

std::vector<std::string> split(std::string line) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    std::vector<std::string> fields(1);
    for (const char c : line) {
        if (c == ',') {
            fields.emplace_back();
        } else {
            fields.back() += c;
        }
    }
    for (std::string& field : fields) {  // as spreadsheets write them
        if (field.size() >= 2 && field.front() == '"' && field.back() == '"') field = field.substr(1, field.size() - 2);
    }
    return fields;
}

std::vector<std::size_t> places(const std::vector<std::string>& wanted, const std::vector<std::string>& there,
                                const std::string& path) {
    std::vector<std::size_t> places;
    for (const std::string& name : wanted) {
        const auto at = std::find(there.begin(), there.end(), name);
        if (at == there.end()) {
            std::string known;
            for (const std::string& n : there) known += (known.empty() ? "" : ", ") + n.substr(0, 40);
            throw Error(Status::invalid, path + ":1: has no column '" + name + "'; it has " + known.substr(0, 400) +
                                             " (--columns says which to take)");
        }
        places.push_back(static_cast<std::size_t>(at - there.begin()));
    }
    return places;
}

}  // namespace

Table read_csv(const std::string& path, const std::string& columns) {
    std::ifstream in(path);
    std::string line;
    if (!in || !std::getline(in, line))
        throw Error(Status::invalid, path + ": can not be read, or is empty; a CSV file is wanted");
    const std::vector<std::string> names = split(line);
    Table table{split(columns), {}};
    const std::vector<std::size_t> wanted = places(table.names, names, path);
    for (std::size_t number = 2; std::getline(in, line); ++number) {
        const std::string where = path + ":" + std::to_string(number) + ": ";
        const std::vector<std::string> fields = split(line);
        if (fields.size() != names.size())
            throw Error(Status::invalid, where + std::to_string(fields.size()) + " fields, the first line has " +
                                             std::to_string(names.size()));
        for (const std::size_t column : wanted) {
            const std::string& text = fields[column];
            float value = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
                throw Error(Status::invalid, where + "'" + text.substr(0, 40) + "' is no number");
            if (std::abs(value) > kMaxMagnitude)
                throw Error(Status::invalid, where + text.substr(0, 40) +
                                                 " is too large for distances in float: at most "
                                                 "1e15; divide the column");
            if (table.values.size() == kMaxValues) throw Error(Status::limit, path + ": more than 64 Mi numbers");
            table.values.push_back(value);
        }
    }
    return table;
}

}  // namespace example
