// SPDX-License-Identifier: Apache-2.0
// Receives: dpdk: port strings. Hands on: them to the plugin that links DPDK, loaded here on
// first use, so that neither libfarlane nor its applications need DPDK to be there.
// Owns: the plugin, for ever: DPDK cannot be unloaded.
#include <filesystem>
#include <string>
#include <vector>

#include <dlfcn.h>

#include "transport/dpdk/device_spec.hpp"
#include "transport/openers.hpp"

namespace farlane::transport {
namespace {

namespace fs = std::filesystem;
constexpr const char* kFile = "libfarlane-port-dpdk.so";

// In this order: where the running program and libfarlane were installed or built, then the
// directories this was configured with.
std::vector<fs::path> candidates() {
    std::vector<fs::path> files;
    std::error_code ignored;
    const auto beside = [&files](const fs::path& directory) {
        for (const char* sub : {"", "farlane", "../lib", "../lib/farlane"})
            files.push_back((directory / sub / kFile).lexically_normal());
    };
    Dl_info self{};
    if (::dladdr(reinterpret_cast<const void*>(&open_dpdk), &self) != 0 && self.dli_fname != nullptr)
        beside(fs::absolute(self.dli_fname, ignored).parent_path());
    const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
    if (!program.empty()) beside(program.parent_path());
    files.push_back(fs::path(FARLANE_PLUGIN_INSTALL_DIR) / kFile);
    files.push_back(fs::path(FARLANE_PLUGIN_BUILD_DIR) / kFile);
    return files;
}

fs::path find_plugin() {
    std::error_code ignored;
    for (const fs::path& file : candidates())
        if (fs::is_regular_file(file, ignored)) return file;
    return {};
}

std::string no_plugin() {
    return std::string("the plugin ") + kFile + " is not installed beside libfarlane, the program or in " +
           FARLANE_PLUGIN_INSTALL_DIR + "; install it, or use udp:";
}

struct Plugin {
    DpdkOpen open = nullptr;
    std::string why_not;
};

Plugin load() {
    const fs::path file = find_plugin();
    if (file.empty()) return {nullptr, no_plugin()};
    void* const handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == nullptr)
        return {nullptr, std::string("the plugin cannot be loaded: ") + ::dlerror() +
                             "; install DPDK 22.11 (Debian: librte-eal23 and the librte-net packages), or use udp:"};
    const auto version = reinterpret_cast<DpdkVersion>(::dlsym(handle, kDpdkVersionSymbol));
    if (version == nullptr || std::string(version()) != FARLANE_PLUGIN_VERSION)
        return {nullptr, file.string() + " belongs to another version of Farlane than " + FARLANE_PLUGIN_VERSION};
    return {reinterpret_cast<DpdkOpen>(::dlsym(handle, kDpdkOpenSymbol)), {}};
}

}  // namespace

bool dpdk_available() {
    return !find_plugin().empty();
}

Result<bool> check_dpdk(const PortUrl& url, Query& query) {
    std::uint64_t mtu = 0;
    std::string eal;
    query.bytes("mtu", mtu, kMinFrameBytes, kMaxFrameBytes);
    query.text("eal", eal);
    if (auto failure = query.finish()) return *failure;
    if (auto spec = dpdk::parse_device(url.body, query); !spec) return spec.failure();
    if (!dpdk_available()) return query.fail(no_plugin(), Status::unsupported);
    return true;
}

Result<bool> check_dpdk_peer(const PortUrl& url, std::string_view address) {
    const Query query(url);
    auto spec = dpdk::parse_device(url.body, query);
    if (!spec) return spec.failure();
    if (!spec->traits->point_to_point || address.empty()) return true;
    return {Status::invalid, spec->kind() + " has exactly one peer: give no address"};
}

OpenedPort open_dpdk(const PortUrl& url, Query& query) {
    static const Plugin plugin = load();
    if (plugin.open == nullptr) return query.fail(plugin.why_not, Status::unsupported);
    OpenedPort port{Status::io, "the plugin gave no port"};
    plugin.open(url, query, port);
    return port;
}

}  // namespace farlane::transport
