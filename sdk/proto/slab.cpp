// SPDX-License-Identifier: Apache-2.0
// Receives: sizes. Hands on: memory that lies beside other memory of its size. Owns: large mappings. Cold.
#include "proto/slab.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>
#include <new>

#include <pthread.h>
#include <sys/mman.h>

namespace farlane::proto {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kPage = 4096;
constexpr std::size_t kLargest = 16 * 1024;  // more is not one of many
constexpr std::size_t kLongestSpan = 64 * 1024;
constexpr std::size_t kHugePage = 2 * 1024 * 1024;
// Who has few sessions has small pages, and as many as it needs; a huge page more is little beside that.
constexpr std::size_t kFirstChunk = kHugePage;
constexpr std::size_t kChunk = 4 * kHugePage;

/// An odd number of lines: the first lines of all objects of a size would share few sets of the cache else.
constexpr std::size_t lines_of(std::size_t bytes) noexcept {
    return ((bytes + kLine - 1) / kLine) | 1;
}

struct Room {
    std::byte* next = nullptr;
    std::byte* end = nullptr;
    [[nodiscard]] bool has(std::size_t bytes) const noexcept { return static_cast<std::size_t>(end - next) >= bytes; }
    std::byte* take(std::size_t bytes) noexcept {
        next += bytes;
        return next - bytes;
    }
};

class Slab {
public:
    void* take(std::size_t bytes);
    void give(void* place, std::size_t bytes) noexcept;
    [[nodiscard]] std::size_t in_use() noexcept {
        const std::scoped_lock lock(mutex_);
        return in_use_;
    }
    std::mutex& mutex() noexcept { return mutex_; }

private:
    struct Free {
        Free* next;
    };
    struct Size {
        Free* free = nullptr;
        Room span;
        std::size_t spans_bytes = 0;
    };
    void extend(Size& size, std::size_t bytes);
    void map_chunk();

    std::mutex mutex_;
    std::array<Size, kLargest / kLine / 2 + 1> sizes_{};
    Room chunk_;
    bool first_ = true;
    std::size_t in_use_ = 0;
};

void Slab::map_chunk() {
    const std::size_t bytes = first_ ? kFirstChunk : kChunk + kHugePage;
    void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    auto* begin = static_cast<std::byte*>(at);
    if (!first_) {
        std::byte* const end = begin + bytes;
        begin += -reinterpret_cast<std::uintptr_t>(begin) % kHugePage;
        (void)::munmap(at, static_cast<std::size_t>(begin - static_cast<std::byte*>(at)));
        (void)::munmap(begin + kChunk, static_cast<std::size_t>(end - begin) - kChunk);
        (void)::madvise(begin, kChunk, MADV_HUGEPAGE);
    }
    chunk_ = {begin, begin + (first_ ? kFirstChunk : kChunk)};
    first_ = false;
}

// Spans grow with what there is of a size.
void Slab::extend(Size& size, std::size_t bytes) {
    const std::size_t wanted = std::max(bytes, std::clamp(size.spans_bytes, kPage, kLongestSpan));
    const std::size_t span = (wanted + kPage - 1) / kPage * kPage;
    if (!chunk_.has(span)) map_chunk();
    std::byte* const begin = chunk_.take(span);
    size.span = {begin, begin + span};
    size.spans_bytes += span;
}

void* Slab::take(std::size_t bytes) {
    const std::size_t lines = lines_of(bytes);
    const std::scoped_lock lock(mutex_);
    Size& size = sizes_[lines / 2];
    if (size.free == nullptr && !size.span.has(lines * kLine)) extend(size, lines * kLine);
    in_use_ += lines * kLine;
    if (size.free == nullptr) return size.span.take(lines * kLine);
    Free* const place = size.free;
    size.free = place->next;
    return place;
}

void Slab::give(void* place, std::size_t bytes) noexcept {
    const std::size_t lines = lines_of(bytes);
    const std::scoped_lock lock(mutex_);
    Size& size = sizes_[lines / 2];
    size.free = new (place) Free{size.free};
    in_use_ -= lines * kLine;
}

constinit Slab slab;  // nothing is destroyed: the last object may go after it

// As with the heap: nobody else is in it while a child is made, or the child would wait for a thread it does not have.
[[maybe_unused]] const int for_children =
    ::pthread_atfork([] { slab.mutex().lock(); }, [] { slab.mutex().unlock(); }, [] { slab.mutex().unlock(); });

}  // namespace

void* slab_take(std::size_t bytes) {
    if (bytes <= kLargest) return slab.take(bytes);
    return ::operator new (bytes, std::align_val_t{kLine});
}

void slab_give(void* place, std::size_t bytes) noexcept {
    if (bytes <= kLargest) return slab.give(place, bytes);
    ::operator delete (place, std::align_val_t{kLine});
}

std::size_t slab_bytes_in_use() noexcept {
    return slab.in_use();
}

}  // namespace farlane::proto
