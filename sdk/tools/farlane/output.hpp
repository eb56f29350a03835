// SPDX-License-Identifier: Apache-2.0
// Receives: values. Hands on: aligned tables and readable numbers. Owns: nothing.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace farlane::cli {

using Json = nlohmann::json;

/// Text for a terminal: control characters, which may come from the network, become '?'.
[[nodiscard]] std::string clean(std::string_view text);
/// "64 KiB", "1.5 MiB", "17 B".
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);
/// Decimal with a unit: "1.2 M", "950".
[[nodiscard]] std::string count_text(double value);
/// "31.0 us", "1.2 ms"; "-" for 0.
[[nodiscard]] std::string duration_text(std::uint64_t ns);
/// "0x1ae4" with at least `digits` digits.
[[nodiscard]] std::string hex_text(std::uint64_t value, unsigned digits);
/// "filter (pid 812, alice)" of a holder object of the control socket.
[[nodiscard]] std::string holder_text(const Json& holder);

/// What it has of a shared accelerator: "context 0, 2 queue pairs, ..."; "" when it has the function alone.
[[nodiscard]] std::string share_text(const Json& holder);

/// Rows in aligned columns; the last column is not padded. Cells are cleaned.
class Table {
public:
    Table() = default;
    explicit Table(std::vector<std::string> head) : head_rows_(1) { row(std::move(head)); }
    Table& row(std::vector<std::string> cells);
    [[nodiscard]] bool empty() const noexcept { return rows_.size() == head_rows_; }
    /// `right` has the numbers of the columns that are aligned to the right.
    void print(std::ostream& out, const std::vector<unsigned>& right = {}, std::string_view indent = "") const;

private:
    std::size_t head_rows_ = 0;
    std::vector<std::vector<std::string>> rows_;
};

/// Members of a reply that may lack them (an older daemon): never throw.
[[nodiscard]] std::string text_of(const Json& object, const char* key);
[[nodiscard]] std::uint64_t number_of(const Json& object, const char* key);
[[nodiscard]] bool flag_of(const Json& object, const char* key);
/// The member, or an empty object.
[[nodiscard]] const Json& part_of(const Json& object, const char* key);

}  // namespace farlane::cli
