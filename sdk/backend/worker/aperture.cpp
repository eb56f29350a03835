// SPDX-License-Identifier: Apache-2.0
// Receives: the plan of device memory. Hands on: memory as it says. Owns: aperture.hpp.
#include "backend/worker/aperture.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <string>

namespace farlane::backend::worker {
namespace {

constexpr std::uint64_t kPageBytes = FL_ACCEL_PAGE_BYTES;

bool fits(const MemoryPlan& p) noexcept {
    const bool aligned =
        (p.address | p.aperture_bytes | p.first | p.context_bytes | p.bounce_bytes | p.stride) % kPageBytes == 0;
    if (!aligned || p.contexts == 0 || p.context_bytes == 0 || p.stride < p.context_bytes) return false;
    if (p.stride - p.context_bytes < p.bounce_bytes) return false;
    if (p.first > p.aperture_bytes || p.address + p.aperture_bytes < p.address) return false;
    // The last range needs no more room than it has.
    const std::uint64_t last = p.context_bytes + p.bounce_bytes;
    if (p.aperture_bytes - p.first < last) return false;
    return (p.aperture_bytes - p.first - last) / p.stride >= p.contexts - 1;
}

}  // namespace

Result<std::unique_ptr<Aperture>> Aperture::make(const MemoryPlan& plan) {
    if (!fits(plan)) return {Status::invalid, "the ranges of the contexts do not fit the aperture"};
    void* base = ::mmap(nullptr, plan.aperture_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return {Status::no_memory, "no address space for an aperture of " + std::to_string(plan.aperture_bytes) +
                                       " bytes; ask for less (memory=)"};
    }
    std::unique_ptr<Aperture> made(new Aperture(plan, static_cast<std::byte*>(base)));
    for (std::uint32_t c = 0; c < plan.contexts; ++c) {
        if (!made->map(c)) {
            return {Status::limit, "no memory file for context " + std::to_string(c) +
                                       " of an accelerator; raise the limit of open files (ulimit -n)"};
        }
    }
    return made;
}

Aperture::~Aperture() {
    ::munmap(base_, plan_.aperture_bytes);
}

bool Aperture::map(std::uint32_t context) noexcept {
    Handle file(::memfd_create("farlane-context", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file.valid() || ::ftruncate(file.get(), static_cast<off_t>(file_bytes())) != 0) return false;
    // A worker that shortened it would fault whoever reads behind its end.
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return false;
    void* at = ::mmap(place_of(context), file_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file.get(), 0);
    if (at == MAP_FAILED) return false;
    files_[context] = std::move(file);
    return true;
}

void Aperture::punch(std::uint32_t context, std::uint64_t address, std::uint64_t bytes) noexcept {
    if (!files_[context].valid()) return;
    const std::uint64_t offset = address - address_of(context);
    (void)::fallocate(files_[context].get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                      static_cast<off_t>(bytes));
}

void Aperture::renew(std::uint32_t context) noexcept {
    // The memory comes back now, even when a process of before still holds the file.
    punch(context, address_of(context), file_bytes());
    if (map(context)) return;
    // Rather no worker for the next context than one on the file of this one.
    files_[context] = Handle();
    (void)::mmap(place_of(context), file_bytes(), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

void Aperture::clear() noexcept {
    struct stat status {};
    std::uint64_t gap = 0;  // from the end of the range before
    for (std::uint32_t c = 0; c < plan_.contexts; ++c) {
        const std::uint64_t begin = plan_.first + c * plan_.stride;
        (void)::madvise(base_ + gap, begin - gap, MADV_DONTNEED);
        gap = begin + file_bytes();
        if (!files_[c].valid() || ::fstat(files_[c].get(), &status) != 0 || status.st_blocks != 0) renew(c);
    }
    (void)::madvise(base_ + gap, plan_.aperture_bytes - gap, MADV_DONTNEED);
}

}  // namespace farlane::backend::worker
