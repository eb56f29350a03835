// SPDX-License-Identifier: Apache-2.0
// Receives: calls about buffers. Hands on: device memory with its first content.
// Owns: buffers (memory.hpp). OpenCL 3.0, 5.2.1, 5.5.
#include "opencl/memory.hpp"

#include <algorithm>

#include "opencl/answer.hpp"
#include "opencl/queue.hpp"

namespace farlane::opencl {
namespace {

constexpr cl_mem_flags kDeviceAccess = CL_MEM_READ_WRITE | CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY;
constexpr cl_mem_flags kHostPointer = CL_MEM_USE_HOST_PTR | CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR;
constexpr cl_mem_flags kHostAccess = CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_WRITE_ONLY | CL_MEM_HOST_NO_ACCESS;
constexpr std::size_t kMapAlignment = 128;  // the largest type, a long16

bool at_most_one(cl_mem_flags bits) {
    return (bits & (bits - 1)) == 0;
}

void check_access(cl_mem_flags flags) {
    require(at_most_one(flags & kDeviceAccess) && at_most_one(flags & kHostAccess), CL_INVALID_VALUE);
}

cl_mem_flags checked_flags(cl_mem_flags flags, const void* host) {
    require((flags & ~(kDeviceAccess | kHostPointer | kHostAccess)) == 0, CL_INVALID_VALUE);
    check_access(flags);
    const bool use = (flags & CL_MEM_USE_HOST_PTR) != 0;
    require(!use || (flags & (CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR)) == 0, CL_INVALID_VALUE);
    const bool takes_host = (flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR)) != 0;
    require(takes_host == (host != nullptr), CL_INVALID_HOST_PTR);
    return (flags & kDeviceAccess) == 0 ? flags | CL_MEM_READ_WRITE : flags;
}

/// What a part has of its own, the rest is inherited. Errors: CL_INVALID_VALUE.
cl_mem_flags part_flags(cl_mem_flags whole, cl_mem_flags flags) {
    require((flags & ~(kDeviceAccess | kHostAccess)) == 0, CL_INVALID_VALUE);
    check_access(flags);
    const bool narrow =
        ((whole & CL_MEM_WRITE_ONLY) != 0 && (flags & (CL_MEM_READ_WRITE | CL_MEM_READ_ONLY)) != 0) ||
        ((whole & CL_MEM_READ_ONLY) != 0 && (flags & (CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY)) != 0) ||
        ((whole & CL_MEM_HOST_WRITE_ONLY) != 0 && (flags & CL_MEM_HOST_READ_ONLY) != 0) ||
        ((whole & CL_MEM_HOST_READ_ONLY) != 0 && (flags & CL_MEM_HOST_WRITE_ONLY) != 0) ||
        ((whole & CL_MEM_HOST_NO_ACCESS) != 0 && (flags & (CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_WRITE_ONLY)) != 0);
    require(!narrow, CL_INVALID_VALUE);
    if ((flags & kDeviceAccess) == 0) flags |= whole & kDeviceAccess;
    if ((flags & kHostAccess) == 0) flags |= whole & kHostAccess;
    return flags | (whole & kHostPointer);
}

std::vector<cl_mem_properties> checked_properties(const cl_mem_properties* list) {
    std::vector<cl_mem_properties> all;
    if (list == nullptr) return all;
    require(*list == 0, CL_INVALID_PROPERTY);  // none is defined
    all.push_back(0);
    return all;
}

Memory* make_buffer(cl_context context, const cl_mem_properties* properties, cl_mem_flags flags, std::size_t bytes,
                    void* host) {
    auto& c = checked<Context>(context);
    auto list = checked_properties(properties);
    const cl_mem_flags all = checked_flags(flags, host);
    require(bytes != 0 && bytes <= c.device().max_allocation_bytes(), CL_INVALID_BUFFER_SIZE);
    return new Memory(c, all, bytes, host, std::move(list));
}

void answer_memory(const Memory& m, cl_mem_info what, const Answer& answer) {
    switch (what) {
        case CL_MEM_TYPE: return answer.value<cl_mem_object_type>(CL_MEM_OBJECT_BUFFER);
        case CL_MEM_FLAGS: return answer.value(m.flags());
        case CL_MEM_SIZE: return answer.value(m.bytes());
        case CL_MEM_HOST_PTR: return answer.value<void*>((m.flags() & CL_MEM_USE_HOST_PTR) != 0 ? m.host() : nullptr);
        case CL_MEM_MAP_COUNT: return answer.value(m.map_count());
        case CL_MEM_REFERENCE_COUNT: return answer.value(m.references());
        case CL_MEM_CONTEXT: return answer.value(handle_of(&m.context()));
        case CL_MEM_ASSOCIATED_MEMOBJECT: return answer.value(handle_of(m.parent()));
        case CL_MEM_OFFSET: return answer.value(m.offset());
        case CL_MEM_USES_SVM_POINTER: return answer.value<cl_bool>(CL_FALSE);
        case CL_MEM_PROPERTIES: return answer.list(m.property_list());
        default: fail(CL_INVALID_VALUE);
    }
}

}  // namespace

Memory::Memory(Context& context, cl_mem_flags flags, std::size_t bytes, void* host, std::vector<cl_mem_properties> list)
    : Object(Kind::memory), context_(&context), flags_(flags), bytes_(bytes), list_(std::move(list)) {
    if ((flags & CL_MEM_USE_HOST_PTR) != 0) host_ = static_cast<std::byte*>(host);
    fill(host);
    context_->note_memory(handle_of(this), true);
}

