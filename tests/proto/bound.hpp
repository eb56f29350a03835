// SPDX-License-Identifier: Apache-2.0
// Receives: limits of both ends. Hands on: one function, bound at both, in a simulated world. Owns: them.
#pragma once

#include <gtest/gtest.h>

#include "proto/endpoint.hpp"
#include "proto/sim.hpp"

namespace farlane::proto::sim {

struct Bound {
    explicit Bound(std::uint64_t seed = 1, const FunctionLimits& at_a = {}, const FunctionLimits& at_b = {},
                   std::uint32_t features_of_b = SessionConfig{}.features)
        : w(seed) {
        w.sides[1].config.features = features_of_b;
        EXPECT_TRUE(w.connect());
        EXPECT_EQ(w.target().bind(b.start(at_b), {}, w.now), Status::ok);
        EXPECT_EQ(w.initiator().bind(a.start(at_a), {}, w.now), Status::ok);
        w.run_for(5ms);
    }
    Status read(std::uint64_t cookie, std::uint16_t bytes = 8) {
        return a.function->request(read_tlp(0, bytes), {}, std::span(into).first(bytes), cookie, w.now);
    }
    Status write(std::uint64_t address, std::uint16_t bytes, bool relaxed = false, std::uint64_t cookie = 0) {
        return a.function->submit(write_tlp(address, bytes, relaxed), {data.data(), bytes}, cookie, cookie != 0, w.now);
    }
    bool until(const std::function<bool()>& done) { return w.run_until(done, 60s); }
    std::uint64_t drops(unsigned side, Drop d) {
        return w.sides[side].session->counters().drops[static_cast<unsigned>(d)];
    }
    void expect_clean() const {
        EXPECT_EQ(a.endpoint.complaint, "");
        EXPECT_EQ(b.endpoint.complaint, "");
    }
    // A frame with one transaction, as the peer of `side` would send it.
    void inject(unsigned side, const Tlp& t, FunctionHandle h, std::span<const std::byte> payload = {},
                std::size_t offset = 0) {
        std::array<std::byte, FL_FRAME_MAX_BYTES> out;
        FrameWriter f;
        const std::uint64_t number = 20'000 + injected++;
        f.begin(out, w.sides[side].session->session_id(), 0, number, 0, 0, FL_FRAME_CRC_BYTES);
        std::byte* to = f.tlp(t, h, offset, payload.size());
        ASSERT_NE(to, nullptr);
        if (!payload.empty()) std::memcpy(to, payload.data(), payload.size());
        const std::size_t n = f.finish();
        ClearSeal{}.seal(std::span(out).first(n), number);
        w.sides[side].session->on_frame(std::span(out).first(n), 0, w.now);
    }

    World w;
    Port a, b;
    std::vector<std::byte> data = std::vector<std::byte>(4096, std::byte{0x5a});
    std::vector<std::byte> into = std::vector<std::byte>(4096);
    std::uint64_t injected = 0;
};

}  // namespace farlane::proto::sim
