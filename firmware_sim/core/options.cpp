// SPDX-License-Identifier: Apache-2.0
// Receives: the options of a device as text. Hands on: checked values. Owns: which keys were asked for.
#include "core/options.hpp"

#include <algorithm>
#include <charconv>

namespace farlane::firmware {
namespace {

std::optional<std::uint64_t> parse_number(std::string_view text) noexcept {
    int base = 10;
    if (text.starts_with("0x") || text.starts_with("0X")) {
        text.remove_prefix(2);
        base = 16;
    }
    std::uint64_t v = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v, base);
    if (error != std::errc{} || text.empty() || end != text.data() + text.size()) return std::nullopt;
    return v;
}

std::string size_text(std::uint64_t bytes) {
    static constexpr std::string_view kUnits = "KMGT";
    std::string unit;
    for (const char u : kUnits) {
        if (bytes == 0 || bytes % 1024 != 0) break;
        bytes /= 1024;
        unit = u;
    }
    return std::to_string(bytes) + unit;
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
    unsigned shift = 0;
    if (!text.empty()) {
        switch (text.back()) {
            case 'k':
            case 'K': shift = 10; break;
            case 'm':
            case 'M': shift = 20; break;
            case 'g':
            case 'G': shift = 30; break;
            case 't':
            case 'T': shift = 40; break;
            default: break;
        }
    }
    if (shift != 0) text.remove_suffix(1);
    const auto v = parse_number(text);
    if (!v || (*v << shift) >> shift != *v) return std::nullopt;
    return *v << shift;
}

const std::string* Options::find(std::string_view key, std::string hint) {
    known_.emplace_back(std::string(key), std::move(hint));
    const std::string* found = nullptr;
    for (const auto& [name, value] : config_.options) {
        if (name != key) continue;
        if (found != nullptr) fail(key, "is given twice");
        found = &value;
    }
    return found;
}

void Options::fail(std::string_view key, const std::string& why) {
    if (error_) return;
    error_ =
        Failure{Status::invalid, config_.kind + " '" + config_.name + "': option '" + std::string(key) + "' " + why};
}

std::optional<std::string> Options::text(std::string_view key, std::size_t max_length, std::string_view hint) {
    const std::string* v = find(key, std::string(hint));
    if (v == nullptr) return std::nullopt;
    const bool printable = std::all_of(v->begin(), v->end(), [](char c) { return c >= ' ' && c <= '~'; });
    if (v->empty() || v->size() > max_length || !printable) {
        fail(key,
             "must be 1 to " + std::to_string(max_length) + " printable ASCII characters (" + std::string(hint) + ")");
        return std::nullopt;
    }
    return *v;
}

std::optional<std::uint64_t> Options::size(std::string_view key, std::uint64_t min, std::uint64_t max) {
    const std::string range = "size from " + size_text(min) + " to " + size_text(max);
    const std::string* v = find(key, range);
    if (v == nullptr) return std::nullopt;
    const auto bytes = parse_size(*v);
    if (!bytes || *bytes < min || *bytes > max) {
        fail(key, "= '" + *v + "' is not valid: a " + range + ", for instance 64M");
        return std::nullopt;
    }
    return bytes;
}

std::optional<std::uint64_t> Options::number(std::string_view key, std::uint64_t min, std::uint64_t max) {
    const std::string range = "number from " + std::to_string(min) + " to " + std::to_string(max);
    const std::string* v = find(key, range);
    if (v == nullptr) return std::nullopt;
    const auto n = parse_number(*v);
    if (!n || *n < min || *n > max) {
        fail(key, "= '" + *v + "' is not valid: a " + range);
        return std::nullopt;
    }
    return n;
}

std::optional<std::size_t> Options::choice(std::string_view key, const std::vector<std::string_view>& values) {
    std::string list;
    for (const std::string_view v : values) list += (list.empty() ? "" : "|") + std::string(v);
    const std::string* v = find(key, list);
    if (v == nullptr) return std::nullopt;
    const auto at = std::find(values.begin(), values.end(), *v);
    if (at == values.end()) {
        fail(key, "= '" + *v + "' is not valid: one of " + list);
        return std::nullopt;
    }
    return static_cast<std::size_t>(at - values.begin());
}

Result<bool> Options::check() {
    for (const auto& [name, value] : config_.options) {
        const bool asked =
            std::any_of(known_.begin(), known_.end(), [&option = name](const auto& k) { return k.first == option; });
        if (asked) continue;
        std::string valid;
        for (const auto& [key, hint] : known_) valid += (valid.empty() ? "" : ", ") + key + "=<" + hint + ">";
        fail(name, "does not exist; valid: " + valid);
    }
    if (error_) return *error_;
    return true;
}

}  // namespace farlane::firmware
