// SPDX-License-Identifier: Apache-2.0
// Receives: results and progress. Hands on: lines for people, or one JSON document, on stdout; progress on stderr.
// Owns: the document.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace example {

class Report {
public:
    Report(std::string name, bool json);
    ~Report();
    Report(const Report&) = delete;
    Report& operator=(const Report&) = delete;

    /// A result: printed as "key  line", kept as `key` of the document.
    void result(const std::string& key, const std::string& line, nlohmann::json values);
    /// Where the program is, 0 to 1. One line that changes on a terminal; elsewhere a line every few seconds.
    void progress(std::string_view what, double fraction);
    /// A word to the user, on stderr.
    void say(const std::string& line);
    /// Prints the document, when that was asked for.
    void finish();

private:
    void clear_progress();

    std::string name_;
    bool json_, terminal_, line_open_ = false;
    std::chrono::steady_clock::time_point last_line_;
    nlohmann::ordered_json document_;
};

/// Seconds since it was made.
class Stopwatch {
public:
    [[nodiscard]] double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    }

private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// As std::printf, into a string.
[[nodiscard]] std::string format(const char* format, ...) __attribute__((format(printf, 1, 2)));
/// "12.3 MiB", "2.4 ms".
[[nodiscard]] std::string size_text(double bytes);
[[nodiscard]] std::string time_text(double seconds);

}  // namespace example
