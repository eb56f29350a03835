// SPDX-License-Identifier: Apache-2.0
// Receives: sizes, flags and host pointers. Hands on: buffers and parts of them.
// Owns: device memory, and host memory of mapped regions. OpenCL 3.0, 5.2.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "opencl/context.hpp"

namespace farlane::opencl {

class CommandQueue;
using MemoryDestructor = void(CL_CALLBACK*)(cl_mem, void*);

class Memory : public Object {
public:
    using Handle = cl_mem;
    static constexpr Kind kKind = Kind::memory;
    static constexpr cl_int kInvalid = CL_INVALID_MEM_OBJECT;

    /// A buffer, filled as the flags say.
    Memory(Context& context, cl_mem_flags flags, std::size_t bytes, void* host, std::vector<cl_mem_properties> list);
    /// A part of one.
    Memory(Memory& parent, cl_mem_flags flags, std::size_t offset, std::size_t bytes);
    ~Memory();

    [[nodiscard]] Context& context() const noexcept { return *context_; }
    [[nodiscard]] Engine& engine() const noexcept { return context_->engine(); }
    [[nodiscard]] cl_mem_flags flags() const noexcept { return flags_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    /// In its buffer, when it is a part.
    [[nodiscard]] std::size_t offset() const noexcept { return offset_; }
    [[nodiscard]] Memory* parent() const noexcept { return parent_.get(); }
    [[nodiscard]] lib::BufferState& state() const noexcept { return *state_; }
    /// CL_MEM_USE_HOST_PTR: the application's memory for the first byte.
    [[nodiscard]] std::byte* host() const noexcept { return host_; }
    [[nodiscard]] const std::vector<cl_mem_properties>& property_list() const noexcept { return list_; }
    void add_destructor(MemoryDestructor function, void* data);

    // --- mapped regions
    struct Region {
        std::byte* host = nullptr;
        std::size_t offset = 0, bytes = 0;
        bool writes = false;
        std::shared_ptr<std::byte[]> memory;  ///< null: the application's own
    };
    /// Host memory for a region. Throws bad_alloc.
    [[nodiscard]] Region map(std::size_t offset, std::size_t bytes, cl_map_flags flags);
    /// Ends the mapping that begins there. Fails with CL_INVALID_VALUE.
    [[nodiscard]] Region unmap(void* host);
    [[nodiscard]] cl_uint map_count() const;

private:
    void fill(const void* host);
    Ref<Context> context_;
    Ref<Memory> parent_;
    cl_mem_flags flags_;
    std::size_t offset_ = 0, bytes_;
    std::byte* host_ = nullptr;
    std::vector<cl_mem_properties> list_;
    std::shared_ptr<lib::BufferState> state_;
    mutable std::mutex mutex_;
    std::vector<Region> regions_;
    std::vector<std::pair<MemoryDestructor, void*>> destructors_;
};

}  // namespace farlane::opencl
