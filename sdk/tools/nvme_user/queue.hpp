// SPDX-License-Identifier: Apache-2.0
// Receives: commands. Hands on: queue entries to the controller, completions to the caller.
// Owns: the memory of one submission queue, its completion queue and its PRP lists.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "nvme_user/command.hpp"

namespace farlane::nvme_user {

/// A pair of queues with the same number. At most depth - 1 commands at once. One thread.
class QueuePair {
public:
    /// `depth` entries in each, 2 to 1024. Registers of the controller: `doorbell_stride_bytes` from CAP.DSTRD.
    QueuePair(Access& access, unsigned id, unsigned depth, std::uint32_t doorbell_stride_bytes);

    [[nodiscard]] unsigned id() const noexcept { return id_; }
    [[nodiscard]] unsigned depth() const noexcept { return depth_; }
    [[nodiscard]] std::uint64_t sq_iova() const noexcept { return sq_.iova; }
    [[nodiscard]] std::uint64_t cq_iova() const noexcept { return cq_.iova; }
    /// Commands that can be submitted now; those under way.
    [[nodiscard]] unsigned room() const noexcept { return static_cast<unsigned>(free_.size()); }
    [[nodiscard]] unsigned in_flight() const noexcept { return depth_ - 1 - room(); }

    /// Queues a command with its PRPs as they are; returns its identifier. Precondition: room() > 0.
    std::uint16_t submit(const Command& c);
    /// The same for bytes [offset, +bytes) of `data`, at most 2 MiB: makes PRP1, PRP2 and the list.
    std::uint16_t submit(Command c, const Memory& data, std::size_t offset, std::size_t bytes);
    /// Makes what was submitted visible: rings the doorbell.
    void ring();
    /// The next completion, if there is one. Tells the controller every quarter of the queue and when it is empty.
    [[nodiscard]] std::optional<Completion> poll();

private:
    void fill_prps(Command& c, std::uint16_t cid, std::uint64_t iova, std::size_t bytes);
    void tell_head();

    Access& access_;
    unsigned id_, depth_;
    std::uint32_t sq_doorbell_, cq_doorbell_;
    Memory sq_, cq_, lists_;
    std::vector<std::uint16_t> free_;  // command identifiers
    std::vector<bool> used_;
    unsigned tail_ = 0, rung_ = 0, head_ = 0, told_ = 0;
    bool phase_ = true;
};

}  // namespace farlane::nvme_user
