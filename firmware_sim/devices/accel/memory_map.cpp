// SPDX-License-Identifier: Apache-2.0
// Receives: ALLOC and FREE, ranges of other commands. Hands on: whether they are allowed.
// Owns: the table of allocations.
#include "devices/accel/memory_map.hpp"

#include <algorithm>

namespace farlane::firmware::accel {

using backend::Outcome;

// Half of the table is for whoever comes first, of the other half each context has an equal part for itself.
MemoryMap::MemoryMap(const Region& aperture, const Region& local, std::size_t max_allocations, std::uint32_t contexts,
                     const Shares& shares)
    : aperture_(aperture),
      local_(local),
      max_(max_allocations),
      shares_(shares),
      sure_(max_allocations / 2 / shares.contexts),
      kept_(sure_ * shares.contexts),
      uses_(contexts) {
    table_.reserve(max_allocations);
}

std::size_t MemoryMap::lower(std::uint64_t address) const noexcept {
    const auto before = [](const Allocation& a, std::uint64_t b) { return a.address < b; };
    return static_cast<std::size_t>(std::lower_bound(table_.begin(), table_.end(), address, before) - table_.begin());
}

Outcome MemoryMap::allocate(std::uint64_t address, std::uint64_t bytes, std::uint32_t context) noexcept {
    constexpr std::uint32_t kAddressField = offsetof(fl_accel_command, u) + offsetof(fl_accel_alloc_command, address);
    constexpr std::uint32_t kBytesField = offsetof(fl_accel_command, u) + offsetof(fl_accel_alloc_command, bytes);
    if (address % FL_ACCEL_PAGE_BYTES != 0) return {FL_ACCEL_REASON_MISALIGNED, kAddressField, 0};
    if (bytes % FL_ACCEL_PAGE_BYTES != 0) return {FL_ACCEL_REASON_MISALIGNED, kBytesField, 0};
    if (bytes == 0) return {FL_ACCEL_REASON_BAD_LENGTH, kBytesField, 0};
    const Region& region = region_of(address);
    const std::uint64_t used = used_of(address);
    if (bytes > region.bytes - used || table_.size() == max_) return {FL_ACCEL_REASON_OUT_OF_MEMORY, kBytesField, 0};
    if (const auto reason = beyond_share(address, bytes, context); reason != FL_ACCEL_REASON_NONE)
        return {reason, kBytesField, 0};
    const Part own = is_local(address) ? Part{} : part(context);
    const bool in_part = own.bytes == 0 || (is_part(own, context) && address >= own.address && bytes <= own.bytes &&
                                            address - own.address <= own.bytes - bytes);
    if (!region.contains(address, bytes, context) || !in_part) return {FL_ACCEL_REASON_BAD_ADDRESS, kAddressField, 0};
    const std::size_t i = lower(address);
    const bool hits_next = i < table_.size() && table_[i].address - address < bytes;
    const bool hits_previous = i > 0 && address - table_[i - 1].address < table_[i - 1].bytes;
    if (hits_next || hits_previous) return {FL_ACCEL_REASON_OVERLAP, kAddressField, 0};
    table_.insert(table_.begin() + static_cast<std::ptrdiff_t>(i), Allocation{address, bytes, context});
    add(table_[i]);
    return {};
}

fl_accel_reason MemoryMap::beyond_share(std::uint64_t address, std::uint64_t bytes,
                                        std::uint32_t context) const noexcept {
    const Use& use = uses_[context];
    const std::uint64_t most = is_local(address) ? shares_.local_bytes : shares_.bytes;
    const std::uint64_t has = is_local(address) ? use.local_bytes : use.bytes;
    if (bytes > most || has > most - bytes) return FL_ACCEL_REASON_CONTEXT_MEMORY;
    const bool of_its_own = use.allocations < sure_;
    if (!of_its_own && table_.size() + kept_ >= max_) return FL_ACCEL_REASON_CONTEXT_ALLOCATIONS;
    return FL_ACCEL_REASON_NONE;
}

void MemoryMap::add(const Allocation& a) noexcept {
    Use& use = uses_[a.context];
    (is_local(a.address) ? use.local_bytes : use.bytes) += a.bytes;
    used_of(a.address) += a.bytes;
    if (use.allocations++ < sure_) --kept_;
}

void MemoryMap::subtract(const Allocation& a) noexcept {
    Use& use = uses_[a.context];
    (is_local(a.address) ? use.local_bytes : use.bytes) -= a.bytes;
    used_of(a.address) -= a.bytes;
    if (use.allocations-- <= sure_) ++kept_;
}

void MemoryMap::set_part(std::uint32_t context, const Part& part) {
    parts_[context] = part;
}

MemoryMap::Part MemoryMap::part(std::uint32_t context) const noexcept {
    const auto at = parts_.find(context);
    return at != parts_.end() ? at->second : Part{};
}

bool MemoryMap::is_part(const Part& part, std::uint32_t context) const noexcept {
    return part.bytes != 0 && part.address % FL_ACCEL_PAGE_BYTES == 0 && part.bytes % FL_ACCEL_PAGE_BYTES == 0 &&
           aperture_.contains(part.address, part.bytes, context);
}

const Allocation* MemoryMap::find(std::uint64_t address, std::uint32_t context) const noexcept {
    const std::size_t i = lower(address);
    const bool found = i < table_.size() && table_[i].address == address && table_[i].context == context;
    return found ? &table_[i] : nullptr;
}

const Allocation* MemoryMap::any_of(std::uint32_t context) const noexcept {
    for (const Allocation& a : table_) {
        if (a.context == context) return &a;
    }
    return nullptr;
}

const Allocation* MemoryMap::at(std::uint64_t address, std::uint32_t context) const noexcept {
    std::size_t i = lower(address);
    if (i == table_.size() || table_[i].address != address) {
        if (i == 0) return nullptr;
        --i;
    }
    const Allocation& a = table_[i];
    return a.context == context && a.contains(address, 1) ? &a : nullptr;
}

void MemoryMap::remove(std::uint64_t address) noexcept {
    const std::size_t i = lower(address);
    if (i == table_.size() || table_[i].address != address) return;
    subtract(table_[i]);
    table_.erase(table_.begin() + static_cast<std::ptrdiff_t>(i));
}

void MemoryMap::remove_all(std::uint32_t context) noexcept {
    std::erase_if(table_, [&](const Allocation& a) {
        if (a.context != context) return false;
        subtract(a);
        return true;
    });
}

void MemoryMap::clear() noexcept {
    table_.clear();
    used_ = local_used_ = 0;
    kept_ = sure_ * shares_.contexts;
    std::fill(uses_.begin(), uses_.end(), Use{});
}

Outcome MemoryMap::check(const backend::AccessList& touches, std::uint32_t context) const noexcept {
    for (const auto& t : touches.items()) {
        if (!region_of(t.address).contains(t.address, t.bytes, context))
            return {FL_ACCEL_REASON_BAD_ADDRESS, t.field, 0};
        const Allocation* a = at(t.address, context);
        if (a == nullptr || !a->contains(t.address, t.bytes)) return {FL_ACCEL_REASON_NOT_ALLOCATED, t.field, 0};
    }
    return {};
}

}  // namespace farlane::firmware::accel
