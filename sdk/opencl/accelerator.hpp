// SPDX-License-Identifier: Apache-2.0
// Receives: a configuration. Hands on: the accelerators that take OpenCL C, with what they say of themselves.
// Owns: their attachments, until the process ends.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <farlane/uapi/accel.h>
#include <farlane/device.hpp>
#include <farlane/fabric.hpp>

#include "opencl/api.hpp"
#include "opencl/config.hpp"

namespace farlane::accel::detail {
class ContextState;
}

namespace farlane::opencl {

/// What clGetDeviceInfo of the remote device answered, by parameter.
class RemoteInfo {
public:
    RemoteInfo() = default;
    /// Records as FL_ACCEL_PROPERTY_OPENCL_INFO gives them; stops at the first that does not fit.
    explicit RemoteInfo(std::string_view records);
    [[nodiscard]] const std::vector<std::byte>* find(cl_device_info parameter) const;
    [[nodiscard]] std::string text(cl_device_info parameter) const;
    /// A number of 1 to 8 bytes.
    [[nodiscard]] std::uint64_t number(cl_device_info parameter, std::uint64_t otherwise) const;
    [[nodiscard]] bool empty() const noexcept { return items_.empty(); }

private:
    std::map<cl_device_info, std::vector<std::byte>> items_;
};

/// One attached accelerator.
class Accelerator {
public:
    /// Attaches it and asks what it is. Errors: as Fabric::attach; unsupported (it takes no OpenCL C).
    Accelerator(std::shared_ptr<Fabric> fabric, const std::string& name);
    Accelerator(const Accelerator&) = delete;
    Accelerator& operator=(const Accelerator&) = delete;

    [[nodiscard]] const RemoteInfo& info() const noexcept { return info_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const std::string& target() const noexcept { return target_; }
    [[nodiscard]] std::uint64_t capabilities() const noexcept { return capabilities_; }
    [[nodiscard]] std::uint64_t memory_bytes() const noexcept { return memory_bytes_; }
    /// What kernels print can be asked for.
    [[nodiscard]] bool tells_output() const noexcept { return tells_output_; }
    [[nodiscard]] std::uint64_t serial() const noexcept { return serial_; }
    /// A context of the device: the one that asked the questions, for the first, then new ones.
    /// Contexts that the application has released have what they have until they end, which may be later, in a thread
    /// of ours: where nothing is left, that is waited for.
    [[nodiscard]] std::shared_ptr<accel::detail::ContextState> open_context();
    /// A context is released; it has ended when the result is let go of.
    [[nodiscard]] std::shared_ptr<void> ending();
    /// Queue pairs that this process has for command queues.
    [[nodiscard]] std::atomic<unsigned>& queue_pairs() noexcept { return queue_pairs_; }
    /// The device answers; false = it is gone for good.
    [[nodiscard]] bool available() noexcept;
    /// Without waiting for anybody: the process ends.
    void detach() noexcept;

private:
    /// Contexts that have ended so far.
    [[nodiscard]] unsigned ended();
    /// False: none of ours is ending, or none has ended in time.
    [[nodiscard]] bool wait_for_an_end(unsigned ended_before);
    std::shared_ptr<Fabric> fabric_;
    Device device_;
    std::string name_, target_;
    std::uint64_t serial_ = 0, capabilities_ = 0, memory_bytes_ = 0;
    bool tells_output_ = false;
    RemoteInfo info_;
    std::mutex mutex_;
    std::shared_ptr<accel::detail::ContextState> first_;
    std::atomic<unsigned> queue_pairs_{0};
    std::mutex ends_mutex_;
    std::condition_variable ends_changed_;
    unsigned ending_ = 0, ended_ = 0;
};

/// All that the configuration names and that can be had; what can not is logged. `troubles`: what its author should
/// know, for each with what to do.
[[nodiscard]] std::vector<std::unique_ptr<Accelerator>> find_accelerators(const Config& config,
                                                                          std::vector<std::string>& troubles);

}  // namespace farlane::opencl
