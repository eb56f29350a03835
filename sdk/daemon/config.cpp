// SPDX-License-Identifier: Apache-2.0
// Receives: a TOML file. Hands on: a checked configuration, or the place of the first error.
// Owns: nothing. The keys themselves: config_keys.cpp.
#include "daemon/config.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <set>

#include <unistd.h>

#include "backend/backend.hpp"
#include "daemon/config_reader.hpp"

namespace farlane::daemon {
namespace {

constexpr std::size_t kMaxFileBytes = 1 << 20;
constexpr std::size_t kMaxEntries = 4096;  // of each array: bounds what a wrong file can cost

std::string join(const std::vector<std::string>& parts) {
    std::string out;
    for (const std::string& p : parts) out += (out.empty() ? "" : ", ") + p;
    return out;
}

std::string hint(std::string_view wrong, const std::vector<std::string>& valid) {
    const std::string near = nearest(wrong, valid);
    return (near.empty() ? "" : "; did you mean '" + near + "'?") + "; valid: " + join(valid);
}

std::vector<std::string> keys_of(const std::string& section) {
    std::vector<std::string> names;
    for (const KeyRow& row : config_keys())
        if (section == row.section) names.emplace_back(row.name);
    return names;
}

const KeyEntry* entry_of(const std::string& section, std::string_view key) {
    for (const KeyEntry& e : key_entries())
        if (section == e.row.section && key == e.row.name) return &e;
    return nullptr;
}

// Options of a device are handed to its factory as text.
std::string option_text(const Reader& r, const std::string& key, const toml::node& n) {
    if (const auto s = n.value_exact<std::string>()) return *s;
    if (const auto b = n.value_exact<bool>()) return *b ? "true" : "false";
    if (const auto i = n.value_exact<std::int64_t>()) return std::to_string(*i);
    if (const auto d = n.value_exact<double>()) {
        std::ostringstream out;
        out << *d;
        return out.str();
    }
    r.fail(n, "option '" + key + "' is a string, a number or a boolean");
}

void read_section(Config& c, const Reader& r, const std::string& section, const toml::table& table) {
    for (const auto& [key, value] : table) {
        const std::string name(key.str());
        if (const KeyEntry* e = entry_of(section, name)) {
            e->apply(c, r, name, value);
        } else if (section == "[export]") {
            c.exports.back().options.emplace_back(name, option_text(r, name, value));
        } else {
            r.fail(key.source(), "unknown key '" + name + "' in [" + section + "]" + hint(name, keys_of(section)));
        }
    }
}

template <class Begin>
void read_array(Config& c, const Reader& r, const std::string& name, const toml::node& node, Begin begin) {
    const toml::array* all = node.as_array();
    if (all == nullptr || !all->is_array_of_tables())
        r.fail(node, "'" + name + "' is an array of tables: write [[" + name + "]]");
    if (all->size() > kMaxEntries) r.fail(node, "more than " + std::to_string(kMaxEntries) + " [[" + name + "]]");
    for (const toml::node& element : *all) {
        begin(element);
        read_section(c, r, "[" + name + "]", *element.as_table());
    }
}

void need(const Reader& r, const toml::node& n, bool there, const char* section, const char* key) {
    if (!there) r.fail(n, std::string("[[") + section + "]] needs '" + key + "'");
}

void check_unique(const Reader& r, std::set<std::string>& seen, const std::string& name, const toml::node& n,
                  const char* section) {
    if (!seen.insert(name).second) r.fail(n, std::string("a second [[") + section + "]] is named '" + name + "'");
}

void check_ports(const Config& c, const Reader& r, const toml::array& nodes) {
    std::set<std::string> seen;
    for (std::size_t i = 0; i < c.ports.size(); ++i) {
        need(r, nodes[i], !c.ports[i].name.empty(), "port", "name");
        need(r, nodes[i], !c.ports[i].url.empty(), "port", "url");
        check_unique(r, seen, c.ports[i].name, nodes[i], "port");
    }
}

void check_path(const Config& c, const Reader& r, const toml::node& node, PeerSettings& peer, std::size_t at) {
    std::vector<std::string> names;
    for (const PortSettings& p : c.ports) names.push_back(p.name);
    PathSettings& p = peer.paths[at];
    if (p.port.empty() && c.ports.size() == 1) p.port = c.ports[0].name;
    if (p.port.empty())
        r.fail(node, "[[peer]] needs 'port', since there " +
                         std::string(c.ports.empty() ? "is no [[port]]" : "are several") +
                         (names.empty() ? "" : "; valid: " + join(names)));
    if (std::ranges::find(names, p.port) == names.end())
        r.fail(node, "[[peer]] names the port '" + p.port + "', which there is not" + hint(p.port, names));
    for (std::size_t i = 0; i < at; ++i)
        if (peer.paths[i].port == p.port && peer.paths[i].address == p.address)
            r.fail(node, "two paths of a [[peer]] have the same port and address; they differ in at least one");
}

void check_peers(Config& c, const Reader& r, const toml::array& nodes) {
    for (std::size_t i = 0; i < c.peers.size(); ++i) {
        PeerSettings& peer = c.peers[i];
        const bool single = !peer.single.port.empty() || !peer.single.address.empty();
        if (single && !peer.paths.empty())
            r.fail(nodes[i], "[[peer]] has both 'paths' and 'port' or 'address'; write all of its paths in 'paths'");
        if (peer.paths.empty()) peer.paths.push_back({peer.single.port, peer.single.address, peer.where});
        const toml::array* listed = nodes[i].as_table()->get_as<toml::array>("paths");
        for (std::size_t k = 0; k < peer.paths.size(); ++k)
            check_path(c, r, listed != nullptr ? (*listed)[k] : nodes[i], peer, k);
    }
}

void check_exports(const Config& c, const Reader& r, const toml::array& nodes) {
    std::set<std::string> seen;
    const std::vector<std::string> kinds = backend::device_kinds();
    for (std::size_t i = 0; i < c.exports.size(); ++i) {
        const ExportSettings& e = c.exports[i];
        need(r, nodes[i], !e.name.empty(), "export", "name");
        need(r, nodes[i], !e.device.empty(), "export", "device");
        if (std::ranges::find(kinds, e.device) == kinds.end())
            r.fail(nodes[i],
                   "[[export]] '" + e.name + "' has an unknown device '" + e.device + "'" + hint(e.device, kinds));
        check_unique(r, seen, e.name, nodes[i], "export");
    }
}

void read_root(Config& c, const Reader& r, const toml::table& root) {
    static const std::vector<std::string> kSections = {"daemon", "lane", "session", "kernel", "port", "peer", "export"};
    for (const auto& [key, value] : root) {
        const std::string name(key.str());
        if (name == "port") {
            read_array(c, r, name, value, [&](const toml::node& n) {
                c.ports.emplace_back();
                c.ports.back().where = r.place(n);
            });
        } else if (name == "peer") {
            read_array(c, r, name, value, [&](const toml::node& n) {
                c.peers.emplace_back();
                c.peers.back().where = r.place(n);
            });
        } else if (name == "export") {
            read_array(c, r, name, value, [&](const toml::node& n) {
                c.exports.emplace_back();
                c.exports.back().where = r.place(n);
            });
        } else if (std::ranges::find(kSections, name) != kSections.end()) {
            if (!value.is_table()) r.fail(value, "'" + name + "' is a table: write [" + name + "]");
            read_section(c, r, name, *value.as_table());
        } else {
            r.fail(key.source(), "unknown section '" + name + "'" + hint(name, kSections));
        }
    }
    if (const toml::array* n = root["port"].as_array()) check_ports(c, r, *n);
    if (const toml::array* n = root["peer"].as_array()) check_peers(c, r, *n);
    if (const toml::array* n = root["export"].as_array()) check_exports(c, r, *n);
}

void fill_defaults(Config& c) {
    if (c.daemon.name.empty()) {
        std::array<char, 64> host{};
        if (::gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') std::strcpy(host.data(), "farlaned");
        c.daemon.name = host.data();
    }
    if (c.daemon.state_dir.empty()) c.daemon.state_dir = std::string(kRuntimeDirectory) + "/" + c.daemon.name;
    if (c.daemon.persist_file.empty()) c.daemon.persist_file = c.daemon.state_dir + "/attachments.json";
}

// Edit distance, two rows. Names are short.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
        }
    }
    return row[b.size()];
}

}  // namespace

