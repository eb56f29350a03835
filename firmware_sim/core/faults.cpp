// SPDX-License-Identifier: Apache-2.0
// Receives: the text of the option `faults=`. Hands on: a Faults. Owns: nothing.
#include "core/faults.hpp"

#include <charconv>
#include <optional>
#include <string>

namespace farlane::firmware {
namespace {

constexpr std::string_view kValid =
    "valid faults: delay_us=N, hang_after_reads=N, dma_outside_after=N, error_after=N, "
    "error_severity=correctable|nonfatal|fatal, error_source=BIT; separated by commas";

std::optional<std::uint64_t> number(std::string_view text) noexcept {
    std::uint64_t v = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return v;
}

std::optional<std::uint64_t> severity(std::string_view text) noexcept {
    if (text == "correctable") return 0;
    if (text == "nonfatal") return 1;
    if (text == "fatal") return 2;
    return std::nullopt;
}

bool set(Faults& f, std::string_view key, std::string_view value) {
    const auto n = key == "error_severity" ? severity(value) : number(value);
    if (!n) return false;
    constexpr std::uint64_t kLongestDelayUs = 60'000'000;
    if (key == "delay_us" && *n <= kLongestDelayUs)
        f.delay_completion_ns = static_cast<std::int64_t>(*n) * 1000;
    else if (key == "hang_after_reads")
        f.hang_after_reads = *n;
    else if (key == "dma_outside_after")
        f.dma_outside_after = *n;
    else if (key == "error_after")
        f.error_after = *n;
    else if (key == "error_severity")
        f.error_severity = static_cast<std::uint32_t>(*n);
    else if (key == "error_source" && *n < 32)
        f.error_source = static_cast<std::uint32_t>(*n);
    else
        return false;
    return true;
}

}  // namespace

Result<bool> Faults::parse(std::string_view text) {
    while (!text.empty()) {
        const std::size_t comma = text.find(',');
        const std::string_view item = text.substr(0, comma);
        text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
        const std::size_t equals = item.find('=');
        if (equals == std::string_view::npos || !set(*this, item.substr(0, equals), item.substr(equals + 1)))
            return {Status::invalid, "fault '" + std::string(item) + "' is not valid; " + std::string(kValid)};
    }
    return true;
}

}  // namespace farlane::firmware
