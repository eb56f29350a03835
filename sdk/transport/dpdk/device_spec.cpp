// SPDX-License-Identifier: Apache-2.0
// Receives: the device of a dpdk: port string. Hands on: what its driver needs and can do.
// Owns: the table of drivers.
#include "transport/dpdk/device_spec.hpp"

#include <algorithm>
#include <cctype>

namespace farlane::transport::dpdk {
namespace {

constexpr std::uint32_t kJumbo = 9600;
constexpr DriverTraits kDrivers[] = {
    {"net_vhost", "net_vhost", "iface", kJumbo, true, Interrupt::driver},
    {"net_virtio_user", "net_virtio", "path", kJumbo, true, Interrupt::socket},
    {"net_memif", "net_memif", "socket", kJumbo, true, Interrupt::ring},
    {"net_ring", "net_ring", "", kJumbo, true, Interrupt::none},
    // its MTU is the interface's; the key mtu says when that is larger than Ethernet's 1500
    {"net_af_packet", "net_af_packet", "iface", 1480, false, Interrupt::none},
    {"net_af_xdp", "net_af_xdp", "iface", 1480, false, Interrupt::none},
    {"net_tap", "net_tap", "", 1480, false, Interrupt::none},
};
constexpr DriverTraits kPci = {"", "bus_pci", "", 1480, false, Interrupt::none};

// "0000:03:00.0", or without the domain
bool is_pci_address(const std::string& name) {
    std::string shape;
    for (const char c : name) shape += std::isxdigit(static_cast<unsigned char>(c)) != 0 ? 'x' : c;
    return shape == "xxxx:xx:xx.x" || shape == "xx:xx.x";
}

std::string known_drivers() {
    std::string all;
    for (const DriverTraits& d : kDrivers)
        all += std::string(d.prefix) + "N" + (*d.required != 0 ? std::string(",") + d.required + "=..." : "") + ", ";
    return all + "or a PCI address as 0000:03:00.0";
}

const std::string* find(const Arguments& arguments, const std::string& key) {
    for (const auto& [name, value] : arguments)
        if (name == key) return &value;
    return nullptr;
}

void add_default(Arguments& arguments, const char* key, const char* value) {
    if (find(arguments, key) == nullptr) arguments.emplace_back(key, value);
}

void set_up_sockets(DeviceSpec& spec) {
    const std::string prefix = spec.traits->prefix;
    const auto is = [&spec](const char* key, const char* value) {
        const std::string* given = find(spec.arguments, key);
        return given != nullptr && *given == value;
    };
    if (prefix == "net_vhost") {
        spec.socket = *find(spec.arguments, "iface");
        spec.listens = !is("client", "1");
        add_default(spec.arguments, "queues", "1");
    } else if (prefix == "net_virtio_user") {
        spec.meeting = Meeting::virtio_user;
        spec.socket = *find(spec.arguments, "path");
        spec.listens = is("server", "1");
        add_default(spec.arguments, "queues", "1");
        // Frames of bulk pass all buffers of a ring in turn: so many stay in a second-level cache.
        add_default(spec.arguments, "queue_size", "128");
        add_default(spec.arguments, "packed_vq", "1");  // a round trip is a tenth shorter than over split rings
    } else if (prefix == "net_memif") {
        const bool server = is("role", "server") || is("role", "master");
        spec.meeting = server ? Meeting::memif_server : Meeting::memif_client;
        spec.socket = *find(spec.arguments, "socket");
        spec.listens = server;
        add_default(spec.arguments, "bsize", "10240");
        add_default(spec.arguments, "rsize", "8");
    }
}

}  // namespace

std::string DeviceSpec::kind() const {
    if (pci) return "dpdk:pci";
    return "dpdk:" + std::string(traits->prefix).substr(sizeof("net_") - 1);
}

std::string DeviceSpec::text(const Arguments& with) const {
    std::string all;
    for (const auto& [key, value] : with) all += (all.empty() ? "" : ",") + key + (value.empty() ? "" : "=" + value);
    return all;
}

void fit_frames(DeviceSpec& spec, std::uint32_t frame_bytes) {
    if (std::string(spec.traits->prefix) != "net_af_packet") return;
    // The kernel shares rings of fixed slots; blocks are whole pages, and a slot has to fit a buffer.
    const bool small = frame_bytes <= 1900;
    const std::uint32_t slot_bytes = small ? 2048 : 10240;
    add_default(spec.arguments, "framesz", small ? "2048" : "10240");
    add_default(spec.arguments, "blocksz", small ? "4096" : "20480");
    add_default(spec.arguments, "framecnt", "512");
    spec.buffer_bytes = slot_bytes;
}

Result<DeviceSpec> parse_device(const std::string& body, const Query& query) {
    DeviceSpec spec;
    std::string rest = body;
    while (!rest.empty()) {
        const std::string part = rest.substr(0, rest.find(','));
        rest.erase(0, part.size() + 1);
        if (part.empty()) return query.fail("there is an empty argument between two commas");
        const std::size_t equals = part.find('=');
        if (spec.name.empty())
            spec.name = part;
        else
            spec.arguments.emplace_back(part.substr(0, equals),
                                        equals == std::string::npos ? "" : part.substr(equals + 1));
    }
    spec.pci = is_pci_address(spec.name);
    if (spec.pci) spec.traits = &kPci;
    for (const DriverTraits& driver : kDrivers) {
        const std::string prefix = driver.prefix;
        if (!spec.name.starts_with(prefix) || spec.name.size() == prefix.size()) continue;
        if (std::all_of(spec.name.begin() + static_cast<std::ptrdiff_t>(prefix.size()), spec.name.end(),
                        [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; }))
            spec.traits = &driver;
    }
    if (spec.traits == nullptr)
        return query.fail("\"" + spec.name + "\" is not a device; valid: " + known_drivers() + " (N is any number)");
    const std::string required = spec.traits->required;
    const std::string* value = required.empty() ? nullptr : find(spec.arguments, required);
    if (!required.empty() && (value == nullptr || value->empty()))
        return query.fail(spec.name + " needs \"" + required + "=\"; valid: " + known_drivers());
    set_up_sockets(spec);
    if (spec.socket.size() > 100)
        return query.fail("the path of the socket is longer than the 100 characters that fit a socket address");
    return spec;
}

}  // namespace farlane::transport::dpdk
