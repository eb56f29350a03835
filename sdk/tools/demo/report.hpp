// SPDX-License-Identifier: Apache-2.0
// Receives: what the steps found. Hands on: lines for people or one JSON document on stdout, and a
// progress line on stderr when that is a terminal. Owns: the document.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace farlane::demo {

class Report {
public:
    explicit Report(bool json);
    ~Report();
    Report(const Report&) = delete;
    Report& operator=(const Report&) = delete;

    /// A result: printed as a line, kept as `step` of the document.
    void result(const std::string& line, const std::string& step, nlohmann::json values);
    /// Where a step is, 0 to 1; replaces the line before.
    void progress(std::string_view what, double fraction);
    /// Ends the progress line.
    void clear_progress();
    /// Prints the document, when that was asked for.
    void finish();

private:
    bool json_;
    bool terminal_;
    bool line_open_ = false;
    nlohmann::json document_;
};

/// "12.3 MiB", "1.50 GB/s", "2.4 us".
[[nodiscard]] std::string size_text(std::uint64_t bytes);
[[nodiscard]] std::string rate_text(double bytes_per_second);
[[nodiscard]] std::string time_text(double seconds);

}  // namespace farlane::demo
