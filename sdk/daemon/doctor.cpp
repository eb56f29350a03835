// SPDX-License-Identifier: Apache-2.0
// Receives: the host and the build. Hands on: what an operator needs to find out why something
// does not work. Owns: nothing. docs/control-socket.md, "doctor".
#include <algorithm>
#include <fstream>
#include <sstream>

#include <sys/resource.h>
#include <unistd.h>

#include "daemon/verbs.hpp"
#include "daemon/version.hpp"
#include "lib/daemon_ring.hpp"

namespace farlane::daemon {
namespace {

std::uint64_t meminfo(const std::string& key) {
    std::ifstream in("/proc/meminfo");
    std::string line;
    while (std::getline(in, line)) {
        std::istringstream parts(line);
        std::string name;
        std::uint64_t value = 0;
        if (parts >> name >> value && name == key + ":") return value;
    }
    return 0;
}

std::uint64_t resident_bytes() {
    std::ifstream in("/proc/self/statm");
    std::uint64_t total = 0, resident = 0;
    in >> total >> resident;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t limit(__rlimit_resource what) {
    rlimit r{};
    (void)::getrlimit(what, &r);
    constexpr std::uint64_t kMost = std::uint64_t{1} << 53;  // what JSON readers take
    return std::min<std::uint64_t>(r.rlim_cur, kMost);
}

Json check(const char* name, const char* status, const std::string& detail, const std::string& hint) {
    return {{"name", name}, {"status", status}, {"detail", detail}, {"hint", hint}};
}

Json check_peers(const Json& peers) {
    std::size_t open = 0;
    std::string silent;
    for (const Json& p : peers) {
        if (p.at("state") == "open") {
            ++open;
            continue;
        }
        silent += (silent.empty() ? "" : ", ") + p.at("port").get<std::string>() + " " +
                  p.at("address").get<std::string>() + " (" + p.at("state").get<std::string>() + ")";
    }
    if (peers.empty()) return check("peers", "ok", "none configured: this daemon is no initiator", "");
    const std::string detail = std::to_string(open) + " of " + std::to_string(peers.size()) + " answer";
    if (open == peers.size()) return check("peers", "ok", detail, "");
    return check("peers", open == 0 ? "fail" : "warn", detail + "; silent: " + silent,
                 "is farlaned running there with [[port]] listen = true, and does a firewall let its port through?");
}

Json check_ports(const Json& ports) {
    std::string down;
    for (const Json& p : ports)
        if (p.at("link_up") == false) down += (down.empty() ? "" : ", ") + p.at("name").get<std::string>();
    if (ports.empty())
        return check("ports", "warn", "none configured: nothing can be reached", "add a [[port]], see docs/ports.md");
    if (down.empty()) return check("ports", "ok", std::to_string(ports.size()) + " open, all links up", "");
    return check("ports", "warn", "link down: " + down, "start the other end of the port");
}

// Of peers that answer; one that does not is the row above.
Json check_paths(const Json& peers) {
    std::size_t all = 0, up = 0;
    std::string names;
    for (const Json& peer : peers) {
        if (peer.at("state") != "open") continue;
        for (const Json& path : peer.at("paths")) {
            ++all;
            if (path.at("usable").get<bool>()) {
                ++up;
                continue;
            }
            names += (names.empty() ? ": " : ", ") + path.at("port").get<std::string>() + " to " +
                     path.at("address").get<std::string>();
        }
    }
    if (all == 0) return check("paths", "ok", peers.empty() ? "none" : "none: no peer answers", "");
    const std::string detail = std::to_string(up) + " of " + std::to_string(all) + " paths to peers are up";
    if (up == all) return check("paths", "ok", detail, "");
    return check("paths", "warn", "only " + detail + "; not" + names,
                 "look at that network; the peer needs a [[port]] with listen = true there");
}

}  // namespace

Json doctor_json(const Config& config, const Identity& identity) {
    const channel::Geometry geometry;
    return {{"version", kVersion},
            {"protocol", control::kProtocolVersion},
            {"wire_version", FL_WIRE_VERSION},
            {"build",
             {{"type", kBuildType},
              {"compiler", kCompiler},
              {"dpdk", kHasDpdk},
              {"sanitizer", kSanitizer},
              {"port_kinds", transport::port_kinds()},
              {"device_kinds", backend::device_kinds()}}},
            {"daemon",
             {{"name", config.daemon.name},
              {"instance", to_hex(identity.instance)},
              {"pid", ::getpid()},
              {"uid", ::geteuid()},
              {"socket", config.daemon.socket},
              {"state_dir", config.daemon.state_dir},
              {"config", config.file},
              {"insecure", true}}},
            {"memory",
             {{"resident_bytes", resident_bytes()},
              {"memlock_limit_bytes", limit(RLIMIT_MEMLOCK)},
              {"huge_page_bytes", meminfo("Hugepagesize") * 1024},
              {"huge_pages_total", meminfo("HugePages_Total")},
              {"huge_pages_free", meminfo("HugePages_Free")}}},
            {"limits",
             {{"open_files", limit(RLIMIT_NOFILE)},
              {"max_clients", kMaxClients},
              {"max_attachments", kMaxAttachments},
              {"max_request_bytes", control::kMaxRequestBytes},
              {"max_reply_bytes", control::kMaxReplyBytes},
              {"max_fds_per_message", control::kMaxFdsPerMessage},
              {"max_outstanding", kMaxOutstanding},
              {"max_buffers", kMaxBuffers},
              {"max_mappings", kMaxMappings},
              {"channel_bytes", geometry.total_bytes()}}}};
}

Json doctor_checks(const Json& doctor) {
    Json rows = Json::array();
    rows.push_back(check_ports(doctor.at("ports")));
    rows.push_back(check_peers(doctor.at("peers")));
    rows.push_back(check_paths(doctor.at("peers")));
    const std::size_t exports = doctor.at("exports").get<std::size_t>();
    rows.push_back(check("exports", "ok",
                         exports == 0 ? "nothing is exported: this daemon is no target"
                                      : std::to_string(exports) + " function(s) exported",
                         ""));
    rows.push_back(kernel_doctor_check(doctor.at("kernel")));
    rows.push_back(check("encryption", "warn", "frames are clear text with a checksum",
                         "use it only on a network where every host is trusted"));
    const std::uint64_t files = doctor.at("limits").at("open_files").get<std::uint64_t>();
    rows.push_back(files >= 1024 ? check("open files", "ok", std::to_string(files), "")
                                 : check("open files", "warn", std::to_string(files) + " allowed",
                                         "raise LimitNOFILE to 1024 or more"));
    const std::uint64_t huge = doctor.at("memory").at("huge_pages_free").get<std::uint64_t>();
    rows.push_back(check("huge pages", "ok",
                         huge == 0 ? "none free: ordinary pages are used" : std::to_string(huge) + " free",
                         huge == 0 ? "optional: sysctl vm.nr_hugepages=64 makes large DMA buffers cheaper" : ""));
    const bool root = doctor.at("daemon").at("uid") == 0;
    rows.push_back(check("privileges", root ? "warn" : "ok",
                         root ? "runs as root and keeps all privileges it was given" : "runs unprivileged",
                         root ? "run it as a user of its own (farlaned.service shows how)" : ""));
    return rows;
}

}  // namespace farlane::daemon
