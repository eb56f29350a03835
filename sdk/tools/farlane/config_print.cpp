// SPDX-License-Identifier: Apache-2.0
// Receives: a decoded configuration space. Hands on: text for people, or JSON.
// Owns: nothing.
#include "farlane/config_print.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace farlane::cli {
namespace {

std::string field_text(const Field& f) {
    if (f.width_bits == 1) return f.name + (f.value != 0 ? "+" : "-");
    if (!f.text.empty()) return f.name + "=" + (f.text.find(' ') == std::string::npos ? f.text : "'" + f.text + "'");
    return fmt::format("{}={}", f.name, f.value);
}

/// One register a line, its fields behind it, wrapped.
void print_register(std::ostream& out, const Register& r) {
    constexpr std::size_t kWidth = 110;
    std::string line = fmt::format("    {:<23} {:0{}x}", r.name, r.value, 2 * r.bytes);
    const std::size_t indent = 46;
    if (!r.text.empty()) line += "  " + r.text;
    if (!r.fields.empty()) line.resize(std::max(line.size(), indent - 1), ' ');
    for (const Field& f : r.fields) {
        const std::string text = field_text(f);
        if (line.size() + 1 + text.size() > kWidth) {
            out << line << '\n';
            line.assign(indent - 1, ' ');
        }
        line += " " + text;
    }
    out << line << '\n';
}

Json register_json(const Register& r) {
    Json j{{"offset", r.offset}, {"bytes", r.bytes}};
    // A serial number does not fit a double, which is what most readers of JSON have.
    j["value"] = r.bytes <= 4 ? Json(r.value) : Json(hex_text(r.value, 2u * r.bytes));
    if (!r.text.empty()) j["text"] = r.text;
    for (const Field& f : r.fields) {
        if (f.width_bits == 1) {
            j["fields"][f.name] = f.value != 0;
        } else {
            j["fields"][f.name] = f.value;
            if (!f.text.empty()) j["fields"][f.name + "_text"] = f.text;
        }
    }
    return j;
}

Json registers_json(const std::vector<Register>& registers) {
    Json j = Json::object();
    for (const Register& r : registers) j[r.name] = register_json(r);
    return j;
}

}  // namespace

void print_config(std::ostream& out, const ConfigSpace& space) {
    if (!space.present) {
        out << "  nothing answers: the vendor id reads all-ones\n";
    }
    for (const Register& r : space.header) print_register(out, r);
    for (const BarRegister& b : space.bars) {
        out << fmt::format("    BAR{}  {}{}{} at {:#x}\n", b.index, b.is_io ? "I/O" : "memory",
                           b.is_64bit ? ", 64-bit" : "", b.prefetchable ? ", prefetchable" : "", b.address);
    }
    for (const Capability& c : space.capabilities) {
        out << fmt::format("  [{:0{}x}] {}", c.offset, c.extended ? 3 : 2, c.name);
        if (c.name == "unknown") out << fmt::format(" (id {:#x})", c.id);
        if (c.extended) out << ", version " << c.version;
        out << '\n';
        for (const Register& r : c.registers) print_register(out, r);
    }
    for (const std::string& w : space.warnings) out << "  warning: " << w << '\n';
}

Json config_json(const ConfigSpace& space) {
    Json j{{"present", space.present},
           {"header", registers_json(space.header)},
           {"bars", Json::array()},
           {"capabilities", Json::array()},
           {"warnings", space.warnings}};
    for (const BarRegister& b : space.bars)
        j["bars"].push_back({{"index", b.index},
                             {"is_io", b.is_io},
                             {"is_64bit", b.is_64bit},
                             {"prefetchable", b.prefetchable},
                             {"address", hex_text(b.address, b.is_64bit ? 16 : 8)}});
    for (const Capability& c : space.capabilities) {
        Json entry{{"offset", c.offset},
                   {"id", c.id},
                   {"extended", c.extended},
                   {"name", c.name},
                   {"registers", registers_json(c.registers)}};
        if (c.extended) entry["version"] = c.version;
        j["capabilities"].push_back(std::move(entry));
    }
    return j;
}

void print_hex(std::ostream& out, std::span<const std::byte> bytes) {
    bool skipped = false;
    for (std::size_t at = 0; at < bytes.size(); at += 16) {
        const auto line = bytes.subspan(at, std::min<std::size_t>(16, bytes.size() - at));
        skipped = std::all_of(line.begin(), line.end(), [](std::byte b) { return b == std::byte{0}; });
        if (skipped) continue;
        out << fmt::format("  {:03x}:", at);
        for (const std::byte b : line) out << fmt::format(" {:02x}", std::to_integer<unsigned>(b));
        out << '\n';
    }
    if (skipped) out << "  (lines of zeros left out)\n";
}

}  // namespace farlane::cli
