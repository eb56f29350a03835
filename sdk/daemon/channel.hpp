// SPDX-License-Identifier: Apache-2.0
// Receives: records that an application writes into its submit ring. Hands on: transactions to
// the attachment, completions to the application. Owns: the daemon's side of one channel.
// Every byte of the shared memory is hostile: copied once, checked, then used.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "daemon/bell.hpp"
#include "daemon/ledger.hpp"
#include "daemon/shared_memory.hpp"
#include "daemon/slot_check.hpp"
#include "lane/initiator.hpp"
#include "lib/daemon_ring.hpp"

namespace farlane::daemon {

struct ChannelCounters {
    std::uint64_t posted = 0, requests = 0, completions = 0;
    std::uint64_t refused = 0;    ///< by the attachment: outside the BAR, device gone, ...
    std::uint64_t malformed = 0;  ///< by check_slot
    std::uint64_t stalls = 0;     ///< turns that found no window or no room
    std::uint64_t bells_rung = 0;
};

class Channel final : public lane::Task {
public:
    struct Parts {
        std::shared_ptr<SharedMemory> memory;
        UniqueFd submit_bell;           ///< application rings, daemon sleeps on it
        UniqueFd complete_bell;         ///< the other way; none: see take_poke()
        bool others_header = false;     ///< the other side has written the header (the module), see same_header()
        std::uint64_t cookie_mark = 0;  ///< of its records at the attachment, when that serves several channels
    };
    /// `fresh`: the header is written and the rings are empty; else the state of an earlier daemon
    /// is continued: walk(), then resubmit() of what the plan says, then open().
    Channel(Parts parts, const channel::Geometry& geometry, Ledger& ledger, const BufferTable& buffers,
            BellRinger& bells, bool fresh);

    /// The header in `memory` says what `geometry` says.
    [[nodiscard]] static bool same_header(std::span<std::byte> memory, const channel::Geometry& geometry) noexcept;

    // --- life
    void attach_to(lane::Attachment& attachment) noexcept { attachment_ = &attachment; }
    /// Takes records from now on.
    void open() noexcept;
    /// Takes no more; what is in flight is answered and released as it comes.
    void close() noexcept { open_ = false; }
    [[nodiscard]] bool drained() const noexcept { return in_flight_ == 0; }
    /// While it is paused what the application writes stays in the ring; what was taken goes on.
    void pause(bool on) noexcept { paused_ = on; }
    /// Requests taken that are not answered yet.
    [[nodiscard]] std::uint32_t outstanding() const noexcept { return outstanding_; }
    /// The device is gone or has forgotten: everything in flight ends with `status`.
    /// Requests only when `requests` (else the session answers them itself).
    void fail_in_flight(Status status, bool requests) noexcept;
    /// Tells the application what is with the device: device_lost, device_reset, unreachable, ok.
    void tell(Status state) noexcept;
    /// The other side broke the ring; nothing is taken any more.
    [[nodiscard]] bool broken() const noexcept { return broken_; }
    [[nodiscard]] SlotError last_error() const noexcept { return last_error_; }

    /// Without a complete bell: the other side has asked to be told of what was pushed. Once.
    [[nodiscard]] bool take_poke() noexcept { return std::exchange(poke_, false); }

    // --- resume
    [[nodiscard]] std::vector<WalkedSlot> walk();
    /// Gives the record of a slot again. would_block: try later; malformed: it is not what it was.
    [[nodiscard]] Status resubmit(std::uint32_t count) noexcept;
    /// A configuration write is out: what comes behind it in the ring waits for its answer.
    [[nodiscard]] bool held() const noexcept { return config_write_.has_value(); }
    /// The record of a slot is not given again: a posted one is released, a request ends with `status`.
    void finish(std::uint32_t count, Status status) noexcept;

    // --- from the attachment
    void on_completion(std::uint64_t cookie, Status status) noexcept;
    void on_released(std::uint64_t cookie) noexcept;

    // Task
    bool turn(lane::Time now) noexcept override;
    [[nodiscard]] lane::Time next_timer() const noexcept override;
    [[nodiscard]] bool prepare_sleep() noexcept override;
    void woken() noexcept override;

    [[nodiscard]] int submit_bell() const noexcept { return parts_.submit_bell.get(); }
    [[nodiscard]] const ChannelCounters& counters() const noexcept { return counters_; }
    [[nodiscard]] const channel::Geometry& geometry() const noexcept { return layout_.geometry; }
    [[nodiscard]] std::uint32_t in_flight() const noexcept { return in_flight_; }
    [[nodiscard]] std::span<std::byte> staging() const noexcept { return layout_.staging(); }
    [[nodiscard]] const SharedMemory& memory() const noexcept { return *parts_.memory; }

private:
    static constexpr std::uint32_t kBurst = 64;
    static constexpr std::uint32_t kReserve = 4;       ///< entries of `complete` for what was not asked for
    static constexpr std::uint32_t kUseMask = 0xffff;  ///< bits 48 to 63 of a cookie say whose it is
    static constexpr lane::Duration kStarvedRetry = std::chrono::milliseconds(1);

    /// A slot between released and tail.
    struct Entry {
        std::uint64_t serial = 0;  ///< cookie for the attachment; of this use of the slot
        std::uint64_t sequence = 0;
        std::uint64_t cookie = 0;  ///< the application's
        std::uint32_t count = 0;
        std::uint32_t result_bytes = 0;
        bool posted = false;
        bool inlined = false;
        bool done = true;
    };

    [[nodiscard]] Entry& entry(std::uint32_t count) noexcept { return entries_[count & entry_mask_]; }
    void write_header() noexcept;
    bool take_one() noexcept;
    [[nodiscard]] Status give(std::uint32_t count, const CheckedSlot& checked, const fl_slot& copy) noexcept;
    bool refuse(std::uint32_t count, const fl_slot& copy, Status status) noexcept;
    void consumed(std::uint32_t count) noexcept;
    [[nodiscard]] Entry* find(std::uint64_t cookie, bool posted) noexcept;
    void mark_done(Entry& e) noexcept;
    void advance_released() noexcept;
    [[nodiscard]] bool push(const fl_slot& slot) noexcept;
    bool push_state() noexcept;
    void ring(std::uint32_t at_least) noexcept;
    void stall() noexcept;

    Parts parts_;
    channel::Layout layout_;
    Ledger& ledger_;
    const BufferTable& buffers_;
    BellRinger& bells_;
    lane::Attachment* attachment_ = nullptr;
    channel::Consumer submit_;
    channel::Producer complete_;
    std::vector<Entry> entries_;
    std::vector<std::array<std::byte, FL_TLP_INLINE_BYTES>> results_;  ///< of inline requests, per slot
    std::uint32_t entry_mask_;
    std::uint32_t next_use_ = 1;
    std::optional<std::uint32_t> stamped_;  ///< slot whose sequence is set and whose record is not given
    lane::Time now_{};
    std::uint32_t in_flight_ = 0;
    std::uint32_t outstanding_ = 0;              ///< requests in flight: each will need room in `complete`
    std::optional<std::uint64_t> config_write_;  ///< serial of the one that is out, see held()
    std::optional<Status> state_to_tell_;
    ChannelCounters counters_;
    SlotError last_error_ = SlotError::none;
    bool open_ = false;
    bool paused_ = false;
    bool poke_ = false;
    bool stalled_ = false;  ///< the oldest record waits for a window
    bool starved_ = false;  ///< ... or for the application to read its completions
    bool broken_ = false;
};

}  // namespace farlane::daemon
