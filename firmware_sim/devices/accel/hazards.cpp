// SPDX-License-Identifier: Apache-2.0
// Receives: pinned ranges and poisoned objects. Hands on: what overlaps them.
// Owns: both lists.
#include "devices/accel/hazards.hpp"

#include <algorithm>

#include "devices/accel/memory_map.hpp"

namespace farlane::firmware::accel {

std::size_t Pins::count_of(std::uint32_t queue) const noexcept {
    return static_cast<std::size_t>(
        std::count_if(pins_.begin(), pins_.end(), [&](const Pin& p) { return p.bytes != 0 && p.queue == queue; }));
}

std::size_t Pins::add(const Pin& pin) noexcept {
    while (pins_[hint_].bytes != 0) hint_ = (hint_ + 1) % kCapacity;
    const std::size_t index = hint_;
    pins_[index] = pin;
    ++count_;
    ++by_context_[pin.context];
    hint_ = (hint_ + 1) % kCapacity;
    return index;
}

void Pins::remove(std::size_t index) noexcept {
    if (index >= kCapacity || pins_[index].bytes == 0) return;
    --by_context_[pins_[index].context];
    pins_[index] = {};
    --count_;
    hint_ = index;
}

bool Pins::overlaps(std::uint64_t address, std::uint64_t bytes) const noexcept {
    if (count_ == 0) return false;
    return std::any_of(pins_.begin(), pins_.end(), [&](const Pin& p) {
        return p.bytes != 0 && ranges_overlap(p.address, p.bytes, address, bytes);
    });
}

bool Pins::blocks(const backend::AccessList& touches, const backend::MemoryPlan& plan,
                  std::uint32_t context) const noexcept {
    if (count_ == 0) return false;
    if (touches.all() && overlaps(plan.address + plan.first + context * plan.stride, plan.context_bytes)) return true;
    for (const auto& t : touches.items()) {
        if (t.write && overlaps(t.address, t.bytes)) return true;
    }
    return false;
}

void Poison::add(Object kind, std::uint64_t base, std::uint64_t bytes, std::uint32_t culprit) noexcept {
    if (bytes == 0) return;
    if (count_ == kCapacity) {
        entries_[0].kind = Object::everything;
        return;
    }
    for (std::size_t i = 0; i < count_; ++i) {
        const Entry& e = entries_[i];
        if (e.kind == kind && e.base == base && e.bytes == bytes) return;
    }
    entries_[count_++] = Entry{kind, culprit, base, bytes};
}

std::optional<std::uint32_t> Poison::find(bool own, Object kind, std::uint64_t base,
                                          std::uint64_t bytes) const noexcept {
    for (std::size_t i = 0; i < count_; ++i) {
        const Entry& e = entries_[i];
        const bool all = own && e.kind == Object::everything;
        const bool same = e.kind == kind && kind != Object::everything && ranges_overlap(e.base, e.bytes, base, bytes);
        if (all || same) return e.culprit;
    }
    return std::nullopt;
}

}  // namespace farlane::firmware::accel
