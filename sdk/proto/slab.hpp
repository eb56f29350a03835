// SPDX-License-Identifier: Apache-2.0
// Receives: sizes. Hands on: memory, 64-byte aligned, that lies beside other memory of its size. Owns: large mappings,
// which are never given back: what ends leaves its place to the next of its size.
// For what there is one of for each session or function. Of thousands of those each is used now and then: scattered
// over the heap they need a page each and then some, and looking up the pages costs as much as the memory itself.
#pragma once

#include <cstddef>

namespace farlane::proto {

/// Any thread. Throws std::bad_alloc.
[[nodiscard]] void* slab_take(std::size_t bytes);
/// `bytes` as it was taken.
void slab_give(void* place, std::size_t bytes) noexcept;
/// What is in use of it, for statistics.
[[nodiscard]] std::size_t slab_bytes_in_use() noexcept;

/// Objects of a class derived from it lie there.
class Slabbed {
public:
    static void* operator new(std::size_t bytes) { return slab_take(bytes); }
    static void operator delete(void* place, std::size_t bytes) noexcept { slab_give(place, bytes); }

protected:
    Slabbed() = default;
    ~Slabbed() = default;
};

/// For small containers that belong to such objects.
template <class T>
struct SlabAllocator {
    using value_type = T;
    SlabAllocator() = default;
    template <class U>
    SlabAllocator(const SlabAllocator<U>&) noexcept {}
    [[nodiscard]] T* allocate(std::size_t n) { return static_cast<T*>(slab_take(n * sizeof(T))); }
    void deallocate(T* place, std::size_t n) noexcept { slab_give(place, n * sizeof(T)); }
    friend bool operator==(const SlabAllocator&, const SlabAllocator&) noexcept { return true; }
};

}  // namespace farlane::proto
