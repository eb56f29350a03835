// SPDX-License-Identifier: Apache-2.0
// Receives: a port string. Hands on: its parts, and the values of its keys, checked.
// Owns: nothing.
#include "transport/url.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace farlane::transport {
namespace {

constexpr std::size_t kMaxUrlBytes = 4096;
constexpr std::string_view kFaultPrefix = "fault+";

std::string quoted(std::string_view text) {
    return "\"" + std::string(text) + "\"";
}

Failure bad_url(std::string_view text, const std::string& sentence) {
    return {Status::invalid, "port string " + quoted(text.substr(0, 200)) + ": " + sentence};
}

bool printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c != 0x7f; });
}

// Number and what stands behind it. Nothing when there is no number, or none that fits.
template <class T>
std::optional<std::pair<T, std::string_view>> split_number(const std::string& value) {
    T number{};
    const char* const end = value.data() + value.size();
    const auto [rest, error] = std::from_chars(value.data(), end, number);
    if (error != std::errc{} || rest == value.data()) return std::nullopt;
    return std::pair{number, std::string_view(rest, static_cast<std::size_t>(end - rest))};
}

}  // namespace

Result<PortUrl> parse_url(std::string_view text) {
    if (text.size() > kMaxUrlBytes) return bad_url(text, "it is longer than 4096 characters");
    if (!printable(text)) return Failure{Status::invalid, "port string: it has control characters in it"};
    PortUrl url;
    url.text = text;
    std::string_view rest = text;
    if (rest.starts_with(kFaultPrefix)) {
        url.fault = true;
        rest.remove_prefix(kFaultPrefix.size());
    }
    const std::size_t colon = rest.find(':');
    if (colon == std::string_view::npos) return bad_url(text, "there is no \":\" behind the kind of the port");
    url.scheme = rest.substr(0, colon);
    rest.remove_prefix(colon + 1);
    const std::size_t mark = rest.find('?');
    url.body = rest.substr(0, mark);
    if (mark == std::string_view::npos) return url;
    rest.remove_prefix(mark + 1);
    while (!rest.empty()) {
        const std::string_view pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
        const std::size_t equals = pair.find('=');
        if (equals == 0 || equals == std::string_view::npos || equals + 1 == pair.size())
            return bad_url(text, quoted(pair) + " is not key=value");
        std::string key(pair.substr(0, equals));
        for (const auto& [other, value] : url.query)
            if (other == key) return bad_url(text, "the key " + quoted(key) + " is there twice");
        url.query.emplace_back(std::move(key), pair.substr(equals + 1));
    }
    return url;
}

Query::Query(const PortUrl& url) : url_(url) {}

const std::string* Query::take(std::string_view key, std::string_view form) {
    known_.emplace_back(key, form);
    for (const auto& [name, value] : url_.query)
        if (name == key) return &value;
    return nullptr;
}

void Query::bad(std::string_view key, const std::string& value, const std::string& valid) {
    if (!first_) first_ = fail(quoted(value) + " is not a value of " + quoted(key) + "; valid: " + valid);
}

void Query::probability(std::string_view key, double& out) {
    const std::string* value = take(key, "P");
    if (value == nullptr) return;
    auto number = split_number<double>(*value);
    if (number && number->second == "%") number->first /= 100;
    if (!number || (number->second != "%" && !number->second.empty()) || !std::isfinite(number->first) ||
        number->first < 0 || number->first > 1)
        return bad(key, *value, "0% to 100%, or 0 to 1");
    out = number->first;
}

void Query::duration_ns(std::string_view key, std::int64_t& out, std::int64_t max_ns) {
    const std::string* value = take(key, "T");
    if (value == nullptr) return;
    const auto number = split_number<double>(*value);
    double scale = 0;
    if (number) {
        const std::string_view unit = number->second;
        if (unit == "ns") scale = 1;
        if (unit == "us") scale = 1e3;
        if (unit == "ms") scale = 1e6;
        if (unit == "s") scale = 1e9;
        if (unit.empty() && number->first == 0) scale = 1;
    }
    if (scale == 0 || !std::isfinite(number->first) || number->first < 0 ||
        number->first * scale > static_cast<double>(max_ns))
        return bad(key, *value, "a number with ns, us, ms or s, up to " + std::to_string(max_ns / 1000000) + "ms");
    out = static_cast<std::int64_t>(std::llround(number->first * scale));
}

void Query::scaled(std::string_view key, std::uint64_t& out, std::uint64_t min, std::uint64_t max, std::uint64_t kilo,
                   std::string_view unit) {
    const std::string* value = take(key, kilo == 1 ? "N" : unit);
    if (value == nullptr) return;
    const auto number = split_number<std::uint64_t>(*value);
    std::uint64_t scale = 0;
    if (number) {
        const std::string_view suffix = number->second;
        if (suffix.empty()) scale = 1;
        if (kilo != 1 && (suffix == "k" || suffix == "K")) scale = kilo;
        if (kilo != 1 && suffix == "M") scale = kilo * kilo;
        if (kilo != 1 && suffix == "G") scale = kilo * kilo * kilo;
    }
    if (scale == 0 || number->first > std::numeric_limits<std::uint64_t>::max() / scale ||
        number->first * scale < min || number->first * scale > max) {
        std::string valid = std::to_string(min) + " to " + std::to_string(max);
        if (kilo != 1) valid += " " + std::string(unit) + ", also with k, M or G";
        return bad(key, *value, valid);
    }
    out = number->first * scale;
}

void Query::count(std::string_view key, std::uint64_t& out, std::uint64_t min, std::uint64_t max) {
    scaled(key, out, min, max, 1, "");
}

void Query::bytes(std::string_view key, std::uint64_t& out, std::uint64_t min, std::uint64_t max) {
    scaled(key, out, min, max, 1024, "BYTES");
}

void Query::bits_per_second(std::string_view key, std::uint64_t& out, std::uint64_t min, std::uint64_t max) {
    scaled(key, out, min, max, 1000, "BITS/S");
}

void Query::choice(std::string_view key, std::size_t& out, const std::vector<std::string>& words) {
    std::string all;
    for (const std::string& word : words) all += (all.empty() ? "" : "|") + word;
    const std::string* value = take(key, all);
    if (value == nullptr) return;
    const auto found = std::find(words.begin(), words.end(), *value);
    if (found == words.end()) return bad(key, *value, all);
    out = static_cast<std::size_t>(found - words.begin());
}

void Query::text(std::string_view key, std::string& out) {
    if (const std::string* value = take(key, "TEXT")) out = *value;
}

std::optional<Failure> Query::finish() const {
    if (first_) return first_;
    for (const auto& [key, value] : url_.query) {
        const auto same = [&key = key](const auto& k) { return k.first == key; };
        if (std::any_of(known_.begin(), known_.end(), same)) continue;
        std::string valid;
        for (const auto& [name, form] : known_) valid += (valid.empty() ? "" : ", ") + name + "=" + form;
        return fail("there is no key " + quoted(key) + " here; valid: " + (valid.empty() ? "none" : valid));
    }
    return std::nullopt;
}

Failure Query::fail(const std::string& sentence, Status status) const {
    Failure failure = bad_url(url_.text, sentence);
    failure.status = status;
    return failure;
}

}  // namespace farlane::transport
