// SPDX-License-Identifier: Apache-2.0
// Receives: a CSV file. Hands on: its numbers. Owns: nothing.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace example {

struct Table {
    std::vector<std::string> names;  ///< of the columns
    std::vector<float> values;       ///< row by row
    [[nodiscard]] std::size_t columns() const { return names.size(); }
    [[nodiscard]] std::size_t rows() const { return names.empty() ? 0 : values.size() / names.size(); }
    [[nodiscard]] float at(std::size_t row, std::size_t column) const { return values[row * columns() + column]; }
};

/// A line of names, then lines of as many finite numbers, with commas between them. `columns`: names of those to read,
/// with commas between them. Throws farlane::Error invalid, naming the line.
[[nodiscard]] Table read_csv(const std::string& path, const std::string& columns);

}  // namespace example
