// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the kernel module as the daemon sees it. Owns: nothing.
// The one implementation is kernel_device.cpp; tests put a module of their own behind it.
// Contract: farlane/uapi/ioctl.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <farlane/uapi/ioctl.h>
#include <farlane/types.hpp>

#include "daemon/shared_memory.hpp"
#include "lib/daemon_ring.hpp"
#include "proto/session.hpp"

namespace farlane::daemon {

constexpr const char* kControlNode = "/dev/farlane/control";

/// What add() is told.
struct KernelFunctionSpec {
    FunctionInfo info;
    std::span<const std::byte> config;  ///< the configuration space as the device gave it
    channel::Geometry geometry;
    std::uint32_t completion_timeout_ms = 0;
    int submit_bell = -1;
    bool node = false;  ///< /dev/farlane/<name> instead of a driver
};

/// One function that the module has.
struct KernelFunction {
    std::uint32_t id = 0;
    std::uint32_t slot = 0;
    std::uint32_t state = 0;  ///< enum fl_function_state
    bool node = false;
    std::string name, peer;
    channel::Geometry geometry;
    std::uint64_t mmap_offset = 0;
    std::uint64_t channel_bytes = 0;
};

/// The channel of the application that has a function's node open.
struct KernelChannel {
    std::uint32_t generation = 0;
    bool open = false;  ///< false: the application has ended
    channel::Geometry geometry;
    std::uint64_t mmap_offset = 0;
    std::uint64_t channel_bytes = 0;
};

class KernelModule {
public:
    virtual ~KernelModule() = default;
    [[nodiscard]] virtual Result<fl_ioc_info> info() = 0;
    /// Becomes the daemon of `instance`. Result: how many functions are kept from the one before.
    [[nodiscard]] virtual Result<std::uint32_t> become(const proto::Instance& instance, std::uint32_t grace_ms) = 0;

    // --- may take seconds, and need the lane to answer meanwhile: never in the lane
    [[nodiscard]] virtual Result<KernelFunction> add(const KernelFunctionSpec& spec) = 0;
    [[nodiscard]] virtual Status remove(std::uint32_t id, bool surprise) = 0;

    // --- quick; lane thread
    /// Functions that are there, by index; not_found behind the last.
    [[nodiscard]] virtual Result<KernelFunction> get(std::uint32_t index) = 0;
    [[nodiscard]] virtual Status recover(std::uint32_t id, int submit_bell) = 0;
    [[nodiscard]] virtual Result<std::shared_ptr<SharedMemory>> map_channel(const KernelFunction& f) = 0;
    [[nodiscard]] virtual Status set_state(std::uint32_t id, fl_function_state state) = 0;
    [[nodiscard]] virtual Status error(std::uint32_t id, std::uint32_t severity, std::uint32_t source) = 0;

    // --- nodes
    /// Readable when there are events.
    [[nodiscard]] virtual int event_fd() const noexcept = 0;
    /// Functions of whose nodes there is something new; never waits.
    [[nodiscard]] virtual std::vector<std::uint32_t> events() = 0;
    /// not_found: no application.
    [[nodiscard]] virtual Result<KernelChannel> channel(std::uint32_t id) = 0;
    [[nodiscard]] virtual Status release_channel(std::uint32_t id, std::uint32_t generation) = 0;
    /// Wakes the application that sleeps on its complete ring.
    [[nodiscard]] virtual Status ring_application(std::uint32_t id) noexcept = 0;

    // --- hot; lane thread
    [[nodiscard]] virtual Status interrupt(std::uint32_t id, std::uint32_t first, std::uint64_t mask) noexcept = 0;
    /// The module looks at the complete ring, as it does in the two others of these.
    [[nodiscard]] virtual Status poke(std::uint32_t id) noexcept = 0;
    /// Executes all of them in order; each gets its status.
    [[nodiscard]] virtual Status dma(std::uint32_t id, std::span<fl_dma_op> ops, std::uint32_t& failed) noexcept = 0;
};

/// The module of this host. Failure: not_found (not loaded), denied, version.
[[nodiscard]] Result<std::shared_ptr<KernelModule>> open_kernel_device(const std::string& path = kControlNode);

}  // namespace farlane::daemon
