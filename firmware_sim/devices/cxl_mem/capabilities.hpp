// SPDX-License-Identifier: Apache-2.0
// Receives: a configuration space. Hands on: the capabilities in it that make a function a CXL memory device.
// Owns: nothing.
#pragma once

#include <cstdint>

#include "core/config_space.hpp"

namespace farlane::firmware::cxl {

/// PCIe DVSEC for CXL Devices (id 0), GPF (5), Flex Bus Port (7) and Register Locator (8); CXL 3.0, 8.1.
void add_dvsecs(ConfigSpace& config, std::uint64_t capacity_bytes);

}  // namespace farlane::firmware::cxl
