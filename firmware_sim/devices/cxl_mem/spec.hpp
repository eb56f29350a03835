// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: names and layouts of the Compute Express Link specification. Owns: nothing.
// Section numbers: CXL 3.0.
#pragma once

#include <cstdint>

namespace farlane::firmware::cxl {

// The BAR with both register blocks; 8.1.9.1: each begins at a multiple of 64 KiB.
constexpr std::uint32_t kBarBytes = 0x40000;
constexpr std::uint32_t kComponentBlock = 0, kComponentBytes = 0x10000;
constexpr std::uint32_t kDeviceBlock = 0x10000, kDeviceBytes = 0x10000;
constexpr std::uint32_t kMsixTable = 0x20000, kMsixPba = 0x30000;
constexpr unsigned kVectors = 4;
constexpr unsigned kMailboxVector = 0;
constexpr unsigned kFirstEventVector = 0;  // log n has vector n

// Device registers, 8.2.8: one capability array, then status, mailbox and memory device registers.
constexpr std::uint32_t kArrayCapability = 0x00, kStatusCapability = 0x10, kMailboxCapability = 0x20;
constexpr std::uint32_t kMemoryCapability = 0x30, kArrayEnd = 0x40;
constexpr std::uint16_t kStatusId = 0x0001, kMailboxId = 0x0002, kMemoryId = 0x4000;
constexpr std::uint32_t kStatusRegisters = 0x80, kStatusBytes = 8;
constexpr std::uint32_t kMailboxRegisters = 0x100, kMailboxBytes = 0x420;
constexpr std::uint32_t kMemoryRegisters = 0x600, kMemoryBytes = 8;

// Mailbox registers, 8.2.8.4, from kMailboxRegisters on.
namespace mailbox {
constexpr std::uint32_t kCapabilities = 0x00, kControl = 0x04, kCommand = 0x08, kStatus = 0x10, kBackground = 0x18;
constexpr std::uint32_t kPayload = 0x20, kPayloadBytes = 1024, kPayloadLog2 = 10;
constexpr std::uint32_t kDoorbell = 1, kDoorbellInterrupt = 2;
constexpr std::uint32_t kCanInterrupt = 1u << 5;
}  // namespace mailbox

// Return codes, 8.2.8.4.5.1.
enum class Return : std::uint16_t {
    success = 0x00,
    invalid_input = 0x02,
    unsupported = 0x03,
    invalid_handle = 0x0e,
    invalid_payload_length = 0x16,
    invalid_log = 0x17,
};

// Opcodes, 8.2.9.
constexpr std::uint16_t kGetEventRecords = 0x0100, kClearEventRecords = 0x0101, kGetEventPolicy = 0x0102;
constexpr std::uint16_t kSetEventPolicy = 0x0103, kGetFirmware = 0x0200, kGetTimestamp = 0x0300;
constexpr std::uint16_t kSetTimestamp = 0x0301, kGetLogs = 0x0400, kGetLog = 0x0401, kIdentify = 0x4000;
constexpr std::uint16_t kGetPartition = 0x4100, kGetHealth = 0x4200;

constexpr std::uint64_t kCapacityUnit = std::uint64_t{256} << 20;  // 8.2.9.8.1.1: capacities are counted in these
constexpr unsigned kEventLogs = 4;                                 // 8.2.9.2.2: information, warning, failure, fatal
constexpr std::uint8_t kEventInterruptMask = 0x03, kEventInterruptMsi = 0x01, kEventInterruptFirmware = 0x02;

// Memory device status, 8.2.8.5.1.1: media ready, mailbox ready.
constexpr std::uint64_t kMemoryStatus = 0x14;

}  // namespace farlane::firmware::cxl
