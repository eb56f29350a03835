// SPDX-License-Identifier: Apache-2.0
// Receives: frames of several links. Hands on: each to the link where its destination was last
// seen, or to all others. Owns: the table of addresses.
#pragma once

#include <map>

#include "node.hpp"
#include "packet.hpp"

namespace farlane::link {

/// A learning Ethernet switch with a bounded table.
class Switch final : public Node {
public:
    static constexpr std::size_t kMostAddresses = 256;

    using Node::Node;
    void receive(std::size_t plug, Bytes frame, std::int64_t now_ns) override;
    [[nodiscard]] nlohmann::json stats() const override;

private:
    std::map<Mac, std::size_t> seen_at_;
    std::uint64_t flooded_ = 0, forwarded_ = 0, malformed_ = 0;
};

}  // namespace farlane::link
