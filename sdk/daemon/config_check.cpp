// SPDX-License-Identifier: Apache-2.0
// Receives: a configuration that was read. Hands on: what would stop a start, found without opening
// anything. Owns: nothing.
#include <algorithm>

#include <sys/stat.h>

#include "backend/backend.hpp"
#include "daemon/config.hpp"
#include "transport/port.hpp"

namespace farlane::daemon {
namespace {

bool is_directory(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// A folder that the daemon makes itself needs no more than the one it stands in.
Result<bool> check_parent(const std::string& path, const char* key) {
    const std::string parent = path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
    if (parent == kRuntimeDirectory || is_directory(parent)) return true;
    return {Status::not_found, std::string("[daemon] ") + key + " = \"" + path + "\": the folder " + parent +
                                   " does not exist; make it, or name another place"};
}

Result<bool> check_work(const Config& c) {
    static const std::string kAdvice =
        "; to use devices of others add [[peer]] with their address, to offer devices set listen = true in a "
        "[[port]] and add [[export]] (docs/configuration.md)";
    if (c.ports.empty())
        return {Status::invalid,
                c.file + ": nothing to do: there is no [[port]]; add one with name and url, such as \"udp::4793\"" +
                    kAdvice};
    const bool listens = std::ranges::any_of(c.ports, &PortSettings::listen);
    if (!c.exports.empty() && !listens)
        return {Status::invalid, c.exports[0].where + ": nobody can reach [[export]] '" + c.exports[0].name +
                                     "': no [[port]] has listen = true; add it to one"};
    if (c.peers.empty() && !listens)
        return {Status::invalid,
                c.file + ": nothing to do: there is no [[peer]], and no [[port]] has listen = true" + kAdvice};
    return true;
}

}  // namespace

Result<bool> check_config(const Config& c) {
    for (const PortSettings& p : c.ports)
        if (const auto good = transport::check_port(p.url); !good)
            return {good.status(), p.where + ": [[port]] '" + p.name + "': " + good.failure().detail};
    for (const PeerSettings& peer : c.peers)
        for (const PathSettings& p : peer.paths) {
            const auto port = std::ranges::find(c.ports, p.port, &PortSettings::name);
            if (const auto good = transport::check_peer(port->url, p.address); !good)
                return {good.status(), p.where + ": [[peer]] address: " + good.failure().detail};
        }
    for (const ExportSettings& e : c.exports)
        if (const auto good = backend::check_device({e.name, e.device, e.options}); !good)
            return {good.status(), e.where + ": [[export]] " + good.failure().detail};
    return check_work(c);
}

Result<bool> check_folders(const Config& c) {
    if (auto socket = check_parent(c.daemon.socket, "socket"); !socket) return socket;
    if (!is_directory(c.daemon.state_dir))
        if (auto state = check_parent(c.daemon.state_dir, "state_dir"); !state) return state;
    const bool inside = c.daemon.persist_file.starts_with(c.daemon.state_dir + "/");
    return inside ? Result<bool>(true) : check_parent(c.daemon.persist_file, "persist_file");
}

}  // namespace farlane::daemon
