// SPDX-License-Identifier: Apache-2.0
// Receives: the name of a medium. Hands on: the barest way to send and receive frames on it.
// Owns: nothing. One implementation per medium: wire_dpdk.cpp, wire_udp.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace limits {

constexpr std::uint32_t kMaxBurst = 32;

/// One end of a medium with its driver's own buffers in between. `write` fills frame i of a burst
/// in place; `read` gets each frame in place.
class Wire {
public:
    using Write = std::function<void(std::byte* frame, std::uint32_t i)>;
    using Read = std::function<void(const std::byte* frame, std::uint32_t bytes)>;
    virtual ~Wire() = default;
    /// Sends up to `count` frames of `bytes`; returns how many the medium took.
    virtual std::uint32_t send(std::uint32_t count, std::uint32_t bytes, const Write& write) = 0;
    virtual std::uint32_t receive(std::uint32_t most, const Read& read) = 0;
    [[nodiscard]] virtual bool ready() { return true; }
};

/// `medium`: vhost, memif (DPDK), udp. `end`: 0 or 1. `socket`: path for the first two, port
/// number of end 0 for udp (end 1 has the next one).
std::unique_ptr<Wire> open_wire(const std::string& medium, int end, const std::string& socket);
std::unique_ptr<Wire> open_dpdk_wire(const std::string& medium, int end, const std::string& socket);
std::unique_ptr<Wire> open_udp_wire(int end, int port);

}  // namespace limits
