// SPDX-License-Identifier: Apache-2.0
// Receives: the first questions of a program. Hands on: the one platform and its devices.
// Owns: both, for the rest of the process. OpenCL 3.0, 4.1 and 4.2.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <sys/types.h>

#include "opencl/accelerator.hpp"
#include "opencl/object.hpp"

namespace farlane::opencl {

class Platform;

/// An accelerator as OpenCL sees it. Never destroyed.
class Device : public Object {
public:
    using Handle = cl_device_id;
    static constexpr Kind kKind = Kind::device;
    static constexpr cl_int kInvalid = CL_INVALID_DEVICE;

    Device(Platform& platform, std::unique_ptr<Accelerator> accelerator);
    [[nodiscard]] Platform& platform() const noexcept { return platform_; }
    [[nodiscard]] Accelerator& accelerator() const noexcept { return *accelerator_; }
    [[nodiscard]] const RemoteInfo& remote() const noexcept { return accelerator_->info(); }

    // What the checks of other calls need, often.
    [[nodiscard]] cl_device_type type() const noexcept { return type_; }
    [[nodiscard]] bool is_version_3() const noexcept { return version_3_; }
    [[nodiscard]] std::size_t max_work_group() const noexcept { return max_work_group_; }
    [[nodiscard]] const std::vector<std::size_t>& max_work_items() const noexcept { return max_work_items_; }
    [[nodiscard]] cl_ulong global_memory_bytes() const noexcept;
    [[nodiscard]] cl_ulong max_allocation_bytes() const noexcept;
    [[nodiscard]] cl_ulong local_memory_bytes() const noexcept { return local_memory_bytes_; }
    /// Of sub-buffers, in bytes.
    [[nodiscard]] std::size_t base_alignment_bytes() const noexcept { return base_alignment_bytes_; }
    [[nodiscard]] std::size_t max_parameter_bytes() const noexcept;
    [[nodiscard]] std::string extensions() const;
    [[nodiscard]] bool takes_il() const noexcept;

private:
    Platform& platform_;
    std::unique_ptr<Accelerator> accelerator_;
    cl_device_type type_ = CL_DEVICE_TYPE_ACCELERATOR;
    bool version_3_ = true;
    std::size_t max_work_group_ = 1, base_alignment_bytes_ = 128;
    std::vector<std::size_t> max_work_items_;
    cl_ulong local_memory_bytes_ = 0;
};

/// The platform "Farlane".
class Platform : public Object {
public:
    using Handle = cl_platform_id;
    static constexpr Kind kKind = Kind::platform;
    static constexpr cl_int kInvalid = CL_INVALID_PLATFORM;

    Platform() : Object(Kind::platform) {}
    /// Lives as long as the process: handles may be used until the very end.
    [[nodiscard]] static Platform& get();
    /// Found and attached when they are first asked for; again in a child of fork().
    [[nodiscard]] std::vector<Device*> devices();
    /// Lets go of the accelerators; nothing can be done with the devices then.
    void end() noexcept;

private:
    std::mutex mutex_;
    pid_t owner_ = 0;
    std::vector<Device*> devices_;
};

/// "0.1.0"
[[nodiscard]] const char* library_version() noexcept;

}  // namespace farlane::opencl
