// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: what all ends of links have in common. Owns: nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace farlane::link {

using Bytes = std::span<const std::byte>;

class Direction;

/// What a link ends at: a virtual NIC, a native host or a switch.
class Node {
public:
    explicit Node(std::string name) : name_(std::move(name)) {}
    virtual ~Node() = default;
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// A frame arrived over the link that is plugged in at `plug`. It is only valid during the call.
    virtual void receive(std::size_t plug, Bytes frame, std::int64_t now_ns) = 0;
    /// Counters, for people and tests.
    [[nodiscard]] virtual nlohmann::json stats() const = 0;

    /// The direction that leads away from here; the index is the plug. Set up once.
    std::size_t plug_in(Direction& out) {
        out_.push_back(&out);
        return out_.size() - 1;
    }
    [[nodiscard]] std::size_t plugs() const noexcept { return out_.size(); }

protected:
    [[nodiscard]] Direction& out(std::size_t plug) const noexcept { return *out_[plug]; }

private:
    std::string name_;
    std::vector<Direction*> out_;
};

}  // namespace farlane::link
