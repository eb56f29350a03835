// SPDX-License-Identifier: Apache-2.0
// Receives: work of one context. Hands on: commands of OpenCL, ends of jobs. Owns: the OpenCL context, one queue per
// stream, a buffer per allocation.
#pragma once

#include <array>
#include <map>

#include "backend/worker/opencl/api.hpp"
#include "backend/worker/program/runtime.hpp"

namespace farlane::backend::worker::opencl {

/// What an error of OpenCL is in ours; `detail` where the reason has one of its own, else the error.
[[nodiscard]] Outcome outcome_of(cl_int error, std::uint32_t detail = 0) noexcept;

class ClModule final : public LoadedModule {
public:
    ClModule(const Api& api, cl_program program) : api_(api), program_(program) {}
    ~ClModule() override { api_.clReleaseProgram(program_); }
    [[nodiscard]] cl_program program() const noexcept { return program_; }

private:
    const Api& api_;
    cl_program program_;
};

class ClKernel final : public BoundKernel {
public:
    ClKernel(const Api& api, cl_kernel kernel) : api_(api), kernel_(kernel) {}
    ~ClKernel() override { api_.clReleaseKernel(kernel_); }
    [[nodiscard]] cl_kernel kernel() const noexcept { return kernel_; }
    std::uint64_t shared_bytes = 0;  ///< of a block, without arguments

private:
    const Api& api_;
    cl_kernel kernel_;
};

class ClRuntime final : public Runtime {
public:
    ClRuntime(const Api& api, cl_device_id device, cl_context context, const Setup& setup, Sink& sink);

    Answer commit(const Ticket& ticket, std::uint64_t address, std::uint64_t bytes) override;
    void decommit(std::uint64_t address) override;
    Built build(fl_accel_module_kind kind, std::span<const std::byte> image, const std::string& options) override;
    Bound bind(LoadedModule& module, const std::string& name) override;
    Answer launch(const Ticket& ticket, BoundKernel& kernel, const AskLaunch& shape,
                  std::span<const std::byte> arguments) override;
    Answer copy(const Ticket& ticket, std::uint64_t destination, std::uint64_t source, std::uint64_t bytes) override;
    Answer fill(const Ticket& ticket, std::uint64_t destination, std::uint64_t bytes,
                std::span<const std::byte> pattern) override;
    void flush() override;

private:
    static constexpr std::size_t kViews = 32;
    struct View {
        std::uint64_t offset = 0;
        cl_mem memory = nullptr;
    };
    struct Allocation {
        std::uint64_t bytes = 0;
        cl_mem memory = nullptr;
        std::vector<View> views;  ///< buffers that begin further in, the newest at most kViews
        std::size_t next_view = 0;
    };
    struct Spot {
        cl_mem memory = nullptr;
        std::uint64_t offset = 0;
    };
    struct Queue {
        cl_command_queue queue = nullptr;
        bool dirty = false;
    };
    /// A job that OpenCL will tell the end of.
    struct Pending {
        ClRuntime* runtime;
        Ticket ticket;
        bool timed;
    };

    [[nodiscard]] bool is_local(std::uint64_t address) const noexcept {
        return address - setup_.local_address < setup_.local_bytes;
    }
    [[nodiscard]] cl_command_queue queue_of(std::uint32_t stream);
    [[nodiscard]] Allocation* find(std::uint64_t address, std::uint64_t& offset) noexcept;
    [[nodiscard]] Spot spot_of(std::uint64_t address) noexcept;
    [[nodiscard]] cl_int view_of(std::uint64_t address, cl_mem& memory);
    [[nodiscard]] cl_int make_view(Allocation& allocation, std::uint64_t address, std::uint64_t offset, cl_mem& memory);
    [[nodiscard]] Answer copy_overlapping(const Ticket& ticket, const Spot& to, const Spot& from, std::uint64_t bytes);
    [[nodiscard]] Outcome set_arguments(const ClKernel& kernel, std::span<const std::byte> block);
    /// After an enqueue: its end goes to the sink, or its error is the answer.
    [[nodiscard]] Answer began(const Ticket& ticket, cl_int error, cl_event event, bool timed = false);
    static void CL_CALLBACK on_end(cl_event event, cl_int status, void* pending);

    const Api& api_;
    cl_device_id device_;
    cl_context context_;
    Setup setup_;
    Sink& sink_;
    std::uint64_t shared_bytes_ = 0;  ///< that a block can have
    std::uint64_t alignment_ = 1;     ///< of a buffer in another; 1 where the device takes any pointer
    std::map<std::uint64_t, Allocation> allocations_;
    std::array<Queue, FL_ACCEL_MAX_QUEUES> queues_{};
    std::vector<std::uint32_t> dirty_;
};

}  // namespace farlane::backend::worker::opencl
