// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the layout of what a virtio function keeps across kill -9. Owns: nothing.
//
// Plain data in a backend::Memory region, stored in program order (core/persist.hpp). Requests are not in it:
// a function uses its buffers in the order in which they were made available, so the used index, which lies in
// host memory, says where to go on (ring.cpp). What is found is treated as hostile: plausible() first.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/function.hpp"
#include "devices/virtio/spec.hpp"

namespace farlane::firmware::virtio {

constexpr unsigned kMaxQueues = 16;
constexpr std::uint32_t kMaxQueueSize = 256;
constexpr std::uint32_t kMaxSegments = 256;  // descriptors of a request, indirect ones included

struct QueueState {
    std::uint64_t descriptors, driver, device;
    std::uint32_t size;
    std::uint32_t vector;
    std::uint32_t enabled;
    std::uint32_t executed;  // requests before this position had their effect; kept by queues that repeat none
};

/// What a device reset clears.
struct Session {
    std::uint64_t driver_features;
    std::uint32_t device_feature_select, driver_feature_select;
    std::uint32_t config_vector;
    std::uint32_t queue_select;
    std::uint32_t isr;
    std::uint32_t reserved;
    std::array<QueueState, kMaxQueues> queues;
};

struct State {
    static constexpr std::uint64_t kMagic = 0x314f'4954'5249'5600;  // layout 1
    std::uint64_t magic;
    std::uint32_t kind;
    std::uint32_t status;  // device_status
    FunctionState function;
    Session session;
    std::array<std::uint8_t, 16> identity;  // random, for serial numbers and addresses
    std::uint32_t generation;               // of the device configuration
    std::uint32_t reserved;
};
static_assert(std::is_trivially_copyable_v<State>);

}  // namespace farlane::firmware::virtio
