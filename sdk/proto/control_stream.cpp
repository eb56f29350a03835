// SPDX-License-Identifier: Apache-2.0
// Receives: control records. Hands on: the same, once and in order. Owns: copies of them.
// docs/wire.md, "Control stream".
#include "proto/control_stream.hpp"

namespace farlane::proto {

bool ControlSender::has_work() const noexcept {
    std::uint32_t sequence = 0;
    return !next(sequence).empty();
}

std::span<const std::byte> ControlSender::next(std::uint32_t& sequence) const noexcept {
    const std::size_t in_window = std::min<std::size_t>(records_.size(), kWindow);
    for (std::size_t i = 0; i < in_window; ++i) {
        if (records_[i].fate != Fate::waiting) continue;
        sequence = first_ + static_cast<std::uint32_t>(i);
        return records_[i].bytes;
    }
    return {};
}

ControlSender::Entry* ControlSender::find(std::uint32_t sequence) noexcept {
    const std::uint32_t index = sequence - first_;
    return index < records_.size() ? &records_[index] : nullptr;
}

void ControlSender::sent(std::uint32_t sequence) noexcept {
    if (Entry* e = find(sequence)) e->fate = Fate::in_flight;
}

void ControlSender::acked(std::uint32_t sequence) noexcept {
    if (Entry* e = find(sequence)) e->fate = Fate::done;
    while (!records_.empty() && records_.front().fate == Fate::done) {
        records_.pop_front();
        ++first_;
    }
}

void ControlSender::lost(std::uint32_t sequence) noexcept {
    Entry* e = find(sequence);
    if (e != nullptr && e->fate == Fate::in_flight) e->fate = Fate::waiting;
}

ControlReceiver::Verdict ControlReceiver::take(const ControlRecord& record) {
    const std::uint32_t ahead = record.sequence - next_;
    if (ahead == 0) return Verdict::deliver;
    if (ahead >= ControlSender::kWindow) return ahead >= 0x80000000u ? Verdict::duplicate : Verdict::beyond;
    auto& place = kept_[record.sequence % ControlSender::kWindow];
    if (!place.empty()) return Verdict::duplicate;
    place.assign(record.bytes.begin(), record.bytes.end());
    return Verdict::kept;
}

std::span<const std::byte> ControlReceiver::advance() noexcept {
    kept_[next_ % ControlSender::kWindow].clear();
    ++next_;
    return kept_[next_ % ControlSender::kWindow];
}

}  // namespace farlane::proto
