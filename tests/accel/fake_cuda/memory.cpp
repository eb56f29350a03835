// SPDX-License-Identifier: Apache-2.0
// Receives: calls about memory. Hands on: memory of this process as if it were a device's. Owns: what is mapped.
#include <sys/mman.h>

#include "fake.hpp"

namespace fake {
namespace {

constexpr std::uint64_t kPage = 4096, kOwnPlace = 0x302000000, kOwnBytes = std::uint64_t{1} << 36;
constexpr unsigned char kGarbage = 0xa5;  // what was there before

struct Physical {
    std::uint64_t bytes = 0;
    bool held = true;
    bool mapped = false;
};

std::mutex mutex;
std::map<std::uint64_t, std::uint64_t> reserved, mappings, registrations;  // start and bytes
std::map<std::uint64_t, CuMemory> handle_at;
std::map<CuMemory, Physical> physical;
CuMemory next_handle = 1;
std::uint64_t used = 0;

/// The item of `ranges` that [address, +bytes) lies in.
auto around(const std::map<std::uint64_t, std::uint64_t>& ranges, std::uint64_t address, std::uint64_t bytes) {
    auto it = ranges.upper_bound(address);
    if (it == ranges.begin()) return ranges.end();
    --it;
    const std::uint64_t offset = address - it->first;
    return offset <= it->second && bytes <= it->second - offset ? it : ranges.end();
}

void* pointer(std::uint64_t address) {
    return reinterpret_cast<void*>(address);
}

void drop(CuMemory handle) {
    const Physical& p = physical[handle];
    if (p.held || p.mapped) return;
    used -= p.bytes;
    physical.erase(handle);
}

}  // namespace

std::byte* mapped(std::uint64_t address, std::uint64_t bytes) {
    const std::lock_guard lock(mutex);
    std::uint64_t at = address;
    const std::uint64_t end = address + bytes;
    while (at < end) {
        auto it = mappings.upper_bound(at);
        if (it == mappings.begin()) return nullptr;
        --it;
        if (at - it->first >= it->second) return nullptr;
        at = it->first + it->second;
    }
    return static_cast<std::byte*>(pointer(address));
}

bool registered(const void* at, std::uint64_t bytes) {
    const std::lock_guard lock(mutex);
    return around(registrations, reinterpret_cast<std::uint64_t>(at), bytes) != registrations.end();
}

}  // namespace fake

using namespace fake;

extern "C" {

CuResult cuMemAddressReserve(CuAddress* got, std::size_t bytes, std::size_t alignment, CuAddress wanted,
                             unsigned long long flags) {
    if (const CuResult r = usable(); r != kSuccess) return r;
    if (bytes == 0 || bytes % kPage != 0 || wanted % kPage != 0 || flags != 0 || (alignment & (alignment - 1)) != 0) {
        return kInvalidValue;
    }
    // A driver that has a place of its own for all of them and refuses others.
    if (is_set("own_addresses")) {
        if (wanted == 0) wanted = kOwnPlace;
        if (wanted < kOwnPlace || wanted - kOwnPlace >= kOwnBytes) return kOutOfMemory;
    }
    // One that takes no wish for alignment beside one for an address.
    if (is_set("no_alignment") && alignment != 0 && wanted != 0) return kInvalidValue;
    void* at = MAP_FAILED;
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    if (wanted != 0 && !is_set("no_fixed_address")) {
        at = ::mmap(pointer(wanted), bytes, PROT_NONE, kFlags | MAP_FIXED_NOREPLACE, -1, 0);
    }
    // Elsewhere, as the driver does: what was wanted is only a hint. Aligned by what is left out around it.
    if (at == MAP_FAILED) {
        at = ::mmap(nullptr, bytes + kChunkBytes, PROT_NONE, kFlags, -1, 0);
        if (at == MAP_FAILED) return kOutOfMemory;
        at = pointer((reinterpret_cast<std::uint64_t>(at) + kChunkBytes - 1) / kChunkBytes * kChunkBytes);
    }
    const std::lock_guard lock(mutex);
    *got = reinterpret_cast<CuAddress>(at);
    reserved[*got] = bytes;
    return kSuccess;
}

CuResult cuMemAddressFree(CuAddress address, std::size_t bytes) {
    const std::lock_guard lock(mutex);
    const auto it = reserved.find(address);
    if (it == reserved.end() || it->second != bytes) return kInvalidValue;
    ::munmap(pointer(address), bytes);
    reserved.erase(it);
    return kSuccess;
}

CuResult cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
    if (const CuResult r = usable(); r != kSuccess) return r;
    const std::lock_guard lock(mutex);
    *total = number("memory", 64 << 20);
    *free = *total - used;
    return kSuccess;
}

