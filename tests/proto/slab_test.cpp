// SPDX-License-Identifier: Apache-2.0
// Event: memory is taken and given back -> it is aligned, nobody else's, and used again.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "proto/slab.hpp"

namespace farlane::proto {
namespace {

TEST(Slab, WhatIsTakenIsAlignedAndNobodyElses) {
    struct Taken {
        std::size_t bytes;
        unsigned char* at;
        unsigned char mark;
    };
    std::vector<Taken> all;
    for (unsigned i = 0; i < 5000; ++i) {  // several mappings, and sizes that are the heap's
        const std::size_t bytes = 1 + (i * 977) % 20000;
        all.push_back({bytes, static_cast<unsigned char*>(slab_take(bytes)), static_cast<unsigned char>(i * 31)});
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(all.back().at) % 64, 0U);
        std::memset(all.back().at, all.back().mark, bytes);
    }
    for (const Taken& t : all) {
        for (std::size_t i = 0; i < t.bytes; ++i) ASSERT_EQ(t.at[i], t.mark);
        slab_give(t.at, t.bytes);
    }
}

TEST(Slab, WhatIsGivenBackIsUsedAgain) {
    const std::size_t before = slab_bytes_in_use();
    std::size_t most = 0;
    for (unsigned i = 0; i < 10000; ++i) {
        void* const a = slab_take(1000);
        void* const b = slab_take(1000);
        most = std::max(most, slab_bytes_in_use() - before);
        slab_give(a, 1000);
        slab_give(b, 1000);
    }
    EXPECT_LE(most, 2 * 1088U);
    EXPECT_EQ(slab_bytes_in_use(), before);
}

// The heap lets a child go on whatever another thread did when it was made; so does this.
TEST(Slab, AChildOfAProcessWithThreadsHasMemory) {
    const std::size_t before = slab_bytes_in_use();
    void* const taken = slab_take(1000);
    const bool heap = slab_bytes_in_use() == before;
    slab_give(taken, 1000);
    if (heap) GTEST_SKIP() << "memory of the heap, for a sanitizer";
    std::atomic<bool> over{false};
    std::thread other([&] {
        while (!over) slab_give(slab_take(1000), 1000);
    });
    int failed = 0;
    for (unsigned i = 0; i < 200 && failed == 0; ++i) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::alarm(10);  // it hangs
            slab_give(slab_take(1000), 1000);
            std::_Exit(0);
        }
        if (child < 0 || ::waitpid(child, &failed, 0) != child) failed = -1;
    }
    over = true;
    other.join();
    EXPECT_EQ(failed, 0);
}

struct Item : Slabbed {
    std::uint64_t value = 7;
};

TEST(Slab, ObjectsOfASizeLieBesideEachOther) {
    const std::size_t before = slab_bytes_in_use();
    std::vector<std::unique_ptr<Item>> items;
    for (unsigned i = 0; i < 1000; ++i) items.push_back(std::make_unique<Item>());
    if (slab_bytes_in_use() == before) GTEST_SKIP() << "memory of the heap, for a sanitizer";
    std::vector<std::uintptr_t> pages;
    for (const auto& item : items) pages.push_back(reinterpret_cast<std::uintptr_t>(item.get()) / 4096);
    std::sort(pages.begin(), pages.end());
    pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
    EXPECT_LE(pages.size(), 1000 * 64 / 4096 + 8U);
    items.clear();
    EXPECT_EQ(slab_bytes_in_use(), before);
}

}  // namespace
}  // namespace farlane::proto
