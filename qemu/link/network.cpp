// SPDX-License-Identifier: Apache-2.0
// Receives: a configuration. Hands on: nodes joined by links, and their frames when they are due.
// Owns: all of them.
#include "network.hpp"

#include <algorithm>
#include <stdexcept>

#include "config.hpp"
#include "native_host.hpp"
#include "stream_nic.hpp"
#include "switch.hpp"

namespace farlane::link {
namespace {

constexpr std::size_t kBatch = 64;  // frames of a direction before it is the next one's turn
constexpr std::uint32_t kVlanTagBytes = 4;
constexpr std::uint64_t kDirectionSalt = 0x9e3779b97f4a7c15;

}  // namespace

Network::Network(const nlohmann::json& config, Loop& loop) {
    const Keys keys(config, "the configuration", {"control", "pcap", "mtu", "seed", "endpoints", "switches", "links"});
    const auto mtu = keys.number("mtu", 9000, 68, 65535);
    const auto seed = keys.number("seed", 1, 0, std::uint64_t{1} << 53);
    for (const auto& [name, endpoint] : keys.object("endpoints").items()) add_endpoint(name, endpoint, loop);
    for (const auto& name : keys.names("switches")) {
        if (!nodes_.emplace(name, std::make_unique<Switch>(name)).second)
            throw std::runtime_error("'" + name + "' is there twice");
    }
    const auto frame_bytes = static_cast<std::uint32_t>(mtu + kEthernetBytes + kVlanTagBytes);
    for (const auto& [name, ends] : keys.object("links").items()) add_link(name, ends, frame_bytes, seed);
    if (links_.empty()) throw std::runtime_error("there is no link");
    for (const auto& [name, each] : nodes_)
        if (each->plugs() == 0) throw std::runtime_error("'" + name + "' is on no link");
    const std::string pcap = keys.text("pcap", "");
    if (!pcap.empty()) capture_.open(pcap);
}

void Network::add_endpoint(const std::string& name, const nlohmann::json& config, Loop& loop) {
    const Keys keys(config, "endpoint '" + name + "'", {"stream", "native"});
    if (config.size() != 1) throw std::runtime_error("endpoint '" + name + "' is either 'stream' or 'native'");
    std::unique_ptr<Node> node;
    if (config.contains("stream")) {
        node = std::make_unique<StreamNic>(name, keys.text("stream", ""), loop);
    } else {
        node = std::make_unique<NativeHost>(name, read_native(config.at("native"), name), loop);
    }
    nodes_.emplace(name, std::move(node));
}

Node& Network::node(const std::string& name) {
    const auto found = nodes_.find(name);
    if (found == nodes_.end()) throw std::runtime_error("a link ends at '" + name + "', which is not there");
    return *found->second;
}

void Network::add_link(const std::string& name, const nlohmann::json& ends, std::uint32_t frame_bytes,
                       std::uint64_t seed) {
    if (!ends.is_array() || ends.size() != 2 || !ends[0].is_string() || !ends[1].is_string())
        throw std::runtime_error("link '" + name + "' needs two ends, such as [\"i0\", \"t0\"]");
    auto link = std::make_unique<Link>();
    link->name = name;
    link->ends = {ends[0].get<std::string>(), ends[1].get<std::string>()};
    std::array<Node*, 2> at{&node(link->ends[0]), &node(link->ends[1])};
    auto part = [this](std::string of) {
        while (tree_.contains(of)) of = tree_[of];
        return of;
    };
    const std::string first = part(link->ends[0]), second = part(link->ends[1]);
    if (first == second) throw std::runtime_error("link '" + name + "' closes a cycle: frames would never end");
    tree_[first] = second;
    for (std::size_t i = 0; i < 2; ++i) {
        if (at[i]->plugs() > 0 && dynamic_cast<Switch*>(at[i]) == nullptr)
            throw std::runtime_error("'" + link->ends[i] + "' is on a link already; only a switch can be on several");
    }
    for (std::size_t i = 0; i < 2; ++i) {
        const Direction::Geometry geometry{frame_bytes, seed, kDirectionSalt * (links_.size() * 2 + i + 1)};
        // the plug at the far end is the number it gets when its own direction is plugged in below
        link->directions[i] = std::make_unique<Direction>(*at[1 - i], at[1 - i]->plugs(), geometry);
        link->directions[i]->watch([this](Bytes frame) { capture_.write(frame); });
    }
    for (std::size_t i = 0; i < 2; ++i) at[i]->plug_in(*link->directions[i]);
    links_.push_back(std::move(link));
}

bool Network::deliver_due(std::int64_t now_ns) {
    bool any = false;
    for (const auto& link : links_)
        for (const auto& direction : link->directions) any = direction->deliver(now_ns, kBatch) || any;
    return any;
}

std::int64_t Network::next_due_ns() const noexcept {
    std::int64_t next = INT64_MAX;
    for (const auto& link : links_)
        for (const auto& direction : link->directions) next = std::min(next, direction->next_due_ns());
    return next;
}

nlohmann::json Network::stats() const {
    nlohmann::json out{{"links", nlohmann::json::object()},
                       {"nodes", nlohmann::json::object()},
                       {"capture", capture_.stats()},
                       {"delivered", 0}};
    std::uint64_t all = 0;
    for (const auto& link : links_) {
        auto& entry = out["links"][link->name];
        std::uint64_t delivered = 0;
        for (std::size_t i = 0; i < 2; ++i) {
            entry["from"][link->ends[i]] = link->directions[i]->stats();
            delivered += link->directions[i]->counters().delivered;
        }
        entry["delivered"] = delivered;
        all += delivered;
    }
    for (const auto& [name, node] : nodes_) out["nodes"][name] = node->stats();
    out["delivered"] = all;
    return out;
}

}  // namespace farlane::link