std::string nearest(std::string_view wrong, const std::vector<std::string>& candidates) {
    std::string best;
    std::size_t best_distance = std::numeric_limits<std::size_t>::max();
    for (const std::string& c : candidates) {
        // A key without its unit, or with another one, is what people write: compare the stems.
        const std::string_view stem = std::string_view(c).substr(0, c.rfind('_'));
        const bool same_stem = wrong == stem || wrong.substr(0, wrong.rfind('_')) == stem;
        const std::size_t d = same_stem ? 0 : distance(wrong, c);
        if (d < best_distance && d <= std::max<std::size_t>(2, c.size() / 3)) {
            best = c;
            best_distance = d;
        }
    }
    return best;
}

std::string Reader::place(const toml::source_region& region) const {
    return file_ + ":" + std::to_string(region.begin.line) + ":" + std::to_string(region.begin.column);
}
std::string Reader::place(const toml::node& n) const {
    return place(n.source());
}
void Reader::fail(const toml::source_region& region, const std::string& what) const {
    throw ConfigError{place(region) + ": " + what};
}
void Reader::fail(const toml::node& n, const std::string& what) const {
    fail(n.source(), what);
}

std::string Reader::text(const toml::node& n, const std::string& key) const {
    const auto s = n.value_exact<std::string>();
    if (!s) fail(n, "'" + key + "' is a string in quotes");
    if (s->find('\0') != std::string::npos) fail(n, "'" + key + "' has a zero byte");
    return *s;
}

