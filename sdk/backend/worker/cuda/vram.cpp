// SPDX-License-Identifier: Apache-2.0
// Receives: allocations at addresses that the initiator chose. Hands on: memory of the device there. Owns: vram.hpp.
#include "backend/worker/cuda/vram.hpp"

namespace farlane::backend::worker::cuda {

bool reserve_at(const Api& api, std::uint64_t address, std::uint64_t bytes) {
    // The address is aligned as it is; a wish for that too can be what the driver does not meet.
    for (const std::size_t alignment : {std::size_t{kChunkBytes}, std::size_t{0}}) {
        CuAddress got = 0;
        if (api.cuMemAddressReserve(&got, bytes, alignment, address, 0) != kSuccess) continue;
        if (got == address) return true;
        (void)api.cuMemAddressFree(got, bytes);
    }
    return false;
}

bool Vram::reserve(std::uint64_t address, std::uint64_t bytes) {
    const std::uint64_t whole = (bytes + kChunkBytes - 1) / kChunkBytes * kChunkBytes;
    if (!reserve_at(api_, address, whole)) return false;
    address_ = address;
    bytes_ = bytes;
    return true;
}

Vram::Allocation Vram::divide(std::uint64_t address, std::uint64_t bytes) noexcept {
    Allocation a;
    a.bytes = bytes;
    const std::uint64_t end = address + bytes;
    const std::uint64_t first = address / kChunkBytes * kChunkBytes;
    const std::uint64_t last = (end - 1) / kChunkBytes * kChunkBytes;
    const bool cut_head = first != address, cut_tail = last + kChunkBytes != end;
    if (cut_head || (cut_tail && first == last)) a.head = first;
    if (cut_tail && first != last) a.tail = last;
    a.middle = a.head != 0 ? first + kChunkBytes : first;
    const std::uint64_t middle_end = cut_tail ? last : last + kChunkBytes;
    a.middle_bytes = middle_end > a.middle ? middle_end - a.middle : 0;
    return a;
}

CuResult Vram::map(std::uint64_t address, std::uint64_t bytes) {
    CuMemory memory = 0;
    if (const CuResult r = api_.cuMemCreate(&memory, bytes, &properties_, 0); r != kSuccess) return r;
    CuResult r = api_.cuMemMap(address, bytes, 0, memory, 0);
    (void)api_.cuMemRelease(memory);  // it lives as long as it is mapped
    if (r != kSuccess) return r;
    r = api_.cuMemSetAccess(address, bytes, &access_, 1);
    if (r != kSuccess) (void)api_.cuMemUnmap(address, bytes);
    return r;
}

CuResult Vram::share(std::uint64_t chunk) {
    const auto found = shared_.find(chunk);
    if (found != shared_.end()) {
        ++found->second;
        return kSuccess;
    }
    const CuResult r = map(chunk, kChunkBytes);
    if (r == kSuccess) shared_[chunk] = 1;
    return r;
}

void Vram::unshare(std::uint64_t chunk) {
    const auto found = shared_.find(chunk);
    if (found == shared_.end() || --found->second != 0) return;
    (void)api_.cuMemUnmap(chunk, kChunkBytes);
    shared_.erase(found);
}

CuResult Vram::add(std::uint64_t address, std::uint64_t bytes) {
    if (!in_range(address) || bytes == 0 || bytes > bytes_ - (address - address_)) return kInvalidValue;
    const Allocation a = divide(address, bytes);
    CuResult r = a.middle_bytes != 0 ? map(a.middle, a.middle_bytes) : kSuccess;
    if (r != kSuccess) return r;
    if (a.head != 0) r = share(a.head);
    if (r == kSuccess && a.tail != 0) {
        r = share(a.tail);
        if (r != kSuccess && a.head != 0) unshare(a.head);
    }
    if (r == kSuccess) {
        allocations_[address] = a;
    } else if (a.middle_bytes != 0) {
        (void)api_.cuMemUnmap(a.middle, a.middle_bytes);
    }
    return r;
}

void Vram::remove(std::uint64_t address) {
    const auto found = allocations_.find(address);
    if (found == allocations_.end()) return;
    const Allocation& a = found->second;
    if (a.middle_bytes != 0) (void)api_.cuMemUnmap(a.middle, a.middle_bytes);
    if (a.head != 0) unshare(a.head);
    if (a.tail != 0) unshare(a.tail);
    allocations_.erase(found);
}

CuResult Vram::take(std::uint64_t bytes, CuAddress& address) {
    if (const CuResult r = api_.cuMemAddressReserve(&address, bytes, kChunkBytes, 0, 0); r != kSuccess) return r;
    const CuResult r = map(address, bytes);
    if (r != kSuccess) (void)api_.cuMemAddressFree(address, bytes);
    return r;
}

bool Vram::holds(std::uint64_t address, std::uint64_t bytes) const noexcept {
    auto it = allocations_.upper_bound(address);
    if (it == allocations_.begin()) return false;
    --it;
    const std::uint64_t offset = address - it->first;
    return offset < it->second.bytes && bytes <= it->second.bytes - offset;
}

}  // namespace farlane::backend::worker::cuda
