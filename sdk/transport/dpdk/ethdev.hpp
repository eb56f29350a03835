// SPDX-License-Identifier: Apache-2.0
// Receives: a device specification. Hands on: a started DPDK device with one queue each way.
// Owns: the device; not its buffer pool.
#pragma once

#include <memory>
#include <string>

#include "transport/dpdk/device_spec.hpp"

struct rte_mempool;

namespace farlane::transport::dpdk {

/// Ethernet header, then two bytes that say whose frames of the local experimental EtherType
/// these are (IEEE 802, 9.2.4 asks for such a subtype): 16 bytes, so records stay aligned.
constexpr std::uint32_t kHeaderBytes = 16;
constexpr std::uint32_t kMinPacketBytes = 60;

/// A device from hot-plug to removal. Making one may take tens of milliseconds.
class EthDevice {
public:
    [[nodiscard]] static Result<std::unique_ptr<EthDevice>> make(const DeviceSpec& spec, const Arguments& arguments,
                                                                 rte_mempool* pool, std::uint32_t frame_bytes);
    ~EthDevice();
    EthDevice(const EthDevice&) = delete;
    EthDevice& operator=(const EthDevice&) = delete;

    [[nodiscard]] std::uint16_t id() const noexcept { return id_; }
    [[nodiscard]] bool interrupts() const noexcept { return interrupts_; }

private:
    EthDevice() = default;
    [[nodiscard]] int start(rte_mempool* pool, std::uint32_t frame_bytes);

    std::string name_, bus_;
    std::uint16_t id_ = 0;
    bool named_ = false, plugged_ = false, interrupts_ = false;
};

}  // namespace farlane::transport::dpdk