bool Reader::boolean(const toml::node& n, const std::string& key) const {
    const auto b = n.value_exact<bool>();
    if (!b) fail(n, "'" + key + "' is true or false");
    return *b;
}

std::int64_t Reader::integer(const toml::node& n, const std::string& key, std::int64_t min, std::int64_t max,
                             const char* unit) const {
    const std::string valid =
        "'" + key + "' is a whole number from " + std::to_string(min) + " to " + std::to_string(max) + ": " + unit;
    const auto i = n.value_exact<std::int64_t>();
    if (!i) fail(n, valid + (n.is_string() ? ", without quotes and unit" : ""));
    if (*i < min || *i > max) fail(n, valid + "; " + std::to_string(*i) + " is outside");
    return *i;
}

std::string Reader::choice(const toml::node& n, const std::string& key, const std::vector<std::string>& valid) const {
    std::string s = text(n, key);
    if (std::ranges::find(valid, s) == valid.end()) fail(n, "'" + key + "' can not be '" + s + "'" + hint(s, valid));
    return s;
}

Result<Config> parse_config(std::string_view text, const std::string& name) {
    const Reader reader(name);
    try {
        Config c;
        c.file = name;
        const toml::table root = toml::parse(text, name);
        read_root(c, reader, root);
        fill_defaults(c);
        return c;
    } catch (const toml::parse_error& e) {
        return {Status::invalid, reader.place(e.source()) + ": " + std::string(e.description())};
    } catch (const ConfigError& e) {
        return {Status::invalid, e.text};
    }
}

Result<Config> read_config(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return {Status::not_found, path + ": " + std::strerror(errno)};
    std::string text(kMaxFileBytes + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (in.bad()) return {Status::io, path + ": can not be read"};
    text.resize(static_cast<std::size_t>(in.gcount()));
    if (text.size() > kMaxFileBytes) return {Status::invalid, path + ": longer than 1 MiB"};
    return parse_config(text, path);
}

}  // namespace farlane::daemon
