// SPDX-License-Identifier: Apache-2.0
// Receives: the announcements of mappings that one attachment sends, and its mappings.
// Hands on: what must be submitted again after kill -9, and in which order. Owns: nothing; it
// writes the saved state. docs/control-socket.md, "Survival".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "daemon/saved_state.hpp"
#include "proto/tlp.hpp"

namespace farlane::daemon {

/// Lane thread. A record of an application stands in its ring until it is released; a map or
/// unmap stands here.
class Ledger {
public:
    explicit Ledger(SavedState& saved) noexcept;

    // --- map and unmap announcements
    [[nodiscard]] bool can_announce() const noexcept { return live_ < kMaxAnnouncements; }
    /// To be called before Attachment::map or unmap; `next` = its next posted sequence.
    void begin_announcement(std::uint32_t code, std::uint64_t iova, std::uint64_t bytes, std::uint32_t direction,
                            std::uint64_t next) noexcept;
    /// The call refused: nothing was announced.
    void cancel_announcement() noexcept;
    /// To be called after every submit, request, map and unmap: notes which announcements went
    /// out. `before` and `after` = next posted sequence around the call, `own` = 1 when the call
    /// itself gave a posted record (the last of them).
    void settle(std::uint64_t before, std::uint64_t after, std::uint32_t own) noexcept;
    /// One that is given again gets this sequence.
    void renumber(std::uint32_t index, std::uint64_t sequence) noexcept;
    void drop(std::uint32_t index) noexcept;
    /// Every posted sequence up to this one is released.
    void released(std::uint64_t sequence) noexcept;

    // --- mappings
    [[nodiscard]] SavedMapping* find_mapping(std::uint64_t iova) noexcept;
    [[nodiscard]] SavedMapping* find_token(std::uint64_t token) noexcept;
    [[nodiscard]] SavedMapping* free_mapping() noexcept;
    [[nodiscard]] std::uint32_t mapping_count() const noexcept;

    [[nodiscard]] SavedState& saved() noexcept { return saved_; }

private:
    [[nodiscard]] SavedAnnouncement* next_unsent() noexcept;
    SavedState& saved_;
    SavedAnnouncement* open_ = nullptr;
    std::uint32_t live_ = 0;  ///< announcements in use: spares the hot path the table
};

/// A slot that an earlier daemon has consumed and not released.
struct WalkedSlot {
    std::uint32_t count = 0;  ///< position in the ring
    proto::RecordClass record_class = proto::RecordClass::posted;
    std::uint64_t sequence = 0;
    bool done = false;
};

struct ResumeStep {
    enum class Kind : std::uint8_t { slot, announcement };
    Kind kind = Kind::slot;
    std::uint32_t index = 0;  ///< slot: its count; announcement: index in the table
    proto::RecordClass record_class = proto::RecordClass::posted;
    std::uint64_t sequence = 0;  ///< it had; an announcement that never left: the highest there is
    std::uint32_t source = 0;    ///< which of several channels
};

struct ResumePlan {
    std::vector<ResumeStep> steps;         ///< to be submitted again, in this order
    std::vector<std::uint32_t> finished;   ///< posted slots that the target has released
    std::vector<std::uint32_t> in_doubt;   ///< requests that the target has executed: completer abort
    std::vector<std::uint32_t> announced;  ///< announcements that the target has released
};

/// Pure. `posted_next` and `non_posted_next`: where the target stands, see lane::SavedAttachment.
[[nodiscard]] ResumePlan plan_resume(const SavedState& saved, std::span<const WalkedSlot> slots,
                                     std::uint64_t posted_next, std::uint64_t non_posted_next);

/// The steps of two channels of one attachment, each class in the order of its sequences: what is given again
/// gets the sequence it had, so that a second kill in the middle finds every slot as true as the first did.
[[nodiscard]] std::vector<ResumeStep> merge_steps(std::vector<ResumeStep> first, std::vector<ResumeStep> second);

}  // namespace farlane::daemon
