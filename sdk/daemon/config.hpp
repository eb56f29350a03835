// SPDX-License-Identifier: Apache-2.0
// Receives: a TOML file. Hands on: a checked configuration. Owns: nothing.
// Every key, its default and its meaning: config_keys.cpp and docs/configuration.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <farlane/status.hpp>

namespace farlane::daemon {

struct DaemonSettings {
    std::string name;  ///< default: host name
    std::string socket = "/run/farlane/farlaned.sock";
    std::uint32_t socket_mode = 0660;
    std::string socket_group;
    std::string state_dir;  ///< default: /run/farlane/<name>
    std::string log_level = "info";
    std::string persist_file;  ///< default: attachments.json in state_dir
    bool persist = false;      ///< what `farlane attach` does unless it is told
    std::string instance;      ///< 32 hex digits; "" = kept in state_dir
    std::uint32_t share_places = 8;
};

struct LaneSettings {
    std::chrono::microseconds spin{50};
    bool never_sleep = false;
    std::optional<unsigned> cpu;
};

struct SessionSettings {
    std::chrono::milliseconds keepalive{300};
    std::chrono::milliseconds reconnect_delay{100};
    std::chrono::milliseconds grace{10000};
    std::chrono::milliseconds completion_timeout{3000};
    bool integrity = true;
};

/// Whether attached functions appear on this host's PCI bus.
enum class KernelMode : std::uint8_t { automatic, on, off };

struct KernelSettings {
    KernelMode mode = KernelMode::automatic;
    std::uint32_t ring_entries = 16384;
};

struct PortSettings {
    std::string name;
    std::string url;
    bool listen = false;
    std::string where;  ///< file:line, for errors found later
};

constexpr std::size_t kMaxPaths = 8;  ///< of one peer

/// One way to a peer.
struct PathSettings {
    std::string port;  ///< name of a port; "" = the only one
    std::string address;
    std::string where;  ///< file:line, for errors found later
};

struct PeerSettings {
    PathSettings single;              ///< as written with `port` and `address`
    std::vector<PathSettings> paths;  ///< all of them, at least one once the file was read
    std::string where;                ///< file:line, for errors found later
};

struct ExportSettings {
    std::string name;
    std::string device;
    std::vector<std::pair<std::string, std::string>> options;
    std::string where;
    friend bool operator==(const ExportSettings& a, const ExportSettings& b) {
        return a.name == b.name && a.device == b.device && a.options == b.options;
    }
};

struct Config {
    std::string file;
    DaemonSettings daemon;
    LaneSettings lane;
    SessionSettings session;
    KernelSettings kernel;
    std::vector<PortSettings> ports;
    std::vector<PeerSettings> peers;
    std::vector<ExportSettings> exports;
};

/// Reads and checks a file. The failure's detail is "file:line:column: what is wrong; what is valid".
[[nodiscard]] Result<Config> read_config(const std::string& path);
/// The same from text; `name` stands for the file in errors.
[[nodiscard]] Result<Config> parse_config(std::string_view text, const std::string& name);

/// What a start would refuse although the file is well-formed: nothing to do, port strings, addresses of peers,
/// devices and their options. Opens nothing. The failure names the place and what is valid.
[[nodiscard]] Result<bool> check_config(const Config& config);
/// not_found when the folder of the socket or of state_dir is missing.
[[nodiscard]] Result<bool> check_folders(const Config& config);
/// The one folder that is made when it is missing: where socket and state are unless told otherwise.
inline constexpr const char* kRuntimeDirectory = "/run/farlane";

/// One row of the table of keys.
struct KeyRow {
    const char* section;  ///< "daemon", ..., "[port]" for arrays of tables
    const char* name;
    const char* type;      ///< for people
    const char* fallback;  ///< as it would stand in the file; "" = none, see `text`
    const char* text;
};
[[nodiscard]] const std::vector<KeyRow>& config_keys();
/// A configuration file with every key at its default, as text.
[[nodiscard]] std::string default_config();
/// The candidate that `wrong` is most likely meant to be, or "".
[[nodiscard]] std::string nearest(std::string_view wrong, const std::vector<std::string>& candidates);

}  // namespace farlane::daemon
