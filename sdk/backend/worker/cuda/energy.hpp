// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: energy of a device, and the name of its driver. Owns: the handle of NVML, where this
// machine has it.
#pragma once

#include <cstdint>
#include <string>

#include "backend/worker/cuda/driver.hpp"

namespace farlane::backend::worker::cuda {

class Energy {
public:
    Energy(const Api& api, CuDevice device);
    /// Since the driver was loaded; 0: this device does not tell.
    [[nodiscard]] std::uint64_t read_uj() const noexcept;
    /// "580.65.06"; empty: not known.
    [[nodiscard]] std::string driver() const;

private:
    using Handle = struct HandleOpaque*;
    int (*energy_)(Handle, unsigned long long*) = nullptr;
    int (*driver_)(char*, unsigned) = nullptr;
    Handle device_ = nullptr;
};

}  // namespace farlane::backend::worker::cuda
