// SPDX-License-Identifier: Apache-2.0
// Receives: transactions of the application. Hands on: slots to the daemon, completions to those
// who wait. Owns: the application's side of one channel: its memory, rings, staging area.
// No locks: the device that has it holds one. Layout: farlane/uapi/ring.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include <farlane/status.hpp>

#include "lib/daemon_ring.hpp"
#include "lib/daemon_wire.hpp"

namespace farlane::channel {

/// A call that waits for its requests.
struct Waiter {
    unsigned outstanding = 0;
    Status status = Status::ok;
};

class AppChannel {
public:
    /// `fds`: memory, submit bell, complete bell, as open_channel hands them out. Throws Error.
    /// `ring`: instead of the submit bell.
    AppChannel(const Geometry& geometry, std::vector<control::UniqueFd> fds, std::function<void()> ring = {});
    ~AppChannel();
    AppChannel(const AppChannel&) = delete;
    AppChannel& operator=(const AppChannel&) = delete;

    // --- giving records. False: no room now; wait for something to happen and try again.
    /// A posted write with its payload in the slot (<= 64 bytes) or copied into the staging area.
    [[nodiscard]] bool write(fl_tlp tlp, std::span<const std::byte> payload);
    /// A posted write whose payload stays where it is, in a registered buffer.
    [[nodiscard]] bool write_from(fl_tlp tlp, std::uint32_t buffer, std::uint64_t offset);
    /// A request. Its answer is copied to `into`; then `waiter` has one less outstanding.
    [[nodiscard]] bool request(fl_tlp tlp, std::span<const std::byte> operand, std::span<std::byte> into,
                               Waiter& waiter);

    /// Takes what the daemon has answered. True = something happened.
    bool drain();
    /// Nobody waits for this one any more: its answers are thrown away.
    void forget(Waiter& waiter) noexcept;
    /// Every request ends with `status`.
    void fail_all(Status status) noexcept;

    // --- waiting
    /// About to sleep on bell(); call drain() once more, then sleep if nothing happened.
    void announce_sleep(bool for_released) noexcept;
    void announce_awake() noexcept;
    [[nodiscard]] int bell() const noexcept { return complete_bell_.get(); }
    void hush() noexcept;

    [[nodiscard]] std::uint32_t submitted() const noexcept { return submit_.head(); }
    /// Slots up to this count are free again, as of the last drain().
    [[nodiscard]] std::uint32_t released() const noexcept { return reclaimed_; }
    /// State of the device, as the daemon said last: ok, unreachable, device_reset, device_lost.
    [[nodiscard]] Status device_state() const noexcept { return device_state_; }
    void set_device_state(Status s) noexcept { device_state_ = s; }
    /// Why a posted record was refused, once.
    [[nodiscard]] Status take_refused() noexcept { return std::exchange(refused_, Status::ok); }
    [[nodiscard]] bool broken() const noexcept { return complete_.broken() || submit_.broken(); }
    [[nodiscard]] std::array<int, 3> fds() const noexcept {
        return {memory_fd_.get(), submit_bell_.get(), complete_bell_.get()};
    }

private:
    static constexpr std::size_t kPending = 128;
    static constexpr std::uint32_t kStagingAlign = 64;

    struct Pending {
        std::uint64_t cookie = 0;  ///< 0 = free
        Waiter* waiter = nullptr;
        std::span<std::byte> into;
        std::uint64_t staged = 0;  ///< offset in the staging area, when `reference`
        bool reference = false;
    };

    [[nodiscard]] std::optional<std::uint32_t> stage(std::size_t bytes);
    [[nodiscard]] bool room();
    void push(const fl_slot& slot);
    void reclaim();
    void answer(const fl_slot& slot);
    void finish(Pending& p, Status status) noexcept;

    Layout layout_;
    std::function<void()> ring_;
    control::UniqueFd memory_fd_, submit_bell_, complete_bell_;
    Producer submit_;
    Consumer complete_;
    std::vector<std::uint64_t> staging_end_;             ///< per slot: staging used up to here; a slot without keeps it
    std::uint64_t staging_head_ = 0, staging_tail_ = 0;  ///< grow for ever
    std::uint32_t reclaimed_ = 0;
    std::array<Pending, kPending> pending_;
    std::uint64_t next_use_ = 1;
    Status device_state_ = Status::ok;
    Status refused_ = Status::ok;
};

/// A memory or configuration transaction as a slot wants it.
[[nodiscard]] fl_tlp make_tlp(std::uint8_t type, unsigned bar, std::uint64_t address, std::size_t bytes,
                              bool relaxed = false) noexcept;

}  // namespace farlane::channel
