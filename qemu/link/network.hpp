// SPDX-License-Identifier: Apache-2.0
// Receives: a configuration. Hands on: nodes joined by links, and their frames when they are due.
// Owns: all of them.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "capture.hpp"
#include "direction.hpp"
#include "loop.hpp"

namespace farlane::link {

/// Two ends and a direction from each to the other.
struct Link {
    std::string name;
    std::array<std::string, 2> ends;
    std::array<std::unique_ptr<Direction>, 2> directions;  ///< [0] leads from ends[0] to ends[1]
};

/// The network. It has no cycles, so a frame that is flooded ends.
class Network {
public:
    /// Throws std::runtime_error that names what is wrong: see config.cpp for the form.
    Network(const nlohmann::json& config, Loop& loop);

    /// Hands over what is due; true when there may be more at once.
    bool deliver_due(std::int64_t now_ns);
    [[nodiscard]] std::int64_t next_due_ns() const noexcept;

    [[nodiscard]] std::vector<std::unique_ptr<Link>>& links() noexcept { return links_; }
    [[nodiscard]] Capture& capture() noexcept { return capture_; }
    [[nodiscard]] nlohmann::json stats() const;

private:
    void add_endpoint(const std::string& name, const nlohmann::json& config, Loop& loop);
    void add_link(const std::string& name, const nlohmann::json& ends, std::uint32_t frame_bytes, std::uint64_t seed);
    Node& node(const std::string& name);

    std::map<std::string, std::unique_ptr<Node>> nodes_;
    std::map<std::string, std::string> tree_;  // node -> another of its connected part; checks for cycles
    std::vector<std::unique_ptr<Link>> links_;
    Capture capture_;
};

}  // namespace farlane::link
