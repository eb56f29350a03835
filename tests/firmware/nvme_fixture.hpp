// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: an NVMe device with a driver on it, and short names for commands. Owns: both.
#pragma once

#include <cstring>
#include <optional>
#include <random>

#include <gtest/gtest.h>

#include "firmware/rig.hpp"

namespace farlane::firmware::test {

// Status codes of NVM Express 1.4, 4.6.1.2: type in bits 10:8.
enum Code : unsigned {
    kInvalidOpcode = 0x001,
    kInvalidField = 0x002,
    kDataTransfer = 0x004,
    kAborted = 0x007,
    kInvalidNamespace = 0x00b,
    kSequence = 0x00c,
    kPrpOffset = 0x013,
    kLbaRange = 0x080,
    kCqInvalid = 0x100,
    kQueueId = 0x101,
    kQueueSize = 0x102,
    kAerLimit = 0x105,
    kVector = 0x108,
    kLogPage = 0x109,
    kBadFormat = 0x10a,
    kDeletion = 0x10c,
    kNotSaveable = 0x10d,
    kNotChangeable = 0x10e,
    kCompareFailure = 0x285,
};

inline void fill(std::span<std::byte> b, unsigned seed) {
    std::mt19937 r(seed);
    for (std::byte& x : b) x = static_cast<std::byte>(r());
}

inline bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

template <class T>
T number(std::span<const std::byte> b, std::size_t at) {
    T v{};
    for (std::size_t i = 0; i < sizeof v; ++i) v |= static_cast<T>(std::to_integer<T>(b[at + i]) << (8 * i));
    return v;
}

/// Blocks of 512 bytes, two I/O queues.
struct NvmeFixture : testing::Test {
    explicit NvmeFixture(firmware::test::Options options = {{"size", "4M"}, {"lba", "512"}, {"queues", "4"}},
                         const HostFaults& faults = {})
        : rig(std::move(options), faults), driver(std::in_place, rig.host, driver_options()) {}
    static nvme_user::Options driver_options() { return {.io_queues = 2, .queue_depth = 64}; }

    nvme_user::Completion admin(const nvme_user::Command& c) { return driver->admin(c); }
    nvme_user::Completion io(const nvme_user::Command& c) { return driver->io(c); }
    /// Read, write, compare, write zeroes of `blocks` from `lba` on, data at the start of `m`.
    nvme_user::Completion blocks(std::uint8_t opcode, std::uint64_t lba, unsigned count, const nvme_user::Memory& m,
                                 std::size_t offset = 0) {
        return driver->io(command(opcode, lba, count), m, offset, count * driver->space().block_bytes);
    }
    static nvme_user::Command command(std::uint8_t opcode, std::uint64_t lba, unsigned count) {
        return {.opcode = opcode,
                .nsid = 1,
                .dw10 = static_cast<std::uint32_t>(lba),
                .dw11 = static_cast<std::uint32_t>(lba >> 32),
                .dw12 = count - 1};
    }

    Rig rig;
    std::optional<nvme_user::Controller> driver;
};

#define EXPECT_CODE(completion, expected) EXPECT_EQ((completion).code(), static_cast<unsigned>(expected))

}  // namespace farlane::firmware::test
