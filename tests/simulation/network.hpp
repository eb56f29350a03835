// SPDX-License-Identifier: Apache-2.0
// Receives: links with a rate, a buffer and faults, and sessions that share them. Hands on: what the product's own
// protocol does there, in simulated time. Owns: the clock, the frames on their way. The same seed gives the same run.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <span>
#include <vector>

#include "proto/silent_handler.hpp"

namespace farlane::simulation {

using namespace std::chrono_literals;
using proto::Duration;
using proto::Time;

/// Bytes that a frame costs on Ethernet besides itself: preamble, header, check value, gap, IPv4, UDP.
constexpr std::uint32_t kWireOverheadBytes = 66;

/// The same numbers on every machine.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 0x1234567) {}
    std::uint64_t next();
    std::uint64_t below(std::uint64_t n) { return n == 0 ? 0 : (next() >> 11) % n; }
    bool chance(double p) { return p > 0 && static_cast<double>(next() >> 11) * 0x1p-53 < p; }

private:
    std::uint64_t state_;
};

struct LinkConfig {
    double bits_per_s = 10e9;
    std::uint64_t buffer_bytes = 1 << 20;  ///< waits in front of the link; what is more is dropped
    double loss = 0, duplicate = 0, reorder = 0;
    Duration reorder_by = 500us;    ///< extra time of a frame that is overtaken
    unsigned copies = 1;            ///< extra copies of a duplicated frame
    std::uint32_t mtu_bytes = ~0u;  ///< larger frames vanish
    bool down = false;
};

/// One direction of a link: first in, first out, with a finite buffer.
class Link {
public:
    explicit Link(const LinkConfig& c) : config(c) {}

    LinkConfig config;
    std::uint64_t carried = 0, lost = 0, overflowed = 0, most_queued_bytes = 0;

    /// When the last bit of a frame leaves it; kNever = the buffer is full.
    [[nodiscard]] Time pass(std::size_t frame_bytes, Time now);

private:
    Time busy_until_{};
};

/// What makes and takes transactions at one end of a session.
class Load {
public:
    virtual ~Load() = default;
    /// Submits what it wants to; called on every turn of its end.
    virtual void feed(Time now) = 0;
    /// When it wants a turn although nothing happens.
    [[nodiscard]] virtual Time wake_at() const { return proto::kNever; }
};

struct PathPlan {
    Link* down = nullptr;  ///< initiator to target
    Link* up = nullptr;    ///< target to initiator
    Duration delay{};      ///< each way
    proto::PathConfig config{.max_frame_bytes = 8972, .reliable_mtu = true};
};

constexpr unsigned kInitiator = 0, kTarget = 1;

class Network {
public:
    explicit Network(std::uint64_t seed) : random(seed) {}

    Link& add_link(const LinkConfig& c);
    /// A session over `plans`, which begins with its hello at once. Returns its number.
    unsigned add_session(const std::vector<PathPlan>& plans, const proto::SessionConfig& base = {});
    [[nodiscard]] proto::Session& session(unsigned number, unsigned side) {
        return *pairs_[number]->ends[side].session;
    }
    [[nodiscard]] bool has_session(unsigned number, unsigned side) const {
        return pairs_[number]->ends[side].session != nullptr;
    }
    [[nodiscard]] bool is_open(unsigned number) const;
    void add_load(unsigned number, unsigned side, Load& load) { pairs_[number]->ends[side].loads.push_back(&load); }

    /// Every end gets a turn at once.
    void touch();
    /// The process of one side gets no turn for so long. What has come meanwhile it takes then, path by path.
    void stand_still(unsigned side, Duration d) { away_until_[side] = now + d; }
    /// Runs until `done`, at most for `limit`. False = time is up.
    bool run_until(const std::function<bool()>& done, Duration limit);
    void run_for(Duration d) {
        (void)run_until([] { return false; }, d);
    }

    /// Memory of the frames on their way, which no product has.
    [[nodiscard]] std::size_t frame_memory_bytes() const {
        return buffers_ * (FL_FRAME_MAX_BYTES + 16) + flying_.capacity() * sizeof(Flying) +
               free_.capacity() * sizeof(free_[0]);
    }

    Random random;
    Time now{1s};
    /// Moves the clock that the sessions of one side see.
    std::array<Duration, 2> clock_offset{};
    /// Sees every frame before its link does; false = it vanishes.
    std::function<bool(unsigned number, unsigned from, std::span<std::byte> frame)> tap;

private:
    struct End {
        proto::SessionConfig config;
        proto::test::SilentHandler host;
        std::unique_ptr<proto::Session> session;
        std::vector<Load*> loads;
        bool touched = false;
    };
    struct Pair {
        std::vector<PathPlan> plans;
        std::array<End, 2> ends;
    };
    struct Flying {
        Time at;
        std::uint64_t order;
        unsigned pair, to;
        proto::PathId path;
        std::size_t bytes;
        std::unique_ptr<std::byte[]> frame;
        bool put_off = false;
    };
    struct Later {
        bool operator()(const Flying& a, const Flying& b) const {
            return a.at != b.at ? a.at > b.at : a.order > b.order;
        }
    };

    [[nodiscard]] Time next_event() const;
    void step();
    void turn(unsigned number, unsigned side);
    void send(unsigned number, unsigned from, proto::PathId path, std::span<std::byte> frame);
    void launch(unsigned number, unsigned from, proto::PathId path, std::span<const std::byte> frame, Time at);
    void receive(Flying& f);
    void come_back();
    void put_off(Flying f, Time at);
    [[nodiscard]] bool away(unsigned side) const { return now < away_until_[side]; }
    [[nodiscard]] Time clock(unsigned side) const { return now + clock_offset[side]; }
    [[nodiscard]] std::unique_ptr<std::byte[]> buffer();

    std::vector<std::unique_ptr<Link>> links_;
    std::vector<std::unique_ptr<Pair>> pairs_;
    std::vector<Flying> flying_;  // a heap
    std::vector<Flying> held_;    // for a side that is away
    std::array<Time, 2> away_until_{};
    std::array<std::array<Time, 8>, 2> taken_until_{};  // by side and path: when it has taken what it held
    std::vector<std::unique_ptr<std::byte[]>> free_;
    std::size_t buffers_ = 0;
    std::uint64_t order_ = 0;
};

}  // namespace farlane::simulation
