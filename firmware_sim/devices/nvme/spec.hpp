// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: numbers and layouts of the NVM Express base specification, revision 1.4.
// Owns: nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <farlane/uapi/types.h>

namespace farlane::firmware::nvme {

// --- registers, 3.1
namespace reg {
constexpr std::uint32_t kCap = 0x00, kVs = 0x08, kIntms = 0x0c, kIntmc = 0x10, kCc = 0x14, kCsts = 0x1c;
constexpr std::uint32_t kNssr = 0x20, kAqa = 0x24, kAsq = 0x28, kAcq = 0x30, kEnd = 0x38;
constexpr std::uint32_t kDoorbells = 0x1000;
}  // namespace reg
constexpr std::uint32_t kVersion = 0x00010400;
constexpr std::uint32_t kCcEnable = 0x1, kCcShutdown = 0x3u << 14;
constexpr std::uint32_t kCstsReady = 0x1, kCstsFatal = 0x2, kCstsShutdown = 0x3u << 2;
constexpr std::uint32_t kCstsShutdownBusy = 0x1u << 2, kCstsShutdownDone = 0x2u << 2;

constexpr std::uint32_t kPageBytes = 4096;  // CAP.MPSMIN = CAP.MPSMAX = 0
constexpr std::uint32_t kSqeBytes = 64, kCqeBytes = 16;

// --- opcodes, 5 and 6
enum class Admin : std::uint8_t {
    delete_sq = 0x00,
    create_sq = 0x01,
    get_log_page = 0x02,
    delete_cq = 0x04,
    create_cq = 0x05,
    identify = 0x06,
    abort = 0x08,
    set_features = 0x09,
    get_features = 0x0a,
    async_event = 0x0c,
    format = 0x80,
};
enum class Io : std::uint8_t {
    flush = 0x00,
    write = 0x01,
    read = 0x02,
    compare = 0x05,
    write_zeroes = 0x08,
    dataset_management = 0x09,
};

// --- status field without the phase bit, 4.6.1: SC 7:0, SCT 10:8, More 13, DNR 14
constexpr std::uint16_t kDnr = 0x4000;
enum Sc : std::uint16_t {
    kOk = 0x000,
    kInvalidOpcode = 0x001 | kDnr,
    kInvalidField = 0x002 | kDnr,
    kDataTransferError = 0x004,
    kInternalError = 0x006,
    kAbortRequested = 0x007,
    kInvalidNamespace = 0x00b | kDnr,
    kCommandSequence = 0x00c | kDnr,
    kPrpOffset = 0x013 | kDnr,
    kLbaRange = 0x080 | kDnr,
    kFormatInProgress = 0x084,
    kCqInvalid = 0x100 | kDnr,
    kQueueId = 0x101 | kDnr,
    kQueueSize = 0x102 | kDnr,
    kAerLimit = 0x105 | kDnr,
    kInterruptVector = 0x108 | kDnr,
    kLogPage = 0x109 | kDnr,
    kInvalidFormat = 0x10a | kDnr,
    kQueueDeletion = 0x10c | kDnr,
    kNotSaveable = 0x10d | kDnr,
    kNotChangeable = 0x10e | kDnr,
    kWriteFault = 0x280,
    kReadError = 0x281,
    kCompareFailure = 0x285 | kDnr,
};

// --- features, 5.21.1
enum Feature : std::uint8_t {
    kArbitration = 0x01,
    kPower = 0x02,
    kTemperature = 0x04,
    kErrorRecovery = 0x05,
    kWriteCache = 0x06,
    kQueueCount = 0x07,
    kCoalescing = 0x08,
    kVectorConfig = 0x09,
    kAtomicity = 0x0a,
    kAsyncConfig = 0x0b,
    kTimestamp = 0x0e,
    kFeatureCount = 0x0f,
};

// --- asynchronous events, 5.2.1
enum EventType : std::uint8_t { kEventError = 0, kEventSmart = 1, kEventNotice = 2, kEventTypes = 3 };

constexpr std::uint32_t kAllNamespaces = 0xffffffff;

/// A submission queue entry: its dwords in host byte order. 4.2
class Sqe {
public:
    explicit Sqe(std::span<const std::byte, kSqeBytes> raw) noexcept : raw_(raw) {}
    [[nodiscard]] std::uint32_t dword(unsigned i) const noexcept {
        fl_le32 v;
        std::memcpy(&v, raw_.data() + i * 4, sizeof v);
        return v.get();
    }
    [[nodiscard]] std::uint64_t qword(unsigned at_dword) const noexcept {
        return std::uint64_t{dword(at_dword + 1)} << 32 | dword(at_dword);
    }
    [[nodiscard]] std::uint8_t opcode() const noexcept { return static_cast<std::uint8_t>(dword(0)); }
    [[nodiscard]] bool fused() const noexcept { return (dword(0) >> 8 & 3) != 0; }
    [[nodiscard]] bool sgl() const noexcept { return (dword(0) >> 14 & 3) != 0; }
    [[nodiscard]] std::uint16_t cid() const noexcept { return static_cast<std::uint16_t>(dword(0) >> 16); }
    [[nodiscard]] std::uint32_t nsid() const noexcept { return dword(1); }
    [[nodiscard]] std::uint64_t prp1() const noexcept { return qword(6); }
    [[nodiscard]] std::uint64_t prp2() const noexcept { return qword(8); }

private:
    std::span<const std::byte, kSqeBytes> raw_;
};

/// Writes little-endian numbers into a data structure that goes to the host.
class Page {
public:
    explicit Page(std::span<std::byte> bytes) noexcept : bytes_(bytes) {}
    void u8(std::size_t at, unsigned v) noexcept { bytes_[at] = static_cast<std::byte>(v); }
    void u16(std::size_t at, unsigned v) noexcept { u8(at, v), u8(at + 1, v >> 8); }
    void u32(std::size_t at, std::uint32_t v) noexcept { u16(at, v), u16(at + 2, v >> 16); }
    void u64(std::size_t at, std::uint64_t v) noexcept {
        u32(at, static_cast<std::uint32_t>(v)), u32(at + 4, static_cast<std::uint32_t>(v >> 32));
    }
    /// ASCII, padded with spaces (1.5: strings).
    void text(std::size_t at, std::size_t room, std::string_view s) noexcept {
        for (std::size_t i = 0; i < room; ++i) u8(at + i, i < s.size() ? static_cast<unsigned char>(s[i]) : ' ');
    }

private:
    std::span<std::byte> bytes_;
};

}  // namespace farlane::firmware::nvme
