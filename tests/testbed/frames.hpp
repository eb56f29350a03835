// SPDX-License-Identifier: Apache-2.0
// Frames, and nodes that remember them, for tests of the link emulator.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "direction.hpp"
#include "node.hpp"
#include "packet.hpp"

namespace farlane::link::test {

/// Keeps what it receives, with the time.
class Ear final : public Node {
public:
    using Node::Node;
    void receive(std::size_t plug, Bytes frame, std::int64_t now_ns) override {
        frames.emplace_back(frame.begin(), frame.end());
        times_ns.push_back(now_ns);
        last_plug = plug;
    }
    [[nodiscard]] nlohmann::json stats() const override { return nlohmann::json::object(); }

    std::vector<Frame> frames;
    std::vector<std::int64_t> times_ns;
    std::size_t last_plug = SIZE_MAX;
};

/// A frame with a number in it, `size` bytes long.
inline Frame numbered(std::uint32_t number, std::size_t size = 64) {
    Frame frame(size, std::byte{0});
    std::memcpy(frame.data() + 20, &number, sizeof number);
    return frame;
}
inline std::uint32_t number_of(const Frame& frame) {
    std::uint32_t number = 0;
    std::memcpy(&number, frame.data() + 20, sizeof number);
    return number;
}

inline Frame frame_of(std::initializer_list<int> bytes) {
    Frame frame;
    for (const int b : bytes) frame.push_back(static_cast<std::byte>(b));
    return frame;
}

constexpr Mac kGuestMac{0x52, 0x54, 0, 0x77, 0, 1};
constexpr Mac kHostMac{0x02, 0x77, 0, 0x77, 0, 2};
constexpr std::uint32_t kGuestAddress = 0x0a4d0001, kHostAddress = 0x0a4d0002;

inline Frame guest_datagram(std::uint16_t from, std::uint16_t to, const std::string& text) {
    return make_udp({kGuestMac, kHostMac, kGuestAddress, kHostAddress, from, to}, std::as_bytes(std::span(text)));
}

inline Frame arp_request(std::uint32_t target) {
    Arp arp{true, kGuestMac, kGuestAddress, target};
    Frame frame = make_arp_reply(arp, kGuestMac);  // the same form; operation, targets and MACs differ
    const Mac broadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    std::memcpy(frame.data(), broadcast.data(), 6);
    frame[21] = std::byte{1};
    const std::uint32_t sender = __builtin_bswap32(kGuestAddress), wanted = __builtin_bswap32(target);
    std::memcpy(frame.data() + 28, &sender, 4);
    std::memcpy(frame.data() + 38, &wanted, 4);
    return frame;
}

}  // namespace farlane::link::test
