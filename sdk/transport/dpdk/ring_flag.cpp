// SPDX-License-Identifier: Apache-2.0
// Receives: the shared memory of a memif connection. Hands on: interrupts, asked for or not.
// Owns: a mapping of the head of the receive ring.
#include "transport/dpdk/ring_flag.hpp"

#include <utility>

#include <fcntl.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace farlane::transport::dpdk {
namespace {

// memif protocol, "Ring layout": a cookie, the flags, and the head, in a cache line of their own.
constexpr off_t kLineBytes = 64, kFlagsOffset = 4;
constexpr std::uint16_t kMaskInterrupts = 1;

bool membarrier(int command) noexcept {
    return ::syscall(SYS_membarrier, command, 0, 0) == 0;
}

}  // namespace

bool RingFlag::works() noexcept {
    return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) && membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

RingFlag RingFlag::map(const Fd& region, std::uint32_t ring_offset) {
    RingFlag flag;
    struct stat memory {};
    const int seals = ::fcntl(region.get(), F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) return flag;
    const off_t at = off_t{ring_offset} + kFlagsOffset;
    if (at % off_t{sizeof *flag.flags_} != 0 || ::fstat(region.get(), &memory) != 0 ||
        memory.st_size < off_t{ring_offset} + kLineBytes)
        return flag;
    const off_t page_bytes = memory.st_blksize, inside = at % page_bytes;  // of that memory: huge ones, perhaps
    const auto bytes = static_cast<std::size_t>(page_bytes);
    void* const page = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, region.get(), at - inside);
    if (page == MAP_FAILED) return flag;
    flag.page_ = static_cast<std::byte*>(page);
    flag.page_bytes_ = bytes;
    flag.flags_ = reinterpret_cast<std::uint16_t*>(flag.page_ + inside);
    return flag;
}

RingFlag::RingFlag(RingFlag&& other) noexcept
    : page_(std::exchange(other.page_, nullptr)),
      page_bytes_(std::exchange(other.page_bytes_, 0)),
      flags_(std::exchange(other.flags_, nullptr)) {}

RingFlag& RingFlag::operator=(RingFlag&& other) noexcept {
    std::swap(page_, other.page_);
    std::swap(page_bytes_, other.page_bytes_);
    std::swap(flags_, other.flags_);
    const RingFlag old(std::move(other));
    return *this;
}

RingFlag::~RingFlag() {
    if (page_ != nullptr) ::munmap(page_, page_bytes_);
}

std::atomic_ref<std::uint16_t> RingFlag::flags() const noexcept {
    return std::atomic_ref(*flags_);
}

void RingFlag::ask() noexcept {
    flags().store(0, std::memory_order_relaxed);
    (void)membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

void RingFlag::mask() noexcept {
    flags().store(kMaskInterrupts, std::memory_order_relaxed);
}

}  // namespace farlane::transport::dpdk
