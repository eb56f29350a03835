// SPDX-License-Identifier: Apache-2.0
// The heap of timers beside a map that does the same, over random changes.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "lane/timer_heap.hpp"

namespace farlane::lane {
namespace {

using proto::Time;

TEST(TimerHeap, AgreesWithAMap) {
    std::mt19937_64 random(1);
    TimerHeap heap;
    std::map<std::uint32_t, Time> model;
    for (int i = 0; i < 200'000; ++i) {
        const auto number = static_cast<std::uint32_t>(random() % 300);
        const bool out = random() % 4 == 0;
        const Time at = out ? proto::kNever : Time{proto::Duration(static_cast<std::int64_t>(random() % 10'000))};
        heap.set(number, at);
        if (out)
            model.erase(number);
        else
            model[number] = at;
        Time first = proto::kNever;
        if (i % 16 == 0)
            for (const auto& [n, t] : model) first = std::min(first, t);
        ASSERT_EQ(heap.empty(), model.empty());
        ASSERT_EQ(heap.at(number), at);
        if (i % 16 != 0 || model.empty()) continue;
        ASSERT_EQ(heap.first(), first);
        ASSERT_EQ(model.at(heap.first_number()), first);
    }
    while (!heap.empty()) {
        const auto number = heap.first_number();
        ASSERT_EQ(model.at(number), heap.first());
        model.erase(number);
        heap.set(number, proto::kNever);
    }
    EXPECT_TRUE(model.empty());
    EXPECT_EQ(heap.first(), proto::kNever);
}

}  // namespace
}  // namespace farlane::lane
