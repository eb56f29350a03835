// SPDX-License-Identifier: Apache-2.0
// Receives: packets sent and received on one way to the peer. Hands on: whether it may be used,
// and when something is due on it. Owns: its packet numbers both ways, round-trip time,
// congestion window and frame size. docs/wire.md, "Paths".
#pragma once

#include <array>
#include <cstdint>

#include "proto/congestion.hpp"
#include "proto/mtu_probe.hpp"
#include "proto/packet_window.hpp"
#include "proto/receive_window.hpp"
#include "proto/rtt.hpp"
#include "proto/session.hpp"
#include "proto/slab.hpp"

namespace farlane::proto {

/// How soon the sender of a packet wants it acknowledged.
enum class Asks : std::uint8_t {
    nothing,
    sometime,   ///< its sender says so, and waits longer before it probes
    patiently,  ///< nobody waits for it: early enough that the sender does not probe
    soon,
};

struct alignas(64) Path : Slabbed {
    Path(PathId id_, const PathConfig& config, std::uint32_t packet_window, Time now)
        : id(id_),
          last_sent(now),
          last_heard(now),
          mtu(config.max_frame_bytes, config.reliable_mtu),
          sent(packet_window),
          congestion(mtu.frame_bytes(), config.link_bits_per_s / 8),
          last_progress(now),
          max_frame_bytes(std::min<std::uint32_t>(config.max_frame_bytes, FL_FRAME_MAX_BYTES)) {}

    // --- acknowledgement of what arrives
    static constexpr unsigned kAckEvery = 8;          ///< packets that ask for one
    static constexpr unsigned kAckEveryPatient = 16;  ///< ... and may all wait
    static constexpr Duration kShortestAckDelay = std::chrono::microseconds(25);
    /// Half of the time after which any sender probes, and less than the smallest window.
    static constexpr Duration kPatience = std::chrono::microseconds(500);
    static constexpr std::uint32_t kPatientBytes = FL_FRAME_BASE_BYTES;
    /// Of frames that say that they may wait. Their sender does not probe before.
    static constexpr Duration kLongPatience = std::chrono::milliseconds(4);
    /// ... and a while longer: a peer with a thousand sessions has other things to do first.
    static constexpr Duration kProbePatience = std::chrono::milliseconds(6);
    void arrived(bool in_order, Asks asks, std::uint32_t bytes, Time now) noexcept {
        last_heard = now;
        ++packets_received;
        if (asks == Asks::nothing) return;
        unacknowledged_bytes += bytes;
        if (unacknowledged_bytes > kPatientBytes) asks = Asks::soon;
        if (++unacknowledged == 1 || asks > ack_asks) {
            ack_asks = asks;
            const Duration patience = asks == Asks::soon        ? Duration::zero()
                                      : asks == Asks::patiently ? kPatience
                                                                : kLongPatience;
            ack_deadline = std::min(ack_deadline, now + std::max(patience, ack_delay()));
        }
        if (!in_order || unacknowledged >= (all_may_wait() ? kAckEveryPatient : kAckEvery)) ack_now = true;
    }
    [[nodiscard]] Duration ack_delay() const noexcept {
        return std::clamp<Duration>(Duration(rtt.smoothed().count() >> 3), kShortestAckDelay,
                                    std::chrono::milliseconds(1));
    }
    /// Does a frame that goes anyway take the acknowledgement along? Not every one: between
    /// frames that follow each other closely a few wait, which saves both sides most of the work.
    static constexpr unsigned kAckAlong = 4;
    static constexpr unsigned kAckAlongPatient = 12;  ///< so that register accesses seldom have a second record
    [[nodiscard]] bool ack_along(Time now) const noexcept {
        return ack_now || (unacknowledged != 0 && (unacknowledged >= (all_may_wait() ? kAckAlongPatient : kAckAlong) ||
                                                   now - last_ack_sent >= kShortestAckDelay));
    }
    /// What is not acknowledged yet asks for no more than patience.
    [[nodiscard]] bool all_may_wait() const noexcept { return ack_asks <= Asks::patiently; }
    void ack_sent(Time now) noexcept {
        last_ack_sent = now;
        unacknowledged = unacknowledged_bytes = 0;
        ack_now = false;
        ack_deadline = kNever;
    }

