// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: numbers of the Virtual I/O Device specification 1.2. Owns: nothing.
#pragma once

#include <cstdint>

namespace farlane::firmware::virtio {

constexpr std::uint16_t kVendorId = 0x1af4, kFirstDeviceId = 0x1040;  // 4.1.2

/// Device types, 5.
enum class Kind : std::uint16_t { net = 1, block = 2, console = 3, entropy = 4 };

namespace feature {  // 6
constexpr std::uint64_t bit(unsigned n) noexcept {
    return std::uint64_t{1} << n;
}
constexpr std::uint64_t kIndirect = bit(28), kEventIndex = bit(29), kVersion1 = bit(32), kAccessPlatform = bit(33);
constexpr std::uint64_t kOrderPlatform = bit(36), kNotificationData = bit(38);
/// What the driver has to accept: without it DMA addresses would bypass the IOMMU.
constexpr std::uint64_t kRequired = kVersion1 | kAccessPlatform;
/// What the transport offers for every device.
constexpr std::uint64_t kTransport = kRequired | kIndirect | kEventIndex | kOrderPlatform | kNotificationData;
}  // namespace feature

namespace device_status {  // 2.1
constexpr std::uint32_t kDriverOk = 4, kFeaturesOk = 8, kNeedsReset = 64, kFailed = 128, kKnown = 0xcf;
}  // namespace device_status

constexpr std::uint16_t kNoVector = 0xffff;  // 4.1.4.3

namespace isr {  // 4.1.4.5
constexpr std::uint32_t kQueue = 1, kConfig = 2;
}  // namespace isr

// Capabilities, 4.1.4.
enum class Structure : std::uint8_t { common = 1, notify = 2, isr = 3, device = 4, window = 5 };
constexpr std::uint32_t kCapabilityBytes = 16, kLongCapabilityBytes = 20;

// Common configuration structure, 4.1.4.3.
namespace common {
constexpr std::uint32_t kDeviceFeatureSelect = 0, kDeviceFeature = 4, kDriverFeatureSelect = 8, kDriverFeature = 12;
constexpr std::uint32_t kConfigVector = 16, kQueues = 18, kStatus = 20, kGeneration = 21, kQueueSelect = 22;
constexpr std::uint32_t kQueueSize = 24, kQueueVector = 26, kQueueEnable = 28, kNotifyOffset = 30;
constexpr std::uint32_t kDescriptors = 32, kDriverArea = 40, kDeviceArea = 48, kNotifyData = 56, kBytes = 64;
}  // namespace common

// Split virtqueues, 2.7.
constexpr std::uint32_t kDescriptorBytes = 16, kUsedEntryBytes = 8;
constexpr std::uint16_t kDescriptorNext = 1, kDescriptorWrite = 2, kDescriptorIndirect = 4;
constexpr std::uint16_t kNoInterrupt = 1;  // flags of the driver area

/// 2.7.10: with VIRTIO_F_EVENT_IDX, is `event` among the entries [old_index, new_index)?
constexpr bool passes(std::uint16_t event, std::uint16_t new_index, std::uint16_t old_index) noexcept {
    return static_cast<std::uint16_t>(new_index - event - 1) < static_cast<std::uint16_t>(new_index - old_index);
}

}  // namespace farlane::firmware::virtio
