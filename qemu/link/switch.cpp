// SPDX-License-Identifier: Apache-2.0
// Receives: frames of several links. Hands on: each to the link where its destination was last
// seen, or to all others. Owns: the table of addresses.
#include "switch.hpp"

#include <nlohmann/json.hpp>

#include "direction.hpp"

namespace farlane::link {

void Switch::receive(std::size_t plug, Bytes frame, std::int64_t now_ns) {
    const auto ethernet = parse_ethernet(frame);
    if (!ethernet) {
        ++malformed_;
        return;
    }
    const bool group_source = (ethernet->from[0] & 1) != 0;
    if (!group_source && (seen_at_.size() < kMostAddresses || seen_at_.contains(ethernet->from)))
        seen_at_[ethernet->from] = plug;
    const auto found = seen_at_.find(ethernet->to);
    if (found != seen_at_.end()) {
        ++forwarded_;
        if (found->second != plug) out(found->second).send(frame, now_ns);
        return;
    }
    ++flooded_;
    for (std::size_t other = 0; other < plugs(); ++other)
        if (other != plug) out(other).send(frame, now_ns);
}

nlohmann::json Switch::stats() const {
    return {{"kind", "switch"},
            {"addresses", seen_at_.size()},
            {"forwarded", forwarded_},
            {"flooded", flooded_},
            {"malformed", malformed_}};
}

}  // namespace farlane::link
