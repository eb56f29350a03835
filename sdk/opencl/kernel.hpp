// SPDX-License-Identifier: Apache-2.0
// Receives: arguments, one by one. Hands on: all of them, for a launch.
// Owns: the values that were set. OpenCL 3.0, 5.9.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "opencl/memory.hpp"
#include "opencl/program.hpp"

namespace farlane::opencl {

/// One argument as it was set.
struct KernelArgument {
    enum class Kind : std::uint8_t { missing, value, memory, null, shared } kind = Kind::missing;
    std::vector<std::byte> value;
    Ref<Memory> memory;
    std::uint32_t shared_bytes = 0;
};

class Kernel : public Object {
public:
    using Handle = cl_kernel;
    static constexpr farlane::opencl::Kind kKind = farlane::opencl::Kind::kernel;
    static constexpr cl_int kInvalid = CL_INVALID_KERNEL;

    Kernel(Program& program, std::shared_ptr<lib::KernelState> state);
    /// With the same arguments.
    explicit Kernel(const Kernel& other);
    ~Kernel();
    [[nodiscard]] Program& program() const noexcept { return *program_; }
    [[nodiscard]] Context& context() const noexcept { return program_->context(); }
    [[nodiscard]] const std::shared_ptr<lib::KernelState>& state() const noexcept { return state_; }
    [[nodiscard]] const accel::KernelInfo& info() const noexcept { return state_->info; }
    [[nodiscard]] std::span<const KernelArgument> arguments() const noexcept { return arguments_; }
    void set(cl_uint index, std::size_t bytes, const void* value);
    [[nodiscard]] bool prints() const noexcept { return prints_; }
    /// Whether clGetKernelArgInfo has answers: the program was built to have them.
    [[nodiscard]] bool tells_arguments() const noexcept { return tells_arguments_; }
    /// Of a work group, with what was set.
    [[nodiscard]] cl_ulong local_memory_bytes() const noexcept;

private:
    [[nodiscard]] accel::ArgumentKind kind_of(cl_uint index, std::size_t bytes, const void* value) const;
    void set_memory(KernelArgument& a, std::size_t bytes, const void* value) const;
    void refuse_images(cl_uint index, std::size_t bytes) const;

    Ref<Program> program_;
    std::shared_ptr<lib::KernelState> state_;
    bool tells_arguments_ = false, prints_ = false;
    std::vector<KernelArgument> arguments_;
};

}  // namespace farlane::opencl
