// SPDX-License-Identifier: Apache-2.0
// Receives: records of the application that has a function's node (/dev/farlane/<name>) open. Hands on:
// them to the attachment, beside those of the kernel module. Owns: the daemon's side of that channel and
// the note of it that outlives the daemon. Lane thread.
#pragma once

#include <cstdint>
#include <memory>

#include "daemon/channel.hpp"
#include "daemon/kernel_module.hpp"

namespace farlane::daemon {

class NodeChannel final : public BufferTable {
public:
    /// Cookies of its records carry this bit; the module's channel has none.
    static constexpr std::uint64_t kMark = std::uint64_t{1} << 62;
    [[nodiscard]] static bool mine(std::uint64_t cookie) noexcept { return (cookie & kMark) != 0; }

    /// `saved`: what an earlier daemon noted of this channel, or of another one; hostile.
    [[nodiscard]] static Result<std::unique_ptr<NodeChannel>> open(KernelModule& module, const KernelFunction& f,
                                                                   const KernelChannel& c, SavedState& saved,
                                                                   BellRinger& bells);
    NodeChannel(SavedState& saved, std::uint32_t function, std::uint32_t generation) noexcept
        : ledger_(saved), function_(function), generation_(generation) {}

    [[nodiscard]] Channel& channel() noexcept { return *channel_; }
    [[nodiscard]] const Channel& channel() const noexcept { return *channel_; }
    [[nodiscard]] const SavedState& saved() noexcept { return ledger_.saved(); }
    [[nodiscard]] std::uint32_t generation() const noexcept { return generation_; }
    /// An earlier daemon served it: walk(), resubmit() and open() follow.
    [[nodiscard]] bool continued() const noexcept { return continued_; }
    /// The application has ended: what is in flight is answered and released, nothing new taken. False: known.
    [[nodiscard]] bool end() noexcept;
    [[nodiscard]] bool over() const noexcept { return ending_ && channel_->drained(); }
    /// True = something was done.
    bool turn(lane::Time now, KernelModule& module) noexcept;

    // BufferTable
    [[nodiscard]] std::span<std::byte> buffer(std::uint32_t number) const noexcept override;

private:
    Ledger ledger_;
    std::unique_ptr<Channel> channel_;
    std::uint32_t function_, generation_;
    bool continued_ = false;
    bool ending_ = false;
};

}  // namespace farlane::daemon
