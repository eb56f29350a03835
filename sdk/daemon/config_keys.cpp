// SPDX-License-Identifier: Apache-2.0
// Receives: values of keys. Hands on: the configuration they make. Owns: the table of keys,
// the one place where a key is defined; docs/configuration.md is checked against it by a test.
#include <algorithm>
#include <bit>
#include <cctype>

#include "daemon/config_reader.hpp"

namespace farlane::daemon {
namespace {

using Node = const toml::node&;
using Key = const std::string&;
using R = const Reader&;

constexpr std::int64_t kHourMs = 3'600'000;

std::string checked_name(R r, Key key, Node n) {
    std::string name = r.text(n, key);
    const bool plain = std::ranges::all_of(
        name, [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; });
    if (name.empty() || name.size() > 63 || !plain)
        r.fail(n, "'" + key + "' is 1 to 63 letters, digits, '-', '_' and '.'");
    return name;
}

std::string checked_path(R r, Key key, Node n) {
    std::string path = r.text(n, key);
    if (path.empty() || path.front() != '/') r.fail(n, "'" + key + "' is an absolute path");
    return path;
}

void socket_path(Config& c, R r, Key key, Node n) {
    c.daemon.socket = checked_path(r, key, n);
    if (c.daemon.socket.size() > 107) r.fail(n, "'socket' is longer than 107 characters, the limit of unix sockets");
}

void socket_mode(Config& c, R r, Key key, Node n) {
    const std::string mode = r.text(n, key);
    const bool octal =
        mode.size() >= 3 && mode.size() <= 4 && std::ranges::all_of(mode, [](char d) { return d >= '0' && d <= '7'; });
    if (!octal) r.fail(n, "'socket_mode' is three or four octal digits as a string, such as \"0660\"");
    c.daemon.socket_mode = static_cast<std::uint32_t>(std::stoul(mode, nullptr, 8));
    if (c.daemon.socket_mode > 0777) r.fail(n, "'socket_mode' is at most \"0777\"");
}

void instance(Config& c, R r, Key key, Node n) {
    c.daemon.instance = r.text(n, key);
    const bool hex = c.daemon.instance.size() == 32 &&
                     std::ranges::all_of(c.daemon.instance, [](unsigned char d) { return std::isxdigit(d) != 0; });
    if (!hex) r.fail(n, "'instance' is 32 hexadecimal digits (leave it out and it is chosen and kept in state_dir)");
}

std::chrono::milliseconds ms(R r, Key key, Node n, std::int64_t min, std::int64_t max) {
    return std::chrono::milliseconds(r.integer(n, key, min, max, "milliseconds"));
}

PathSettings path_of(R r, Key key, Node n) {
    const toml::table* table = n.as_table();
    if (table == nullptr)
        r.fail(n, "'" + key + "' is a list of tables: [{ port = \"lan\", address = \"10.0.0.2:4793\" }]");
    PathSettings path;
    path.where = r.place(n);
    for (const auto& [name, value] : *table) {
        if (name == "port")
            path.port = checked_name(r, "port", value);
        else if (name == "address")
            path.address = r.text(value, "address");
        else
            r.fail(name.source(), "unknown key '" + std::string(name.str()) + "' in 'paths'; valid: port, address");
    }
    return path;
}

void peer_paths(Config& c, R r, Key key, Node n) {
    const toml::array* all = n.as_array();
    if (all == nullptr || all->empty() || all->size() > kMaxPaths)
        r.fail(n, "'" + key + "' is a list of 1 to " + std::to_string(kMaxPaths) +
                      " tables: [{ port = \"lan\", address = \"10.0.0.2:4793\" }]");
    for (const toml::node& element : *all) c.peers.back().paths.push_back(path_of(r, key, element));
}

std::vector<KeyEntry> make_entries() {
    return {
        {{"daemon", "name", "string", "",
          "Who this daemon is, for people: what others see as target or holder. Default: the host name."},
         [](Config& c, R r, Key k, Node n) { c.daemon.name = checked_name(r, k, n); }},
        {{"daemon", "socket", "path", "\"/run/farlane/farlaned.sock\"", "Control socket (docs/control-socket.md)."},
         socket_path},
        {{"daemon", "socket_mode", "octal string", "\"0660\"", "Permissions of the socket: who may operate."},
         socket_mode},
        {{"daemon", "socket_group", "string", "\"\"",
          "Group of the socket, by name or number; empty: the group of farlaned."},
         [](Config& c, R r, Key k, Node n) { c.daemon.socket_group = r.text(n, k); }},
        {{"daemon", "state_dir", "path", "",
          "Where state is kept that outlives the daemon (0700, on tmpfs it ends with a reboot). Default: "
          "/run/farlane/NAME."},
         [](Config& c, R r, Key k, Node n) { c.daemon.state_dir = checked_path(r, k, n); }},
        {{"daemon", "attach", "choice", "\"once\"",
          "What `farlane attach` does without --once or --persist. persist: made again after a reboot, a restart or an "
          "outage longer than the grace, until `farlane detach`."},
         [](Config& c, R r, Key k, Node n) {
             c.daemon.persist = r.choice(n, k, {"once", "persist"}) == "persist";
         }},
        {{"daemon", "persist_file", "path", "",
          "Where attachments made with --persist are noted; to survive a reboot it must not be on tmpfs. Default: "
          "attachments.json in state_dir."},
         [](Config& c, R r, Key k, Node n) { c.daemon.persist_file = checked_path(r, k, n); }},
        {{"daemon", "log_level", "choice", "\"info\"",
          "trace, debug, info, warn, error or off; the log goes to stderr."},
         [](Config& c, R r, Key k, Node n) {
             c.daemon.log_level = r.choice(n, k, {"trace", "debug", "info", "warn", "error", "off"});
         }},
        {{"daemon", "instance", "32 hex digits", "",
          "Identity over restarts. Default: chosen at random once and kept in state_dir."},
         instance},
        {{"daemon", "share_places", "integer", "8",
          "Processes that always get into a shared accelerator, each with an attachment, a context and a queue pair: "
          "for as many they are kept, at most half of those there are, from processes that have one. A process counts "
          "once, however often it attaches. 1 to 32."},
         [](Config& c, R r, Key k, Node n) {
             c.daemon.share_places = static_cast<std::uint32_t>(r.integer(n, k, 1, 32, "processes"));
         }},

        {{"lane", "spin_us", "integer, microseconds", "50",
          "An idle lane goes on polling for this long at most before it sleeps; 0 to 1000000. Work that comes more "
          "than 200 us, and more than this, apart makes it 10 us."},
         [](Config& c, R r, Key k, Node n) {
             c.lane.spin = std::chrono::microseconds(r.integer(n, k, 0, 1'000'000, "microseconds"));
         }},
        {{"lane", "never_sleep", "boolean", "false", "The lane has a core of its own and polls for ever."},
         [](Config& c, R r, Key k, Node n) { c.lane.never_sleep = r.boolean(n, k); }},
        {{"lane", "cpu", "integer", "", "CPU the lane's thread is pinned to; 0 to 4095. Default: any."},
         [](Config& c, R r, Key k, Node n) {
             c.lane.cpu = static_cast<unsigned>(r.integer(n, k, 0, 4095, "the number of a CPU"));
         }},

        {{"session", "keepalive_ms", "integer, milliseconds", "300",
          "A frame is sent at least this often; three missed ones are silence. 10 to 3600000."},
         [](Config& c, R r, Key k, Node n) { c.session.keepalive = ms(r, k, n, 10, kHourMs); }},
        {{"session", "reconnect_delay_ms", "integer, milliseconds", "100",
          "Pause before a session that is gone is opened again. 1 to 3600000."},
         [](Config& c, R r, Key k, Node n) { c.session.reconnect_delay = ms(r, k, n, 1, kHourMs); }},
        {{"session", "grace_ms", "integer, milliseconds", "10000",
          "Functions of a silent or restarting peer, and attachments of a restarted daemon's applications, are kept "
          "this long. 0 to 3600000."},
         [](Config& c, R r, Key k, Node n) { c.session.grace = ms(r, k, n, 0, kHourMs); }},
        {{"session", "completion_timeout_ms", "integer, milliseconds", "3000",
          "Base of the completion timeout; 16 round trips are added, at most 8 s in all. 1 to 8000."},
         [](Config& c, R r, Key k, Node n) { c.session.completion_timeout = ms(r, k, n, 1, 8000); }},
        {{"session", "integrity", "boolean", "true",
          "false: frames carry no CRC check. For measurements on one host; both ends must agree."},
         [](Config& c, R r, Key k, Node n) { c.session.integrity = r.boolean(n, k); }},

        {{"kernel", "mode", "choice", "\"auto\"",
          "Whether `farlane attach` puts a function on this host's PCI bus, for stock drivers: on, off, or auto: "
          "when farlane.ko is loaded and farlaned may open /dev/farlane/control."},
         [](Config& c, R r, Key k, Node n) {
             const std::string mode = r.choice(n, k, {"auto", "on", "off"});
             c.kernel.mode = mode == "on" ? KernelMode::on : mode == "off" ? KernelMode::off : KernelMode::automatic;
         }},
        {{"kernel", "ring_entries", "integer", "16384",
          "Transactions of a function that wait for its target before a driver's writes have to; a power of two, 64 "
          "to 65536."},
         [](Config& c, R r, Key k, Node n) {
             c.kernel.ring_entries = static_cast<std::uint32_t>(r.integer(n, k, 64, 65536, "a power of two"));
             if (!std::has_single_bit(c.kernel.ring_entries)) r.fail(n, "'ring_entries' is a power of two");
         }},

        {{"[port]", "name", "string", "", "Name of the port, for [[peer]] and statistics. Required."},
         [](Config& c, R r, Key k, Node n) { c.ports.back().name = checked_name(r, k, n); }},
        {{"[port]", "url", "port string", "", "What the port is (docs/ports.md), such as \"udp::4793\". Required."},
         [](Config& c, R r, Key k, Node n) { c.ports.back().url = r.text(n, k); }},
        {{"[port]", "listen", "boolean", "false", "Accept sessions of initiators on this port (target role)."},
         [](Config& c, R r, Key k, Node n) { c.ports.back().listen = r.boolean(n, k); }},

        {{"[peer]", "port", "string", "",
          "Port the target is reached on. May be left out when there is only one port."},
         [](Config& c, R r, Key k, Node n) { c.peers.back().single.port = checked_name(r, k, n); }},
        {{"[peer]", "address", "string", "\"\"",
          "Address of the target on that port (\"host:port\"); empty on point-to-point ports."},
         [](Config& c, R r, Key k, Node n) { c.peers.back().single.address = r.text(n, k); }},
        {{"[peer]", "paths", "list of tables", "",
          "Instead of `port` and `address`: up to 8 ways to the same target, each { port, address }. Frames are spread "
          "over those that are up; when one dies the others go on."},
         peer_paths},

        {{"[export]", "name", "string", "", "Name under which the function is listed. Required."},
         [](Config& c, R r, Key k, Node n) { c.exports.back().name = checked_name(r, k, n); }},
        {{"[export]", "device", "choice", "",
          "Kind of device: accel, cxl_mem, dma_test, nvme, serial, tally, virtio-blk, virtio-console, "
          "virtio-net or virtio-rng. Further keys are the device's own options. Required."},
         [](Config& c, R r, Key k, Node n) { c.exports.back().device = r.text(n, k); }},
    };
}

}  // namespace

const std::vector<KeyEntry>& key_entries() {
    static const std::vector<KeyEntry> entries = make_entries();
    return entries;
}

const std::vector<KeyRow>& config_keys() {
    static const std::vector<KeyRow> rows = [] {
        std::vector<KeyRow> all;
        for (const KeyEntry& e : key_entries()) all.push_back(e.row);
        return all;
    }();
    return rows;
}

std::string default_config() {
    std::string out = "# farlaned configuration with every key; docs/configuration.md\n";
    std::string section;
    for (const KeyRow& row : config_keys()) {
        const bool array = row.section[0] == '[';
        if (section != row.section) {
            section = row.section;
            out += std::string("\n") + (array ? "# " : "") + "[" + section + "]\n";
        }
        out += std::string("# ") + row.text + "\n";
        const bool has_default = row.fallback[0] != '\0' && !array;
        out += std::string(has_default ? "" : "# ") + row.name + " = " +
               (row.fallback[0] != '\0' ? row.fallback : std::string("<") + row.type + ">") + "\n";
    }
    return out;
}

}  // namespace farlane::daemon
