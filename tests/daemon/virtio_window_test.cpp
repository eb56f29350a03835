// SPDX-License-Identifier: Apache-2.0
// Receives: configuration spaces of virtio devices, true and hostile. Hands on: proof that the way to ask for their
// features stays within them. Owns: nothing.
#include "daemon/virtio_window.hpp"

#include <random>

#include <gtest/gtest.h>

namespace farlane::test {
namespace {

using daemon::ask_high_features;
using daemon::ConfigSpace;
using daemon::is_virtio;

void put(ConfigSpace& space, std::uint32_t at, std::uint32_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) space.at(at + i) = static_cast<std::byte>(value >> (8 * i));
}

void capability(ConfigSpace& space, std::uint32_t at, std::uint32_t next, std::uint32_t bytes, std::uint32_t type) {
    put(space, at, 0x09 | next << 8 | bytes << 16 | type << 24, 4);
}

/// PM, the common structure at 0x2000 of BAR 4, a window.
ConfigSpace modern() {
    ConfigSpace space{};
    put(space, 0, 0x1af4 | 0x1042U << 16, 4);
    put(space, 0x06, 0x10, 2);
    put(space, 0x34, 0x40, 1);
    put(space, 0x40, 0x01 | 0x50 << 8, 2);
    capability(space, 0x50, 0x60, 16, 1);
    put(space, 0x54, 4, 1);
    put(space, 0x58, 0x2000, 4);
    put(space, 0x5c, 56, 4);
    capability(space, 0x60, 0, 20, 5);
    return space;
}

TEST(VirtioWindow, StepsOfATrueDevice) {
    const ConfigSpace space = modern();
    ASSERT_TRUE(is_virtio(space));
    const auto steps = ask_high_features(space);
    ASSERT_TRUE(steps.ok()) << steps.failure().detail;
    const std::uint32_t wanted[6][4] = {{0x64, 1, 4, 0}, {0x6c, 4, 4, 0},      {0x68, 4, 0x2000, 0},
                                        {0x70, 4, 1, 0}, {0x68, 4, 0x2004, 0}, {0x70, 4, 0, 1}};
    for (std::size_t i = 0; i < 6; ++i) {
        const daemon::ConfigStep& s = steps.value()[i];
        const std::uint32_t got[4] = {s.offset, s.bytes, s.value, s.reads ? 1U : 0U};
        EXPECT_EQ(std::to_array(got), std::to_array(wanted[i])) << i;
    }
}

TEST(VirtioWindow, OnlyIdsOfTheSpecification) {
    ConfigSpace space = modern();
    const std::uint32_t others[] = {0x1110'1af4, 0x0fff'1af4, 0x1080'1af4, 0x1042'8086, 0xffff'ffff, 0};
    for (const std::uint32_t id : others) {
        put(space, 0, id, 4);
        EXPECT_FALSE(is_virtio(space)) << id;
    }
    put(space, 0, 0x1000'1af4, 4);
    EXPECT_TRUE(is_virtio(space)) << "transitional";
}

TEST(VirtioWindow, WhatIsMissingIsNamed) {
    ConfigSpace space = modern();
    put(space, 0x60, 0x14, 1);
    EXPECT_NE(ask_high_features(space).failure().detail.find("configuration access"), std::string::npos);
    space = modern();
    put(space, 0x62, 16, 1);
    EXPECT_EQ(ask_high_features(space).status(), Status::unsupported) << "a window without room for its data";
    space = modern();
    put(space, 0x06, 0, 2);
    EXPECT_NE(ask_high_features(space).failure().detail.find("legacy"), std::string::npos) << "no list";
    space = modern();
    put(space, 0x54, 6, 1);
    EXPECT_NE(ask_high_features(space).failure().detail.find("legacy"), std::string::npos) << "no such BAR";
    space = modern();
    put(space, 0x61, 0x60, 1);
    EXPECT_TRUE(ask_high_features(space).ok());
    put(space, 0x63, 4, 1);
    EXPECT_EQ(ask_high_features(space).status(), Status::unsupported) << "a list that never ends";
}

TEST(VirtioWindow, AnyBytesStayWithinTheFirst256) {
    std::mt19937 random(1);
    unsigned found = 0;
    for (int round = 0; round < 200'000; ++round) {
        ConfigSpace space = modern();
        for (int i = 0; i < 6; ++i) space[0x34 + random() % 0xcc] = static_cast<std::byte>(random());
        put(space, 0xf0, 0x09 | (random() & 0xff) << 8 | 20 << 16 | (random() % 6) << 24, 4);
        const auto steps = ask_high_features(space);
        if (!steps.ok()) continue;
        ++found;
        for (const daemon::ConfigStep& s : steps.value()) {
            ASSERT_GE(s.offset, 0x40U);
            ASSERT_LE(s.offset + s.bytes, 0x100U);
        }
    }
    EXPECT_GT(found, 1000U);
}

}  // namespace
}  // namespace farlane::test