    // --- time
    static constexpr unsigned kEvenProbes = 8;  ///< tail probes before they back off
    static constexpr Duration kProbeCap = std::chrono::milliseconds(100);
    /// From the last packet that waits for an acknowledgement to the next tail probe.
    [[nodiscard]] Duration probe_interval() const noexcept {
        const Duration smoothed = rtt.smoothed();
        const Duration slack =
            std::max<Duration>(std::chrono::milliseconds(1), std::min<Duration>(rtt.variance() * 4, smoothed / 2));
        const Duration first = smoothed + slack + (in_flight_may_wait ? kProbePatience : Duration::zero());
        if (probes == 0) return first;
        const unsigned doublings = probes < kEvenProbes ? 0 : std::min(probes - kEvenProbes + 1, 16u);
        return std::min(kProbeCap, Duration(first.count() << doublings));
    }
    /// A packet this old is lost when a later one has arrived.
    [[nodiscard]] Duration loss_delay() const noexcept {
        const Duration slowest = std::max(rtt.smoothed(), rtt.latest());
        const Duration steady = Duration(slowest.count() + (slowest.count() >> 3));
        const Duration shaky = rtt.smoothed() + rtt.variance() * 3;
        return std::max({Duration(std::chrono::microseconds(500)), steady, shaky});
    }
    /// Silence, with data in flight, after which another path takes over.
    [[nodiscard]] Duration death_delay() const noexcept {
        return std::max<Duration>(std::chrono::milliseconds(10), rtt.smoothed() * 2);
    }

    /// The newest packet that waits may not: the next probe is perhaps earlier than that which is armed.
    void may_not_wait() noexcept {
        newest_impatient = sent.next() - 1;
        probe_armed = probe_armed && !in_flight_may_wait;
        in_flight_may_wait = false;
    }
    /// Since when nothing has been acknowledged of what waits. Precondition: something waits.
    [[nodiscard]] Time silent_since() noexcept {
        return std::max(last_progress, sent.at(sent.first_unresolved()).sent);
    }

    [[nodiscard]] bool usable() const noexcept { return state == PathState::up; }
    [[nodiscard]] bool has_room(Time now) const noexcept {
        return sent.in_flight_bytes() < congestion.window_bytes() && !sent.crowded() && now >= congestion.next_send();
    }

    // What every frame needs is first.
    PathId id;
    PathState state = PathState::opening;
    bool ack_now = false;
    Asks ack_asks = Asks::nothing;           ///< the most that one of those that wait does
    std::uint8_t alone = 0;                  ///< one of the last two acknowledgements came late: nothing took it along
    bool in_flight_may_wait = false;         ///< all of it was sent with FL_FRAME_PATIENT
    bool probe_armed = false;                ///< the session's timer knows of the next one
    bool keepalive_due = false;              ///< dead: what brings it back
    bool hello_due = false;                  ///< HELLO or HELLO_ACK has to go out
    unsigned unacknowledged = 0;             ///< packets received that ask for an acknowledgement
    std::uint32_t unacknowledged_bytes = 0;  ///< their frames
    unsigned probes = 0;                     ///< tail probes since something was acknowledged: it is silent
    unsigned probe_frames = 0;               ///< frames that may leave although the window is full
    Time ack_deadline = kNever;
    Time last_ack_sent{};
    Time last_sent;       ///< any frame
    Time last_heard;      ///< any good frame
    Time last_posted{};   ///< newest packet with records of functions was sent
    Time last_waiting{};  ///< newest packet that waits for an acknowledgement was sent
    std::uint64_t packets_sent = 0, packets_received = 0;
    MtuProbe mtu;
    ReceiveWindow received;
    PacketWindow sent;
    Rtt rtt;
    Congestion congestion;
    Time last_progress;  ///< something newly acknowledged
    Time loss_deadline = kNever;
    unsigned window_lost = 0, window_acked = 0;  ///< recent history for "repeated loss"
    unsigned reorder_threshold = 3;
    std::uint32_t max_frame_bytes;
    std::uint64_t newest_impatient = 0;     ///< packet that waits and was sent without FL_FRAME_PATIENT
    std::uint64_t largest_large_acked = 0;  ///< newest packet above FL_FRAME_BASE_BYTES that arrived
    std::uint64_t packets_lost = 0;

    // silent
    Time asked_at{};              ///< the first of `probes`
    Time alone_since = kNever;    ///< another path has not been silent from then on
    bool sent_elsewhere = false;  ///< all that waits here has been sent again on others

    // dead
    static constexpr Duration kDeadProbe = std::chrono::milliseconds(50);
    static constexpr Duration kAskedAgain = std::chrono::milliseconds(1);
    Time next_probe{};
    unsigned good_probes = 0, good_probes_needed = 1;
    std::uint64_t dead_since_packet = 0;

    // opening: hello
    std::uint64_t hellos = 0;  ///< packet numbers of session 0
    Time hello_sent{};
    Time hello_deadline = kNever;
    Duration hello_interval = std::chrono::milliseconds(10);
};

}  // namespace farlane::proto
