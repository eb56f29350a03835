// SPDX-License-Identifier: Apache-2.0
// Receives: frames at one end of a link. Hands on: them at the other end, as a bad cable would.
// Owns: the frames on the way.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include <farlane/status.hpp>

#include "node.hpp"
#include "transport/fault/line.hpp"

namespace farlane::link {

/// Keys as in a fault+ port string (docs/ports.md) with their values.
using Impairments = std::map<std::string, std::string>;

struct DirectionCounters {
    std::uint64_t frames = 0, bytes = 0;                       ///< that went in
    std::uint64_t delivered = 0, delivered_bytes = 0;          ///< that came out
    std::uint64_t oversize = 0, dropped_cut = 0, no_room = 0;  ///< why not, besides `lost`
};

/// One direction of a link. The seeded faults are those of the fault+ ports.
class Direction {
public:
    struct Geometry {
        std::uint32_t frame_bytes;  ///< the longest frame that fits
        std::uint64_t seed;
        std::uint64_t salt;  ///< makes directions differ under one seed
    };
    Direction(Node& to, std::size_t plug, const Geometry& geometry);

    void send(Bytes frame, std::int64_t now_ns);
    /// Hands over at most `budget` frames that are due; true when one was.
    bool deliver(std::int64_t now_ns, std::size_t budget);
    [[nodiscard]] std::int64_t next_due_ns() const noexcept { return line_.next_due_ns(); }

    /// Changes the given keys, or says what is wrong with them and changes nothing.
    [[nodiscard]] std::optional<Failure> set(const Impairments& changes);
    /// A perfect cable again, not cut.
    void reset();
    /// Frames on the way are lost as well.
    void cut(bool on) noexcept { cut_ = on; }
    [[nodiscard]] bool is_cut() const noexcept { return cut_; }
    /// Called with each frame that is handed over; for the capture.
    void watch(std::function<void(Bytes)> watcher) { watcher_ = std::move(watcher); }

    [[nodiscard]] const DirectionCounters& counters() const noexcept { return counters_; }
    [[nodiscard]] nlohmann::json stats() const;

private:
    Node& to_;
    std::size_t plug_;
    Geometry geometry_;
    transport::Line line_;
    Impairments set_;
    bool cut_ = false;
    DirectionCounters counters_;
    std::function<void(Bytes)> watcher_;
};

}  // namespace farlane::link
