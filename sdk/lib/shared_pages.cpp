// SPDX-License-Identifier: Apache-2.0
// Receives: a size. Hands on: zeroed shared memory that can be given to another process.
// Owns: the memfd and its mapping.
#include "lib/shared_pages.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace farlane::provider {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = 2U << 20;

std::size_t round_up(std::size_t v, std::size_t to) noexcept {
    return (v + to - 1) / to * to;
}

std::shared_ptr<SharedPages> try_make(std::size_t bytes, bool huge) {
    const auto mapped = round_up(bytes, huge ? kHugePage : kPage);
    const int fd = memfd_create("farlane-dma", MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB : 0U));
    if (fd < 0) return nullptr;
    void* p = MAP_FAILED;
    // Huge pages are reserved at mmap, so that a later touch can not fail.
    if (ftruncate(fd, static_cast<off_t>(mapped)) == 0)
        p = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        close(fd);
        return nullptr;
    }
    return std::make_shared<SharedPages>(fd, static_cast<std::byte*>(p), bytes, mapped, huge);
}

}  // namespace

std::shared_ptr<SharedPages> SharedPages::make(std::size_t bytes) {
    if (bytes == 0) throw Error(Status::invalid, "a DMA buffer has at least one byte");
    if (bytes >= kHugePage)
        if (auto pages = try_make(bytes, true)) return pages;
    if (bytes < SIZE_MAX - kPage)
        if (auto pages = try_make(bytes, false)) return pages;
    throw Error(Status::no_memory,
                "no memory for a DMA buffer of " + std::to_string(bytes) + " bytes: " + std::strerror(errno));
}

SharedPages::SharedPages(int fd, std::byte* data, std::size_t bytes, std::size_t mapped, bool huge) noexcept
    : fd_(fd), data_(data), bytes_(bytes), mapped_(mapped), huge_(huge) {}

SharedPages::~SharedPages() {
    munmap(data_, mapped_);
    close(fd_);
}

}  // namespace farlane::provider
