// SPDX-License-Identifier: Apache-2.0
// Receives: results and progress. Hands on: stdout and stderr. Owns: the document (report.hpp).
#include "demo/report.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace farlane::demo {
namespace {

constexpr int kBarWidth = 30;

std::string printed(const char* format, double value, const char* unit) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), format, value, unit);
    return text.data();
}

}  // namespace

Report::Report(bool json) : json_(json), terminal_(isatty(STDERR_FILENO) != 0) {}

Report::~Report() {
    clear_progress();
}

void Report::result(const std::string& line, const std::string& step, nlohmann::json values) {
    clear_progress();
    document_[step] = std::move(values);
    if (json_) return;
    std::fprintf(stdout, "%s\n", line.c_str());
    std::fflush(stdout);
}

void Report::progress(std::string_view what, double fraction) {
    if (!terminal_) return;
    const int done = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kBarWidth);
    const std::string bar =
        std::string(static_cast<std::size_t>(done), '=') + std::string(static_cast<std::size_t>(kBarWidth - done), ' ');
    std::fprintf(stderr, "\r\033[K%-28.*s [%s] %3d %%", static_cast<int>(what.size()), what.data(), bar.c_str(),
                 static_cast<int>(std::clamp(fraction, 0.0, 1.0) * 100));
    std::fflush(stderr);
    line_open_ = true;
}

void Report::clear_progress() {
    if (!line_open_) return;
    std::fprintf(stderr, "\r\033[K");
    std::fflush(stderr);
    line_open_ = false;
}

void Report::finish() {
    clear_progress();
    if (json_) std::fprintf(stdout, "%s\n", document_.dump(2).c_str());
    std::fflush(stdout);
}

std::string size_text(std::uint64_t bytes) {
    if (bytes < 1024) return std::to_string(bytes) + " bytes";
    const auto v = static_cast<double>(bytes);
    if (bytes < (1 << 20)) return printed("%.1f %s", v / 1024, "KiB");
    return printed("%.1f %s", v / (1 << 20), "MiB");
}

std::string rate_text(double bytes_per_second) {
    return bytes_per_second < 1e9 ? printed("%.0f %s", bytes_per_second / 1e6, "MB/s")
                                  : printed("%.2f %s", bytes_per_second / 1e9, "GB/s");
}

std::string time_text(double seconds) {
    if (seconds < 1e-3) return printed("%.2f %s", seconds * 1e6, "us");
    if (seconds < 1) return printed("%.1f %s", seconds * 1e3, "ms");
    return printed("%.2f %s", seconds, "s");
}

}  // namespace farlane::demo
