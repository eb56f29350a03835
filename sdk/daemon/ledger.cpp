// SPDX-License-Identifier: Apache-2.0
// Receives: the announcements of mappings that one attachment sends, and its mappings.
// Hands on: what must be submitted again after kill -9, and in which order. Owns: nothing; it
// writes the saved state.
#include "daemon/ledger.hpp"

#include <algorithm>
#include <array>

#include <farlane/uapi/tlp.h>

namespace farlane::daemon {

Ledger::Ledger(SavedState& saved) noexcept : saved_(saved) {
    live_ = static_cast<std::uint32_t>(
        std::ranges::count_if(saved_.announcements, [](const SavedAnnouncement& a) { return a.code != 0; }));
}

SavedAnnouncement* Ledger::next_unsent() noexcept {
    SavedAnnouncement* first = nullptr;
    for (SavedAnnouncement& a : saved_.announcements)
        if (a.code != 0 && a.sequence == 0 && (first == nullptr || a.order < first->order)) first = &a;
    return first;
}

void Ledger::begin_announcement(std::uint32_t code, std::uint64_t iova, std::uint64_t bytes, std::uint32_t direction,
                                std::uint64_t next) noexcept {
    const auto slot = std::ranges::find(saved_.announcements, 0U, &SavedAnnouncement::code);
    if (slot == std::end(saved_.announcements)) return;  // can_announce() said no
    // Behind others that wait for room it waits too; else it goes out now, under the next sequence.
    const bool waits = next_unsent() != nullptr;
    slot->iova = iova;
    slot->bytes = bytes;
    slot->direction = direction;
    slot->sequence = waits ? 0 : next;
    slot->order = saved_.next_order++;
    store_in_order(slot->code, code);
    open_ = &*slot;
    ++live_;
}

void Ledger::cancel_announcement() noexcept {
    if (open_ == nullptr) return;
    store_in_order(open_->code, 0U);
    open_ = nullptr;
    --live_;
}

void Ledger::settle(std::uint64_t before, std::uint64_t after, std::uint32_t own) noexcept {
    if (live_ == 0) return;
    if (open_ != nullptr) {
        open_->sequence = 0;  // given below, if it went out
        open_ = nullptr;
    }
    for (std::uint64_t s = before; s + own < after; ++s)
        if (SavedAnnouncement* a = next_unsent()) store_in_order(a->sequence, s);
}

void Ledger::renumber(std::uint32_t index, std::uint64_t sequence) noexcept {
    store_in_order(saved_.announcements[index].sequence, sequence);
}

void Ledger::drop(std::uint32_t index) noexcept {
    if (saved_.announcements[index].code == 0) return;
    store_in_order(saved_.announcements[index].code, 0U);
    --live_;
}

void Ledger::released(std::uint64_t sequence) noexcept {
    if (live_ == 0) return;
    for (SavedAnnouncement& a : saved_.announcements)
        if (a.code != 0 && a.sequence != 0 && a.sequence <= sequence) {
            store_in_order(a.code, 0U);
            --live_;
        }
}

SavedMapping* Ledger::find_mapping(std::uint64_t iova) noexcept {
    for (SavedMapping& m : saved_.mappings)
        if (m.bytes != 0 && m.iova == iova) return &m;
    return nullptr;
}

SavedMapping* Ledger::find_token(std::uint64_t token) noexcept {
    if (token == 0) return nullptr;
    for (SavedMapping& m : saved_.mappings)
        if (m.bytes != 0 && m.token == token) return &m;
    return nullptr;
}

SavedMapping* Ledger::free_mapping() noexcept {
    for (SavedMapping& m : saved_.mappings)
        if (m.bytes == 0) return &m;
    return nullptr;
}

std::uint32_t Ledger::mapping_count() const noexcept {
    return static_cast<std::uint32_t>(
        std::ranges::count_if(saved_.mappings, [](const SavedMapping& m) { return m.bytes != 0; }));
}

namespace {

constexpr std::uint64_t kNever = ~std::uint64_t{0};

bool half_done(const SavedState& saved, const SavedAnnouncement& a) {
    // Killed between the note and the mapping, or unmapped since: there is nothing to announce.
    if (a.code != FL_MSG_MAP) return false;
    return std::ranges::none_of(saved.mappings,
                                [&](const SavedMapping& m) { return m.bytes != 0 && m.iova == a.iova; });
}

}  // namespace

ResumePlan plan_resume(const SavedState& saved, std::span<const WalkedSlot> slots, std::uint64_t posted_next,
                       std::uint64_t non_posted_next) {
    ResumePlan plan;
    std::vector<std::uint32_t> waiting;
    for (std::uint32_t i = 0; i < kMaxAnnouncements; ++i) {
        const SavedAnnouncement& a = saved.announcements[i];
        if (a.code == 0) continue;
        const bool released = a.sequence != 0 && a.sequence < posted_next;
        (released || half_done(saved, a) ? plan.announced : waiting).push_back(i);
    }
    std::ranges::sort(waiting, {}, [&](std::uint32_t i) { return saved.announcements[i].order; });
    std::size_t next = 0;
    const auto announce_before = [&](std::uint64_t sequence) {
        for (; next < waiting.size(); ++next) {
            const std::uint64_t s = saved.announcements[waiting[next]].sequence;
            if (s == 0 || s >= sequence) return;  // 0: never sent, behind everything that was
            plan.steps.push_back({ResumeStep::Kind::announcement, waiting[next], proto::RecordClass::posted, s, 0});
        }
    };
    for (const WalkedSlot& s : slots) {
        if (s.done) continue;
        const bool posted = s.record_class == proto::RecordClass::posted;
        if (s.sequence < (posted ? posted_next : non_posted_next)) {
            (posted ? plan.finished : plan.in_doubt).push_back(s.count);
            continue;
        }
        if (posted) announce_before(s.sequence);
        plan.steps.push_back({ResumeStep::Kind::slot, s.count, s.record_class, s.sequence, 0});
    }
    for (; next < waiting.size(); ++next) {
        const std::uint64_t s = saved.announcements[waiting[next]].sequence;
        plan.steps.push_back(
            {ResumeStep::Kind::announcement, waiting[next], proto::RecordClass::posted, s != 0 ? s : kNever, 0});
    }
    return plan;
}

namespace {

/// For each step: the lowest sequence of each class from there to the end of its list.
std::vector<std::array<std::uint64_t, proto::kClasses>> next_of(const std::vector<ResumeStep>& steps) {
    std::vector<std::array<std::uint64_t, proto::kClasses>> next(steps.size() + 1);
    next.back().fill(kNever);
    for (std::size_t i = steps.size(); i-- > 0;) {
        next[i] = next[i + 1];
        auto& lowest = next[i][static_cast<unsigned>(steps[i].record_class)];
        lowest = std::min(lowest, steps[i].sequence);
    }
    return next;
}

}  // namespace

// A step may be taken when the other list has none of its class that comes before it. There is always one:
// the order in which they were given once. Of notes that lie, the first list's step is taken.
std::vector<ResumeStep> merge_steps(std::vector<ResumeStep> first, std::vector<ResumeStep> second) {
    for (ResumeStep& s : second) s.source = 1;
    const auto next_first = next_of(first), next_second = next_of(second);
    std::vector<ResumeStep> all;
    all.reserve(first.size() + second.size());
    std::size_t a = 0, b = 0;
    const auto comes_first = [](const ResumeStep& s, const auto& others) {
        return s.sequence <= others[static_cast<unsigned>(s.record_class)];
    };
    while (a < first.size() || b < second.size()) {
        const bool from_second = a == first.size() || (b < second.size() && !comes_first(first[a], next_second[b]) &&
                                                       comes_first(second[b], next_first[a]));
        all.push_back(from_second ? second[b++] : first[a++]);
    }
    return all;
}

}  // namespace farlane::daemon
