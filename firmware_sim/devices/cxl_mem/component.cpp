// SPDX-License-Identifier: Apache-2.0
// Receives: accesses to the component registers. Hands on: what they read. Owns: nothing; the writable ones are in
// State. Section numbers: CXL 3.0.
#include "devices/cxl_mem/component.hpp"

namespace farlane::firmware::cxl {
namespace {

// 8.2.3: CXL.cache and CXL.mem registers follow 4 KiB of CXL.io registers, of which there are none.
constexpr std::uint32_t kArray = 0x1000;
constexpr std::uint32_t kRas = 0x80, kLink = 0x100, kDecoder = 0x180;  // from kArray on
constexpr std::uint32_t kCapabilities = 3;

// 8.2.4.16: defaults; errors of CXL.cache and CXL.mem that can be masked
constexpr std::uint32_t kUncorrectable = 0x0001cfff, kCorrectable = 0x0000007f;

constexpr std::uint32_t kDecoderEnable = 1u << 1;
// 8.2.4.19.7: granularity and ways, lock, commit, type; committed (10) and error (11) are the device's
constexpr std::uint32_t kControlWritable = 0xffu | 1u << 8 | 1u << 9 | 1u << 12;
constexpr std::uint32_t kCommit = 1u << 9, kNotCommitted = 1u << 11;
constexpr std::uint32_t kAddressLow = 0xf0000000u;  // 8.2.4.19.3: multiples of 256 MiB
enum DecoderDword : std::uint32_t { kBaseLow, kBaseHigh, kSizeLow, kSizeHigh, kControl, kSkipLow, kSkipHigh };

constexpr std::uint32_t header(std::uint32_t id, std::uint32_t version, std::uint32_t at) {
    return id | version << 16 | at << 20;
}

}  // namespace

void Component::reset() noexcept {
    s_ = {};
    s_.uncorrectable_mask = s_.uncorrectable_severity = kUncorrectable;
    s_.correctable_mask = kCorrectable;
}

std::uint32_t Component::read(std::uint32_t offset) const noexcept {
    if (offset < kArray) return 0;
    const std::uint32_t at = offset - kArray;
    switch (at) {
        case 0x0: return 1u | 1u << 16 | 1u << 20 | kCapabilities << 24;  // 8.2.4.1
        case 0x4: return header(2, 2, kRas);
        case 0x8: return header(4, 2, kLink);
        case 0xc: return header(5, 1, kDecoder);
        case kRas + 0x04: return s_.uncorrectable_mask;
        case kRas + 0x08: return s_.uncorrectable_severity;
        case kRas + 0x10: return s_.correctable_mask;
        case kDecoder + 0x04: return s_.decoder_control;
        default: break;  // kDecoder itself reads 0: one decoder, one target, no interleaving
    }
    if (at >= kDecoder + 0x10 && at <= kDecoder + 0x10 + 4 * kSkipHigh) return s_.decoder[(at - kDecoder - 0x10) / 4];
    return 0;
}

void Component::write(std::uint32_t offset, std::uint32_t value) noexcept {
    if (offset < kArray) return;
    const std::uint32_t at = offset - kArray;
    switch (at) {
        case kRas + 0x04: s_.uncorrectable_mask = value & kUncorrectable; return;
        case kRas + 0x08: s_.uncorrectable_severity = value & kUncorrectable; return;
        case kRas + 0x10: s_.correctable_mask = value & kCorrectable; return;
        case kDecoder + 0x04: s_.decoder_control = value & kDecoderEnable; return;
        default: break;
    }
    if (at < kDecoder + 0x10 || at > kDecoder + 0x10 + 4 * kSkipHigh) return;
    const std::uint32_t dword = (at - kDecoder - 0x10) / 4;
    switch (dword) {
        case kBaseLow:
        case kSizeLow:
        case kSkipLow: s_.decoder[dword] = value & kAddressLow; break;
        case kControl:
            s_.decoder[kControl] = value & kControlWritable;
            if ((value & kCommit) != 0) s_.decoder[kControl] |= kNotCommitted;
            break;
        default: s_.decoder[dword] = value; break;
    }
}

}  // namespace farlane::firmware::cxl
