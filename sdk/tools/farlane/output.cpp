// SPDX-License-Identifier: Apache-2.0
// Receives: values. Hands on: aligned tables and readable numbers. Owns: nothing.
#include "farlane/output.hpp"

#include <fmt/format.h>
#include <pwd.h>

#include <algorithm>

namespace farlane::cli {

std::string clean(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    return out;
}

std::string bytes_text(std::uint64_t bytes) {
    constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    auto value = static_cast<double>(bytes);
    while (value >= 1024 && unit + 1 < std::size(kUnits)) {
        value /= 1024;
        ++unit;
    }
    const bool whole = value == static_cast<double>(static_cast<std::uint64_t>(value));
    return whole ? fmt::format("{:.0f} {}", value, kUnits[unit]) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string count_text(double value) {
    if (value >= 1e9) return fmt::format("{:.2f} G", value / 1e9);
    if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
    if (value >= 1e4) return fmt::format("{:.1f} k", value / 1e3);
    return fmt::format("{:.0f}", value);
}

std::string duration_text(std::uint64_t ns) {
    const auto value = static_cast<double>(ns);
    if (ns == 0) return "-";
    if (value >= 1e9) return fmt::format("{:.2f} s", value / 1e9);
    if (value >= 1e6) return fmt::format("{:.2f} ms", value / 1e6);
    if (value >= 1e3) return fmt::format("{:.2f} us", value / 1e3);
    return fmt::format("{} ns", ns);
}

std::string hex_text(std::uint64_t value, unsigned digits) {
    return fmt::format("0x{:0{}x}", value, digits);
}

std::string holder_text(const Json& holder) {
    const auto uid = static_cast<uid_t>(number_of(holder, "uid"));
    const passwd* user = getpwuid(uid);
    const std::string who = user != nullptr ? user->pw_name : fmt::format("uid {}", uid);
    return fmt::format("{} (pid {}, {})", clean(text_of(holder, "comm")), number_of(holder, "pid"), clean(who));
}

std::string share_text(const Json& holder) {
    if (!holder.contains("queue_pairs")) return "";
    std::string contexts;
    for (const Json& c : part_of(holder, "contexts"))
        if (c.is_number_unsigned()) contexts += (contexts.empty() ? " " : ", ") + c.dump();
    return fmt::format("{}, queue pairs {}, {} mapped, {} written{}",
                       contexts.empty() ? "no context" : "context" + contexts, number_of(holder, "queue_pairs"),
                       bytes_text(number_of(holder, "mapped_bytes")), bytes_text(number_of(holder, "pushed_bytes")),
                       number_of(holder, "violations") == 0
                           ? ""
                           : fmt::format(", {} accesses refused", number_of(holder, "violations")));
}

Table& Table::row(std::vector<std::string> cells) {
    for (std::string& c : cells) c = clean(c);
    rows_.push_back(std::move(cells));
    return *this;
}

void Table::print(std::ostream& out, const std::vector<unsigned>& right, std::string_view indent) const {
    std::vector<std::size_t> widths;
    for (const auto& r : rows_) {
        widths.resize(std::max(widths.size(), r.size()));
        for (std::size_t i = 0; i < r.size(); ++i) widths[i] = std::max(widths[i], r[i].size());
    }
    for (const auto& r : rows_) {
        out << indent;
        for (std::size_t i = 0; i < r.size(); ++i) {
            const bool to_right = std::find(right.begin(), right.end(), i) != right.end();
            const bool last = i + 1 == r.size();
            if (to_right) {
                out << fmt::format("{:>{}}", r[i], widths[i]);
            } else {
                out << (last ? r[i] : fmt::format("{:<{}}", r[i], widths[i]));
            }
            if (!last) out << "  ";
        }
        out << '\n';
    }
}

std::string text_of(const Json& object, const char* key) {
    const auto it = object.find(key);
    return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

std::uint64_t number_of(const Json& object, const char* key) {
    const auto it = object.find(key);
    return it != object.end() && it->is_number_unsigned() ? it->get<std::uint64_t>() : 0;
}

bool flag_of(const Json& object, const char* key) {
    const auto it = object.find(key);
    return it != object.end() && it->is_boolean() && it->get<bool>();
}

const Json& part_of(const Json& object, const char* key) {
    static const Json nothing = Json::object();
    const auto it = object.find(key);
    return it != object.end() && (it->is_object() || it->is_array()) ? *it : nothing;
}

}  // namespace farlane::cli
