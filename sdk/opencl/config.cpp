// SPDX-License-Identifier: Apache-2.0
// Receives: a TOML file. Hands on: fabrics and names of accelerators, or the place of the first error.
// Owns: the path of the log.
#include "opencl/config.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>

#include <unistd.h>

#include <toml++/toml.h>

#include "opencl/api.hpp"

namespace farlane::opencl {
namespace {

constexpr const char* kVariable = "FARLANE_OPENCL_CONFIG";
constexpr std::size_t kMaxFileBytes = 1 << 20;
constexpr std::size_t kMaxEntries = 64;

[[noreturn]] void refuse(const std::string& path, const toml::node& at, const std::string& what) {
    throw Error(Status::invalid, path + ":" + std::to_string(at.source().begin.line) + ": " + what);
}

std::string text_of(const std::string& path, const toml::node& node, const std::string& key) {
    if (const auto text = node.value_exact<std::string>()) return *text;
    refuse(path, node, "'" + key + "' is a string");
}

std::chrono::milliseconds time_of(const std::string& path, const toml::node& node, const std::string& key) {
    const auto ms = node.value_exact<std::int64_t>();
    if (ms && *ms >= 1 && *ms <= 600000) return std::chrono::milliseconds(*ms);
    refuse(path, node, "'" + key + "' is a number of milliseconds from 1 to 600000");
}

void read_names(const std::string& path, const toml::node& node, std::vector<std::string>& names) {
    const auto* all = node.as_array();
    if (all == nullptr || all->size() > kMaxEntries) refuse(path, node, "'accelerators' is a list of up to 64 names");
    for (const auto& one : *all) names.push_back(text_of(path, one, "accelerators"));
}

void read_provider(const std::string& path, const toml::node& node, FabricOptions& options) {
    const std::string name = text_of(path, node, "provider");
    if (name == "daemon") {
        options.provider = ProviderKind::daemon;
    } else if (name == "embedded") {
        options.provider = ProviderKind::embedded;
    } else if (name == "kernel") {
        options.provider = ProviderKind::kernel;
    } else {
        refuse(path, node, "provider '" + name + "': one of daemon, embedded, kernel");
    }
}

FabricSource read_fabric(const std::string& path, const toml::node& node) {
    const auto* table = node.as_table();
    if (table == nullptr) refuse(path, node, "each [[fabric]] is a table");
    FabricSource f;
    f.options.connect_timeout = std::chrono::milliseconds(2000);
    for (const auto& [k, value] : *table) {
        const std::string key(k.str());
        if (key == "provider") {
            read_provider(path, value, f.options);
        } else if (key == "socket") {
            f.options.socket = text_of(path, value, key);
        } else if (key == "port") {
            f.options.port = text_of(path, value, key);
        } else if (key == "peer") {
            f.options.peer = text_of(path, value, key);
        } else if (key == "name") {
            f.options.name = text_of(path, value, key);
        } else if (key == "connect_timeout_ms") {
            f.options.connect_timeout = time_of(path, value, key);
        } else if (key == "keepalive_ms") {
            f.options.keepalive = time_of(path, value, key);
        } else if (key == "accelerators") {
            read_names(path, value, f.accelerators);
        } else {
            refuse(path, value,
                   "unknown key '" + key +
                       "' in [[fabric]]; valid: provider, socket, port, peer, name, "
                       "connect_timeout_ms, keepalive_ms, accelerators");
        }
    }
    return f;
}

std::optional<std::string> read_file(const std::string& path) {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) throw Error(Status::io, path + ": is a directory");
    std::ifstream in(path, std::ios::binary);
    if (!in) return std::nullopt;
    std::string text(kMaxFileBytes + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    if (text.size() > kMaxFileBytes) throw Error(Status::invalid, path + ": more than 1 MiB");
    return text;
}

/// Variables of the environment are not for a program that runs with rights its user has not.
const char* variable(const char* name) {
    const char* value = secure_getenv(name);
    return value != nullptr && *value != '\0' ? value : nullptr;
}

std::vector<std::string> usual_paths() {
    std::vector<std::string> paths;
    if (const char* config = variable("XDG_CONFIG_HOME")) {
        paths.push_back(std::string(config) + "/farlane/opencl.toml");
    } else if (const char* home = variable("HOME")) {
        paths.push_back(std::string(home) + "/.config/farlane/opencl.toml");
    }
    paths.emplace_back("/etc/farlane/opencl.toml");
    return paths;
}

std::mutex log_mutex;
std::string log_path;

}  // namespace

Config parse_config(const std::string& text, const std::string& path) {
    Config c;
    try {
        const toml::table all = toml::parse(text, path);
        for (const auto& [k, value] : all) {
            const std::string key(k.str());
            if (key == "log") {
                c.log = text_of(path, value, key);
            } else if (key == "fabric") {
                const auto* list = value.as_array();
                if (list == nullptr || list->size() > kMaxEntries) refuse(path, value, "[[fabric]] up to 64 times");
                for (const auto& one : *list) c.fabrics.push_back(read_fabric(path, one));
            } else {
                refuse(path, value, "unknown key '" + key + "'; valid: log, [[fabric]]");
            }
        }
    } catch (const toml::parse_error& e) {
        throw Error(Status::invalid,
                    path + ":" + std::to_string(e.source().begin.line) + ": " + std::string(e.description()));
    }
    return c;
}

/// Of a file with an error elsewhere.
static std::string log_of(const std::string& text) noexcept {
    try {
        return toml::parse(text)["log"].value_or(std::string());
    } catch (...) {
        return {};
    }
}

/// Nothing, when there is no such file.
static std::optional<Config> config_from(const std::string& path) {
    Config c;
    try {
        const auto text = read_file(path);
        if (!text) return std::nullopt;
        c.log = log_of(*text);
        c = parse_config(*text, path);
        if (c.fabrics.empty()) throw Error(Status::invalid, path + ": has no [[fabric]]");
    } catch (const Error& e) {
        c.trouble = e.detail() + "; correct that file (docs/opencl.md)";
    }
    c.file = path;
    return c;
}

Config load_config() {
    if (const char* named = variable(kVariable)) {
        errno = 0;
        if (auto config = config_from(named)) return *config;
        Config c;
        c.file = named;
        c.trouble =
            c.file + " can not be read (" + std::strerror(errno) + "); correct or unset $" + std::string(kVariable);
        return c;
    }
    for (const std::string& path : usual_paths()) {
        if (auto config = config_from(path)) return *config;
    }
    Config local;
    local.fabrics.emplace_back();
    return local;
}

void set_log(const std::string& where) {
    const std::lock_guard lock(log_mutex);
    log_path = where;
}

static std::string line_of(const std::string& text) {
    return "farlane-opencl[" + std::to_string(getpid()) + "]: " + text + "\n";
}

void tell_user(const std::string& file, const std::vector<std::string>& troubles) noexcept {
    try {
        if (troubles.empty()) return;
        std::string all = troubles.front();
        if (all.find(file) == std::string::npos) all = file + ": " + all;
        const std::size_t more = troubles.size() - 1;
        if (more != 0) all += " (" + std::to_string(more) + " more: set log = \"stderr\" there)";
        std::replace(all.begin(), all.end(), '\n', ' ');
        std::fputs(line_of(all).c_str(), stderr);
    } catch (...) {
        // As below.
    }
}

void log_line(const std::string& text) noexcept {
    try {
        const std::lock_guard lock(log_mutex);
        if (log_path.empty()) return;
        const std::string line = line_of(text);
        if (log_path == "stderr") {
            std::fputs(line.c_str(), stderr);
        } else {
            std::ofstream(log_path, std::ios::app) << line;
        }
    } catch (...) {
        // A log that can not be written is no reason to fail.
    }
}

void log_error(const char* where, const Error& error) noexcept {
    try {
        log_line(std::string(where) + ": " + error.detail());
    } catch (...) {
        // As above.
    }
}

cl_int code_of(const Error& error) noexcept {
    switch (error.status()) {
        case Status::no_memory: return CL_MEM_OBJECT_ALLOCATION_FAILURE;
        default: return CL_OUT_OF_RESOURCES;
    }
}

}  // namespace farlane::opencl