void Memory::fill(const void* host) {
    Engine& e = engine();
    Guard guard(e);
    state_ = e.allocate(guard, bytes_);
    if (host == nullptr) return;
    try {
        Track& own = e.own_track();
        e.upload(guard, own, *state_, 0, std::span(static_cast<const std::byte*>(host), bytes_));
        // It may be on its way through staging memory: whoever uses the buffer first comes behind that.
        if (!state_->uses.done()) state_->allocation = e.state().mark(*own.queue);
    } catch (...) {
        state_.reset();
        throw;
    }
}

Memory::Memory(Memory& parent, cl_mem_flags flags, std::size_t offset, std::size_t bytes)
    : Object(Kind::memory),
      context_(&parent.context()),
      parent_(&parent),
      flags_(flags),
      offset_(offset),
      bytes_(bytes),
      host_(parent.host_ == nullptr ? nullptr : parent.host_ + offset),
      state_(parent.state_) {
    context_->note_memory(handle_of(this), true);
}

Memory::~Memory() {
    context_->note_memory(handle_of(this), false);
    engine().discard(std::move(state_));
    for (auto d = destructors_.rbegin(); d != destructors_.rend(); ++d) {
        if (Guard::inside()) {
            // Under a lock a function of the application might wait for it.
            std::thread([f = *d, handle = handle_of(this)] { f.first(handle, f.second); }).detach();
        } else {
            d->first(handle_of(this), d->second);
        }
    }
}

void Memory::add_destructor(MemoryDestructor function, void* data) {
    const std::lock_guard lock(mutex_);
    destructors_.emplace_back(function, data);
}

// --- mapped regions

Memory::Region Memory::map(std::size_t offset, std::size_t bytes, cl_map_flags flags) {
    Region r;
    r.offset = offset;
    r.bytes = bytes;
    r.writes = (flags & (CL_MAP_WRITE | CL_MAP_WRITE_INVALIDATE_REGION)) != 0;
    if (host_ != nullptr) {
        r.host = host_ + offset;
    } else {
        r.host = static_cast<std::byte*>(::operator new(bytes, std::align_val_t(kMapAlignment)));
        r.memory = std::shared_ptr<std::byte[]>(
            r.host, [](std::byte* p) { ::operator delete(p, std::align_val_t(kMapAlignment)); });
    }
    const std::lock_guard lock(mutex_);
    regions_.push_back(r);
    return r;
}

Memory::Region Memory::unmap(void* host) {
    const std::lock_guard lock(mutex_);
    const auto at = std::find_if(regions_.begin(), regions_.end(), [&](const Region& r) { return r.host == host; });
    require(at != regions_.end(), CL_INVALID_VALUE);
    Region r = std::move(*at);
    regions_.erase(at);
    return r;
}

cl_uint Memory::map_count() const {
    const std::lock_guard lock(mutex_);
    return static_cast<cl_uint>(regions_.size());
}

}  // namespace farlane::opencl

using namespace farlane::opencl;

CL_API_ENTRY cl_mem CL_API_CALL clCreateBuffer(cl_context context, cl_mem_flags flags, size_t bytes, void* host,
                                               cl_int* error) {
    return created(__func__, error, [&] { return handle_of(make_buffer(context, nullptr, flags, bytes, host)); });
}

CL_API_ENTRY cl_mem CL_API_CALL clCreateBufferWithProperties(cl_context context, const cl_mem_properties* properties,
                                                             cl_mem_flags flags, size_t bytes, void* host,
                                                             cl_int* error) {
    return created(__func__, error, [&] { return handle_of(make_buffer(context, properties, flags, bytes, host)); });
}

CL_API_ENTRY cl_mem CL_API_CALL clCreateSubBuffer(cl_mem memory, cl_mem_flags flags, cl_buffer_create_type type,
                                                  const void* info, cl_int* error) {
    return created(__func__, error, [&] {
        auto& m = checked<Memory>(memory);
        require(m.parent() == nullptr, CL_INVALID_MEM_OBJECT);
        const cl_mem_flags all = part_flags(m.flags(), flags);
        require(type == CL_BUFFER_CREATE_TYPE_REGION && info != nullptr, CL_INVALID_VALUE);
        const auto& region = *static_cast<const cl_buffer_region*>(info);
        require(region.size != 0, CL_INVALID_BUFFER_SIZE);
        require(region.origin <= m.bytes() && region.size <= m.bytes() - region.origin, CL_INVALID_VALUE);
        require(region.origin % m.context().device().base_alignment_bytes() == 0, CL_MISALIGNED_SUB_BUFFER_OFFSET);
        return handle_of(new Memory(m, all, region.origin, region.size));
    });
}

CL_API_ENTRY cl_int CL_API_CALL clRetainMemObject(cl_mem memory) {
    return guarded(__func__, [&] { checked<Memory>(memory).retain(); });
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseMemObject(cl_mem memory) {
    return guarded(__func__, [&] { release(&checked<Memory>(memory)); });
}

CL_API_ENTRY cl_int CL_API_CALL clGetMemObjectInfo(cl_mem memory, cl_mem_info what, size_t room, void* to,
                                                   size_t* bytes) {
    return guarded(__func__, [&] { answer_memory(checked<Memory>(memory), what, Answer(room, to, bytes)); });
}

CL_API_ENTRY cl_int CL_API_CALL clSetMemObjectDestructorCallback(cl_mem memory, MemoryDestructor function, void* data) {
    return guarded(__func__, [&] {
        auto& m = checked<Memory>(memory);
        require(function != nullptr, CL_INVALID_VALUE);
        m.add_destructor(function, data);
    });
}
