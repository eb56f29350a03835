// SPDX-License-Identifier: Apache-2.0
// Receives: devices and properties. Hands on: what queues, memory and programs are made in.
// Owns: an engine: one context of the accelerator. OpenCL 3.0, 4.4.
#pragma once

#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "opencl/engine.hpp"
#include "opencl/platform.hpp"

namespace farlane::opencl {

using ContextNotify = void(CL_CALLBACK*)(const char*, const void*, std::size_t, void*);
using ContextDestructor = void(CL_CALLBACK*)(cl_context, void*);

class Context : public Object {
public:
    using Handle = cl_context;
    static constexpr Kind kKind = Kind::context;
    static constexpr cl_int kInvalid = CL_INVALID_CONTEXT;

    Context(Device& device, std::vector<cl_context_properties> properties, ContextNotify notify, void* data);
    ~Context();
    [[nodiscard]] Device& device() const noexcept { return device_; }
    [[nodiscard]] Engine& engine() const noexcept { return *engine_; }
    [[nodiscard]] const std::vector<cl_context_properties>& properties() const noexcept { return properties_; }
    /// The application has let go of it: it ends when its commands and objects have.
    void released() { ending_ = device_.accelerator().ending(); }
    void add_destructor(ContextDestructor function, void* data);
    /// Whether a number is the handle of one of its buffers.
    [[nodiscard]] bool has_memory(cl_mem handle);
    void note_memory(cl_mem handle, bool there);
    /// Fails with CL_INVALID_DEVICE unless it is the device of this context.
    void check_device(cl_device_id device) const;

private:
    Device& device_;
    std::vector<cl_context_properties> properties_;
    std::shared_ptr<void> ending_;  ///< Accelerator::ending()
    std::shared_ptr<Engine> engine_;
    std::mutex mutex_;
    std::vector<std::pair<ContextDestructor, void*>> destructors_;
    std::unordered_set<cl_mem> memory_;
};

}  // namespace farlane::opencl
