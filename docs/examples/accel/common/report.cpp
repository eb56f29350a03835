// SPDX-License-Identifier: Apache-2.0
// Receives: results and progress. Hands on: stdout and stderr (report.hpp). Owns: nothing.
#include "common/report.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>

namespace example {
namespace {

constexpr int kBarWidth = 30;
constexpr std::chrono::seconds kBetweenLines{5};  ///< when stderr is no terminal

}  // namespace

Report::Report(std::string name, bool json)
    : name_(std::move(name)),
      json_(json),
      terminal_(isatty(STDERR_FILENO) != 0),
      last_line_(std::chrono::steady_clock::now()) {
    document_["example"] = name_;
}

Report::~Report() {
    clear_progress();
}

void Report::result(const std::string& key, const std::string& line, nlohmann::json values) {
    clear_progress();
    document_[key] = std::move(values);
    if (json_) return;
    std::printf("%-11s %s\n", key.c_str(), line.c_str());
    std::fflush(stdout);
}

void Report::progress(std::string_view what, double fraction) {
    const double part = std::clamp(fraction, 0.0, 1.0);
    const auto length = static_cast<int>(what.size());
    if (!terminal_) {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_line_ < kBetweenLines) return;
        last_line_ = now;
        std::fprintf(stderr, "%s: %.*s, %.0f %%\n", name_.c_str(), length, what.data(), 100 * part);
        return;
    }
    std::string bar(static_cast<std::size_t>(part * kBarWidth), '=');
    bar.resize(kBarWidth, ' ');
    std::fprintf(stderr, "\r\033[K%-28.*s [%s] %3.0f %%", length, what.data(), bar.c_str(), 100 * part);
    std::fflush(stderr);
    line_open_ = true;
}

void Report::say(const std::string& line) {
    clear_progress();
    std::fprintf(stderr, "%s: %s\n", name_.c_str(), line.c_str());
}

void Report::clear_progress() {
    if (!line_open_) return;
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
    line_open_ = false;
}

void Report::finish() {
    clear_progress();
    if (json_) std::printf("%s\n", document_.dump(2).c_str());
    std::fflush(stdout);
}

std::string format(const char* format, ...) {
    std::array<char, 512> text{};
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text.data(), text.size(), format, arguments);
    va_end(arguments);
    return text.data();
}

std::string size_text(double bytes) {
    if (bytes < 1024) return format("%.0f bytes", bytes);
    if (bytes < 1 << 20) return format("%.1f KiB", bytes / 1024);
    return format("%.1f MiB", bytes / (1 << 20));
}

std::string time_text(double seconds) {
    if (seconds < 1e-3) return format("%.1f us", seconds * 1e6);
    if (seconds < 1) return format("%.1f ms", seconds * 1e3);
    return format("%.2f s", seconds);
}

}  // namespace example