CuResult cuMemGetAllocationGranularity(std::size_t* unit, const MemoryProperties*, int) {
    *unit = kChunkBytes;
    return kSuccess;
}

CuResult cuMemCreate(CuMemory* handle, std::size_t bytes, const MemoryProperties* properties, unsigned long long) {
    if (const CuResult r = usable(); r != kSuccess) return r;
    if (bytes == 0 || bytes % kChunkBytes != 0 || properties->type != 1 || properties->location.type != 1) {
        return kInvalidValue;
    }
    const std::lock_guard lock(mutex);
    if (bytes > number("memory", 64 << 20) - used) return kOutOfMemory;
    used += bytes;
    *handle = next_handle++;
    physical[*handle] = {bytes};
    return kSuccess;
}

CuResult cuMemRelease(CuMemory handle) {
    const std::lock_guard lock(mutex);
    const auto it = physical.find(handle);
    if (it == physical.end() || !it->second.held) return kInvalidValue;
    it->second.held = false;
    drop(handle);
    return kSuccess;
}

CuResult cuMemMap(CuAddress address, std::size_t bytes, std::size_t, CuMemory handle, unsigned long long) {
    if (lost) return lost;
    const std::lock_guard lock(mutex);
    const auto it = physical.find(handle);
    if (it == physical.end() || it->second.bytes != bytes || it->second.mapped || address % kChunkBytes != 0) {
        return kInvalidValue;
    }
    if (around(reserved, address, bytes) == reserved.end()) return kInvalidValue;
    const auto next = mappings.lower_bound(address);
    if (next != mappings.end() && next->first < address + bytes) return kInvalidValue;
    if (around(mappings, address, 1) != mappings.end()) return kInvalidValue;
    it->second.mapped = true;
    mappings[address] = bytes;
    handle_at[address] = handle;
    return kSuccess;
}

CuResult cuMemSetAccess(CuAddress address, std::size_t bytes, const MemoryAccess* access, std::size_t count) {
    if (count != 1 || access->flags != kReadWrite || mapped(address, bytes) == nullptr) return kInvalidValue;
    if (is_set("no_access")) return kInvalidValue;
    ::mprotect(pointer(address), bytes, PROT_READ | PROT_WRITE);
    std::memset(pointer(address), kGarbage, bytes);
    return kSuccess;
}

CuResult cuMemUnmap(CuAddress address, std::size_t bytes) {
    const std::lock_guard lock(mutex);
    const auto it = mappings.find(address);
    if (it == mappings.end() || it->second != bytes) return kInvalidValue;
    mappings.erase(it);
    ::mprotect(pointer(address), bytes, PROT_NONE);
    ::madvise(pointer(address), bytes, MADV_DONTNEED);
    const CuMemory handle = handle_at[address];
    handle_at.erase(address);
    physical[handle].mapped = false;
    drop(handle);
    return kSuccess;
}

CuResult cuMemHostRegister_v2(void* at, std::size_t bytes, unsigned flags) {
    if (const CuResult r = usable(); r != kSuccess) return r;
    const auto address = reinterpret_cast<std::uint64_t>(at);
    // Pages are made and held, to be written by the device too: they must be there and writable.
    constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, Linux 5.14
    if (bytes == 0 || address % kPage != 0 || bytes % kPage != 0 || flags != 0) return kInvalidValue;
    if (::madvise(at, bytes, kPopulateWrite) != 0) return kInvalidValue;
    const std::lock_guard lock(mutex);
    const auto next = registrations.lower_bound(address);
    const bool taken = (next != registrations.end() && next->first < address + bytes) ||
                       around(registrations, address, 1) != registrations.end();
    if (taken) return kAlreadyRegistered;
    registrations[address] = bytes;
    return kSuccess;
}

CuResult cuMemHostUnregister(void* at) {
    const std::lock_guard lock(mutex);
    return registrations.erase(reinterpret_cast<std::uint64_t>(at)) == 1 ? kSuccess : kNotRegistered;
}

}  // extern "C"
