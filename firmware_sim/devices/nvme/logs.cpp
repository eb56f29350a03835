// SPDX-License-Identifier: Apache-2.0
// Receives: Get Log Page commands. Hands on: the pages of NVM Express 1.4, 5.14.1. Owns: nothing.
#include "devices/nvme/controller.hpp"

namespace farlane::firmware::nvme {
namespace {

enum Log : std::uint8_t { kErrors = 0x01, kHealth = 0x02, kFirmware = 0x03, kChanged = 0x04, kEffects = 0x05 };

// A simulated device has no sensor; this is what it says: 40 degrees Celsius, in kelvin.
constexpr std::uint32_t kTemperatureKelvin = 313;

std::uint32_t log_bytes(std::uint8_t id) noexcept {
    switch (id) {
        case kErrors: return kErrorEntries * 64;
        case kHealth:
        case kFirmware: return 512;
        case kChanged:
        case kEffects: return 4096;
        default: return 0;
    }
}

void error_page(const Lasting& l, Page& p) noexcept {
    for (std::uint32_t i = 0; i < kErrorEntries && i < l.errors; ++i) {  // newest first
        const ErrorEntry& e = l.error_log[(l.errors - 1 - i) % kErrorEntries];
        const std::size_t at = std::size_t{i} * 64;
        p.u64(at, e.count);
        p.u16(at + 8, e.sqid);
        p.u16(at + 10, e.cid);
        p.u16(at + 12, std::uint32_t{e.status} << 1);
        p.u16(at + 14, e.location);
        p.u64(at + 16, e.lba);
        p.u32(at + 24, e.nsid);
    }
}

void health_page(const Lasting& l, std::uint8_t warning, Page& p) noexcept {
    const auto units = [](std::uint64_t bytes) { return (bytes + 511'999) / 512'000; };  // thousands of 512 bytes
    p.u8(0, warning);
    p.u16(1, kTemperatureKelvin);
    p.u8(3, 100);  // available spare, its threshold
    p.u8(4, 10);
    p.u64(32, units(l.bytes_read));
    p.u64(48, units(l.bytes_written));
    p.u64(64, l.reads);
    p.u64(80, l.writes);
    p.u64(112, l.power_cycles);
    p.u64(160, l.media_errors);
    p.u64(176, l.errors);
}

// 5.14.1.5: CSUPP, LBCC, NCC; Format NVM is submitted alone (CSE 1 of its namespace)
void effects_page(Page& p) noexcept {
    constexpr std::uint32_t kSupported = 1, kContent = 1 << 1, kCapability = 1 << 2, kAlone = 1u << 16;
    for (const Admin a : {Admin::delete_sq, Admin::create_sq, Admin::get_log_page, Admin::delete_cq, Admin::create_cq,
                          Admin::identify, Admin::abort, Admin::set_features, Admin::get_features, Admin::async_event})
        p.u32(std::size_t{static_cast<std::uint8_t>(a)} * 4, kSupported);
    p.u32(std::size_t{static_cast<std::uint8_t>(Admin::format)} * 4, kSupported | kContent | kCapability | kAlone);
    for (const Io o : {Io::flush, Io::read, Io::compare})
        p.u32(1024 + std::size_t{static_cast<std::uint8_t>(o)} * 4, kSupported);
    for (const Io o : {Io::write, Io::write_zeroes, Io::dataset_management})
        p.u32(1024 + std::size_t{static_cast<std::uint8_t>(o)} * 4, kSupported | kContent);
}

}  // namespace

std::uint16_t Controller::get_log(std::uint32_t slot, const Sqe& entry) noexcept {
    const auto id = static_cast<std::uint8_t>(entry.dword(10));
    const std::uint32_t size = log_bytes(id);
    if (size == 0) return kLogPage;
    const std::uint64_t dwords = (std::uint64_t{entry.dword(11) & 0xffff} << 16 | entry.dword(10) >> 16) + 1;
    const std::uint64_t offset = entry.qword(12);
    if (dwords * 4 > std::uint64_t{kMdtsPages} * kPageBytes || (offset & 3) != 0 || offset > size) return kInvalidField;
    // LPA bit 0 is clear: health is of the controller
    if (id == kHealth && entry.nsid() != kAllNamespaces && entry.nsid() != 0) return kInvalidField;
    return transfer(slot, Move::to_host, static_cast<std::uint32_t>(dwords * 4));
}

void Controller::log_page(std::uint8_t id, std::span<std::byte> page) const noexcept {
    Page p(page);
    switch (id) {
        case kErrors: error_page(state_.lasting, p); break;
        case kHealth: health_page(state_.lasting, critical_warning(), p); break;
        case kFirmware:
            p.u8(0, 1);  // slot 1 is active
            p.text(8, 8, "1.0");
            break;
        case kChanged:
            if (state_.session.namespace_changed != 0) p.u32(0, 1);
            break;
        default: effects_page(p); break;
    }
}

// 5.14.1.2: temperature over the threshold, reliability degraded.
std::uint8_t Controller::critical_warning() const noexcept {
    const bool hot = kTemperatureKelvin >= (state_.session.features[kTemperature] & 0xffff);
    return static_cast<std::uint8_t>((hot ? 1u << 1 : 0) | (media_->healthy() ? 0 : 1u << 2));
}

}  // namespace farlane::firmware::nvme
