// SPDX-License-Identifier: Apache-2.0
// Receives: the configuration space of a function, as a device gave it: hostile. Hands on: how to ask a virtio
// device which features it offers, by configuration accesses alone. Owns: nothing. Virtio 1.2, 4.1.
#pragma once

#include <array>
#include <cstdint>

#include <farlane/status.hpp>

#include "daemon/own_requests.hpp"

namespace farlane::daemon {

/// One access to configuration space.
struct ConfigStep {
    std::uint32_t offset = 0, bytes = 4, value = 0;
    bool reads = false;
};

/// Has an id of the virtio specification, so that the kernel's virtio_pci binds to it.
[[nodiscard]] bool is_virtio(const ConfigSpace& space) noexcept;

/// Steps that end with a read of features 32 to 63, through the window that a device has in its configuration space
/// (4.1.4.9). Failure: unsupported, with a sentence that says what it lacks.
[[nodiscard]] Result<std::array<ConfigStep, 6>> ask_high_features(const ConfigSpace& space);

/// VIRTIO_F_ACCESS_PLATFORM among features 32 to 63.
constexpr std::uint32_t kAccessPlatformHigh = 1U << (33 - 32);

}  // namespace farlane::daemon
