// SPDX-License-Identifier: Apache-2.0
// Receives: what a configuration says of a device. Hands on: the device. Owns: nothing.
#pragma once

#include <memory>

#include "backend/backend.hpp"

namespace farlane::firmware {

/// NVM Express controller (devices/nvme). Keeps its state in `memory`, which must outlive it.
[[nodiscard]] Result<std::unique_ptr<backend::Device>> make_nvme(const backend::DeviceConfig& config,
                                                                 backend::Memory& memory);
/// Farlane accelerator (devices/accel). Memory as above.
[[nodiscard]] Result<std::unique_ptr<backend::Device>> make_accel(const backend::DeviceConfig& config,
                                                                  backend::Memory& memory);
/// PCI serial port with two channels (devices/serial). Memory as above.
[[nodiscard]] Result<std::unique_ptr<backend::Device>> make_serial(const backend::DeviceConfig& config,
                                                                   backend::Memory& memory);
/// CXL type 3 memory device (devices/cxl_mem). Memory as above.
[[nodiscard]] Result<std::unique_ptr<backend::Device>> make_cxl_mem(const backend::DeviceConfig& config,
                                                                    backend::Memory& memory);
/// Virtio functions (devices/virtio). Memory as above.
[[nodiscard]] Result<std::unique_ptr<backend::Device>> make_virtio_blk(const backend::DeviceConfig& config,
                                                                       backend::Memory& memory);
[[nodiscard]] Result<std::unique_ptr<backend::Device>> make_virtio_console(const backend::DeviceConfig& config,
                                                                           backend::Memory& memory);
[[nodiscard]] Result<std::unique_ptr<backend::Device>> make_virtio_net(const backend::DeviceConfig& config,
                                                                       backend::Memory& memory);
[[nodiscard]] Result<std::unique_ptr<backend::Device>> make_virtio_rng(const backend::DeviceConfig& config,
                                                                       backend::Memory& memory);
/// DMA wherever it is told, for tests (devices/dma_test). Memory as above.
[[nodiscard]] Result<std::unique_ptr<backend::Device>> make_dma_test(const backend::DeviceConfig& config,
                                                                     backend::Memory& memory);
/// An account of what came, for tests (devices/tally). Memory as above.
[[nodiscard]] Result<std::unique_ptr<backend::Device>> make_tally(const backend::DeviceConfig& config,
                                                                  backend::Memory& memory);
/// Only their options.
[[nodiscard]] Result<bool> check_nvme(const backend::DeviceConfig& config);
[[nodiscard]] Result<bool> check_accel(const backend::DeviceConfig& config);
[[nodiscard]] Result<bool> check_serial(const backend::DeviceConfig& config);
[[nodiscard]] Result<bool> check_cxl_mem(const backend::DeviceConfig& config);
[[nodiscard]] Result<bool> check_dma_test(const backend::DeviceConfig& config);
[[nodiscard]] Result<bool> check_tally(const backend::DeviceConfig& config);
[[nodiscard]] Result<bool> check_virtio_blk(const backend::DeviceConfig& config);
[[nodiscard]] Result<bool> check_virtio_console(const backend::DeviceConfig& config);
[[nodiscard]] Result<bool> check_virtio_net(const backend::DeviceConfig& config);
[[nodiscard]] Result<bool> check_virtio_rng(const backend::DeviceConfig& config);

}  // namespace farlane::firmware
