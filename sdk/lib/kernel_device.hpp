// SPDX-License-Identifier: Apache-2.0
// Receives: what an application asks of one device by its node. Hands on: slots of its channel
// (ring_device.cpp), ioctls of /dev/farlane/<name>. Owns: the open node, interrupt eventfds, mapped buffers.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lib/ring_device.hpp"

namespace farlane::provider {

/// Any thread.
class KernelDevice final : public RingDevice {
public:
    /// Opens the node and makes the channel. Throws Error: not_found, busy, denied, timeout.
    [[nodiscard]] static std::shared_ptr<KernelDevice> open(const std::string& node, const FunctionInfo& info);
    ~KernelDevice() override;

    // DeviceProvider
    void enable_interrupts(unsigned count) override;
    [[nodiscard]] std::shared_ptr<Buffer> allocate(std::size_t bytes) override;
    [[nodiscard]] std::uint64_t map(const std::shared_ptr<Buffer>& buffer, std::size_t offset, std::size_t bytes,
                                    DmaDirection direction) override;
    [[nodiscard]] std::uint64_t map_own(std::span<std::byte> memory, DmaDirection direction) override;
    void unmap(std::uint64_t iova) override;
    void acknowledge_reset() override;
    void detach() override;

private:
    KernelDevice(control::UniqueFd node, FunctionInfo info, std::unique_ptr<channel::AppChannel> channel);
    [[nodiscard]] std::optional<std::uint32_t> number_of(Buffer&) override { return std::nullopt; }
    [[nodiscard]] bool still_there() override;
    [[nodiscard]] std::uint64_t pin(std::span<std::byte> memory, DmaDirection direction);

    control::UniqueFd node_;
    std::map<std::uint64_t, std::shared_ptr<Buffer>> mapped_;
};

}  // namespace farlane::provider
