// SPDX-License-Identifier: Apache-2.0
// Receives: frames in order. Hands on: the same frames as a bad line would: lost, late,
// reordered, doubled, corrupted. Owns: a bounded pool of frame buffers.
#include "transport/fault/line.hpp"

#include <algorithm>
#include <cstring>

namespace farlane::transport {

Line::Line(const FaultSpec& spec, std::uint32_t frame_bytes, std::uint64_t salt)
    : spec_(spec), salt_(salt), arena_(spec.hold_frames, frame_bytes), slots_(spec.hold_frames) {
    free_.reserve(spec.hold_frames);
    held_.reserve(spec.hold_frames);
    for (std::uint64_t i = spec.hold_frames; i-- > 0;) free_.push_back(static_cast<std::uint32_t>(i));
    set(spec);
}

void Line::set(const FaultSpec& spec) noexcept {
    spec_ = spec;
    state_ = spec.seed * 0x9e3779b97f4a7c15 + salt_;
}

// splitmix64: one multiplication chain, any seed is good.
std::uint64_t Line::random() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

// Draws also when the probability is 0 or 1, so that a change of one key leaves the others' draws.
bool Line::chance(double probability) noexcept {
    return static_cast<double>(random() >> 11) * 0x1p-53 < probability;
}

std::uint32_t Line::alloc() noexcept {
    if (free_.empty()) return kNone;
    const std::uint32_t index = free_.back();
    free_.pop_back();
    return index;
}

void Line::submit(std::uint32_t index, std::int64_t now_ns) noexcept {
    const bool lost = chance(spec_.loss), twice = chance(spec_.dup), corrupted = chance(spec_.corrupt),
               held_back = chance(spec_.reorder);
    const std::uint64_t bits = random();
    const std::uint32_t size_bytes = slots_[index].size_bytes;
    if (lost || queue_full(size_bytes, now_ns)) {
        ++lost_;
        return free(index);
    }
    if (corrupted && size_bytes > 0) flip_bits(index, bits);
    const std::uint32_t copy = twice ? alloc() : kNone;
    hold(index, due_ns(size_bytes, now_ns, held_back), next_order_++);
    reordered_ += held_back;
    if (copy == kNone) return;
    ++duplicated_;
    slots_[copy] = slots_[index];
    std::memcpy(arena_.at(copy), arena_.at(index), size_bytes);
    hold(copy, due_ns(size_bytes, now_ns, false), next_order_++);
}

bool Line::queue_full(std::uint32_t size_bytes, std::int64_t now_ns) const noexcept {
    if (spec_.rate_bits_per_s == 0 || line_free_ns_ <= now_ns) return false;
    const double waiting_bytes =
        static_cast<double>(line_free_ns_ - now_ns) * static_cast<double>(spec_.rate_bits_per_s) / 8e9;
    return waiting_bytes + size_bytes > static_cast<double>(spec_.queue_bytes);
}

std::int64_t Line::due_ns(std::uint32_t size_bytes, std::int64_t now_ns, bool held_back) noexcept {
    std::int64_t due = now_ns;
    if (spec_.rate_bits_per_s != 0) {
        const double bits_ns = size_bytes * 8e9 / static_cast<double>(spec_.rate_bits_per_s);
        line_free_ns_ = std::max(line_free_ns_, now_ns) + static_cast<std::int64_t>(bits_ns);
        due = line_free_ns_;
    }
    due += spec_.delay_ns;
    const std::uint64_t draw = random();
    if (held_back && spec_.reorder_by_ns > 0)
        return due + 1 + static_cast<std::int64_t>(draw % static_cast<std::uint64_t>(spec_.reorder_by_ns));
    if (spec_.jitter_ns > 0) due += static_cast<std::int64_t>(draw % static_cast<std::uint64_t>(spec_.jitter_ns + 1));
    last_due_ns_ = std::max(last_due_ns_, due);
    return last_due_ns_;
}

void Line::hold(std::uint32_t index, std::int64_t due, std::uint64_t order) noexcept {
    delayed_ += spec_.delay_ns + spec_.jitter_ns > 0;
    held_.push_back({due, order, index});
    std::push_heap(held_.begin(), held_.end());
}

void Line::flip_bits(std::uint32_t index, std::uint64_t random) noexcept {
    ++corrupted_;
    const unsigned flips = 1 + (random & 3);
    const std::uint32_t size_bits = slots_[index].size_bytes * 8;
    const std::uint32_t first = static_cast<std::uint32_t>(random >> 32) % size_bits;
    // a fifth of the frame apart: never the same bit twice, which would heal it
    for (unsigned i = 0; i < flips; ++i) {
        const std::uint32_t bit = (first + i * (size_bits / 5 + 1)) % size_bits;
        arena_.at(index)[bit / 8] ^= std::byte{static_cast<unsigned char>(1u << (bit % 8))};
    }
}

std::uint32_t Line::pop(std::int64_t now_ns) noexcept {
    if (held_.empty() || held_.front().due_ns > now_ns) return kNone;
    std::pop_heap(held_.begin(), held_.end());
    const std::uint32_t index = held_.back().slot;
    held_.pop_back();
    return index;
}

void Line::add_to(PortCounters& c) const noexcept {
    c.faults_lost += lost_;
    c.faults_delayed += delayed_;
    c.faults_reordered += reordered_;
    c.faults_duplicated += duplicated_;
    c.faults_corrupted += corrupted_;
}

}  // namespace farlane::transport
