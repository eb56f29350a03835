// SPDX-License-Identifier: Apache-2.0
// Receives: beginnings and ends of workers. Hands on: memory shared with each. Owns: executor.hpp, ControlMemory.
#include <fcntl.h>
#include <sys/mman.h>

#include <new>

#include "backend/worker/executor.hpp"

namespace farlane::backend::worker {
namespace {

constexpr std::size_t kBytes = (sizeof(Control) + 4095) / 4096 * 4096;

}  // namespace

Result<std::unique_ptr<ControlMemory>> ControlMemory::make(std::uint32_t contexts) {
    void* base =
        ::mmap(nullptr, kBytes * contexts, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return {Status::no_memory, "no address space for the rings of worker processes"};
    return std::unique_ptr<ControlMemory>(new ControlMemory(static_cast<std::byte*>(base), contexts));
}

ControlMemory::~ControlMemory() {
    ::munmap(base_, kBytes * contexts_);
}

Control* ControlMemory::at(std::uint32_t context) const noexcept {
    return std::launder(reinterpret_cast<Control*>(base_ + context * kBytes));
}

Handle ControlMemory::renew(std::uint32_t context) noexcept {
    Handle file(::memfd_create("farlane-control", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file.valid() || ::ftruncate(file.get(), kBytes) != 0) return {};
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return {};
    void* at = ::mmap(base_ + context * kBytes, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file.get(), 0);
    if (at == MAP_FAILED) return {};
    return file;
}

void ControlMemory::clear(std::uint32_t context) noexcept {
    (void)::mmap(base_ + context * kBytes, kBytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

}  // namespace farlane::backend::worker
