// SPDX-License-Identifier: Apache-2.0
// Receives: the configuration space of a function, as a device gave it: hostile. Hands on: how to ask a virtio
// device which features it offers, by configuration accesses alone. Owns: nothing. Virtio 1.2, 4.1.
#include "daemon/virtio_window.hpp"

#include <cstddef>

namespace farlane::daemon {
namespace {

constexpr std::uint32_t kVendor = 0x1af4, kFirstDevice = 0x1000, kLastDevice = 0x107f;  // 4.1.2
constexpr std::uint32_t kVendorSpecific = 0x09;                                         // PCIe 6.0, 7.9.4
constexpr std::uint32_t kCommon = 1, kWindow = 5;                                       // 4.1.4: cfg_type
constexpr std::uint32_t kCommonBytes = 16, kWindowBytes = 20, kBars = 6;
constexpr std::uint32_t kType = 3, kBar = 4, kOffset = 8, kLength = 12, kData = 16;
constexpr std::uint32_t kFeatureSelect = 0, kFeature = 4;  // 4.1.4.3
constexpr int kMostCapabilities = 48;

std::uint32_t byte_at(const ConfigSpace& space, std::uint32_t at) noexcept {
    return std::to_integer<std::uint32_t>(space[at & 0xff]);  // capabilities are in the first 256 bytes
}

std::uint32_t dword_at(const ConfigSpace& space, std::uint32_t at) noexcept {
    return byte_at(space, at) | byte_at(space, at + 1) << 8 | byte_at(space, at + 2) << 16 |
           byte_at(space, at + 3) << 24;
}

bool has_list(const ConfigSpace& space) noexcept {
    return (byte_at(space, 0x06) & 0x10) != 0;
}

/// The first capability of that type and at least that length; 0: none.
std::uint32_t find(const ConfigSpace& space, std::uint32_t type, std::uint32_t bytes) noexcept {
    std::uint32_t at = has_list(space) ? byte_at(space, 0x34) & 0xfcU : 0;
    for (int i = 0; i < kMostCapabilities && at >= 0x40; ++i, at = byte_at(space, at + 1) & 0xfcU) {
        const bool fits = at + bytes <= 0x100 && byte_at(space, at + 2) >= bytes;
        if (byte_at(space, at) == kVendorSpecific && byte_at(space, at + kType) == type && fits &&
            (type != kCommon || byte_at(space, at + kBar) < kBars))
            return at;
    }
    return 0;
}

}  // namespace

bool is_virtio(const ConfigSpace& space) noexcept {
    const std::uint32_t id = dword_at(space, 0), device = id >> 16;
    return (id & 0xffff) == kVendor && device >= kFirstDevice && device <= kLastDevice;
}

Result<std::array<ConfigStep, 6>> ask_high_features(const ConfigSpace& space) {
    const std::uint32_t common = find(space, kCommon, kCommonBytes);
    if (common == 0)
        return {Status::unsupported, "it is a legacy virtio device (before 1.0), which knows physical addresses only"};
    const std::uint32_t window = find(space, kWindow, kWindowBytes);
    if (window == 0)
        return {Status::unsupported,
                "it lacks the PCI configuration access capability of virtio (1.2, 4.1.4.9), so it can not be asked "
                "whether it offers VIRTIO_F_ACCESS_PLATFORM"};
    const std::uint32_t at = dword_at(space, common + kOffset);
    return std::array<ConfigStep, 6>{{
        {window + kBar, 1, byte_at(space, common + kBar)},
        {window + kLength, 4, 4},
        {window + kOffset, 4, at + kFeatureSelect},
        {window + kData, 4, 1},
        {window + kOffset, 4, at + kFeature},
        {window + kData, 4, 0, true},
    }};
}

}  // namespace farlane::daemon
