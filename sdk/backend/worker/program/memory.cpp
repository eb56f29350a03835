// SPDX-License-Identifier: Apache-2.0
// Receives: the descriptor of a context's memory. Hands on: that memory at its device addresses. Owns: memory.hpp.
#include "backend/worker/program/memory.hpp"

#include <sys/mman.h>

namespace farlane::backend::worker {
namespace {

void* pointer(std::uint64_t address) noexcept {
    return reinterpret_cast<void*>(address);
}

}  // namespace

bool Memory::map(int fd, const Setup& setup) noexcept {
    const std::uint64_t whole = setup.aperture_bytes + setup.bounce_bytes;
    void* wanted = pointer(setup.aperture_address);
    if (::mmap(wanted, whole, PROT_NONE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) != wanted) return false;
    // What a runtime starts (a linker) has no business here.
    (void)::madvise(wanted, whole, MADV_DONTFORK);
    address_ = setup.aperture_address;
    bytes_ = setup.aperture_bytes;
    void* bounce = pointer(setup.aperture_address + setup.aperture_bytes);
    return setup.bounce_bytes == 0 || ::mprotect(bounce, setup.bounce_bytes, PROT_READ | PROT_WRITE) == 0;
}

bool Memory::open(std::uint64_t address, std::uint64_t bytes) noexcept {
    return contains(address, bytes) && ::mprotect(pointer(address), bytes, PROT_READ | PROT_WRITE) == 0;
}

bool Memory::shut(std::uint64_t address, std::uint64_t bytes) noexcept {
    return contains(address, bytes) && ::mprotect(pointer(address), bytes, PROT_NONE) == 0;
}

}  // namespace farlane::backend::worker
