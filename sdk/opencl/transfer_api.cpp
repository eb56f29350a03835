// SPDX-License-Identifier: Apache-2.0
// Receives: calls that read, write, copy, fill and map buffers. Hands on: checked transfers to the queue.
// Owns: nothing. OpenCL 3.0, 5.2.2 to 5.5.
#include <algorithm>
#include <array>
#include <bit>

#include "opencl/queue.hpp"
#include "opencl/transfer.hpp"

namespace farlane::opencl {
namespace {

using Call = CommandQueue::Call;
constexpr cl_mem_flags kNoRead = CL_MEM_HOST_WRITE_ONLY | CL_MEM_HOST_NO_ACCESS;
constexpr cl_mem_flags kNoWrite = CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS;
/// A blocking read of more is done in parts, so that one is copied out while others are on their way.
constexpr std::size_t kPartBytes = 2 << 20;
constexpr std::size_t kPartsUnderWay = 4;

Memory& memory_of(const CommandQueue& q, cl_mem memory) {
    auto& m = checked<Memory>(memory);
    require(&m.context() == &q.context(), CL_INVALID_CONTEXT);
    return m;
}

void check_range(const Memory& m, std::size_t offset, std::size_t bytes) {
    require(offset <= m.bytes() && bytes <= m.bytes() - offset, CL_INVALID_VALUE);
}

Call call_of(cl_uint count, const cl_event* list, cl_event* event, Call::Until until = Call::Until::enqueued) {
    return {count, list, event, until, false, false};
}

Call::Until until(cl_bool blocking, Call::Until what) {
    return blocking != CL_FALSE ? what : Call::Until::enqueued;
}

std::unique_ptr<Work> read_of(Memory& m, std::size_t offset, std::size_t bytes, std::byte* to) {
    return std::make_unique<ReadWork>(m, Layout{offset, bytes, bytes}, to, Layout{0, bytes, bytes}, Extent3{bytes});
}

/// Each part is a command; the event is the last one's.
void read_in_parts(CommandQueue& q, Memory& m, std::size_t offset, std::size_t bytes, std::byte* to, const Call& call) {
    std::vector<cl_event> parts;
    const auto forget = [&] {
        for (cl_event e : parts) clReleaseEvent(e);
    };
    try {
        for (std::size_t at = 0; at < bytes; at += kPartBytes) {
            const std::size_t n = std::min(kPartBytes, bytes - at);
            cl_event part = nullptr;
            q.enqueue(CL_COMMAND_READ_BUFFER, read_of(m, offset + at, n, to + at),
                      {call.wait_count, call.wait_list, &part, Call::Until::enqueued});
            parts.push_back(part);
            if (parts.size() <= kPartsUnderWay) continue;
            const cl_int code = clWaitForEvents(1, &parts[parts.size() - 1 - kPartsUnderWay]);
            require(code == CL_SUCCESS, code);
        }
        const cl_int code = clWaitForEvents(static_cast<cl_uint>(parts.size()), parts.data());
        require(code == CL_SUCCESS, code);
    } catch (...) {
        // Nothing may be written to the application's memory any more.
        if (!parts.empty()) (void)clWaitForEvents(static_cast<cl_uint>(parts.size()), parts.data());
        forget();
        throw;
    }
    if (call.event != nullptr) {
        *call.event = parts.back();
        parts.pop_back();
    }
    forget();
}

struct Rectangle {
    Extent3 extent;
    Layout device, host;
};

Rectangle checked_rectangle(const Memory& m, const std::size_t* buffer_origin, const std::size_t* host_origin,
                            const std::size_t* region, std::size_t buffer_row, std::size_t buffer_slice,
                            std::size_t host_row, std::size_t host_slice, const void* host) {
    require(host != nullptr, CL_INVALID_VALUE);
    Rectangle r;
    r.extent = checked_extent(region);
    r.device = checked_layout(buffer_origin, r.extent, buffer_row, buffer_slice);
    r.host = checked_layout(host_origin, r.extent, host_row, host_slice);
    require(fits(r.device, r.extent, m.bytes()), CL_INVALID_VALUE);
    return r;
}

/// Memory objects that are parts of the same buffer, or the same.
bool same_buffer(const Memory& a, const Memory& b) {
    return &a.state() == &b.state();
}

}  // namespace
}  // namespace farlane::opencl

using namespace farlane::opencl;

// --- read and write

CL_API_ENTRY cl_int CL_API_CALL clEnqueueReadBuffer(cl_command_queue queue, cl_mem memory, cl_bool blocking,
                                                    size_t offset, size_t bytes, void* to, cl_uint count,
                                                    const cl_event* list, cl_event* event) {
    return guarded(__func__, [&] {
        const Ref<CommandQueue> q(&checked<CommandQueue>(queue));
        auto& m = memory_of(*q, memory);
        require(to != nullptr && bytes != 0, CL_INVALID_VALUE);
        check_range(m, offset, bytes);
        require((m.flags() & kNoRead) == 0, CL_INVALID_OPERATION);
        const Call call = call_of(count, list, event, until(blocking, Call::Until::complete));
        auto* host = static_cast<std::byte*>(to);
        if (blocking != CL_FALSE && bytes > 2 * kPartBytes) return read_in_parts(*q, m, offset, bytes, host, call);
        q->enqueue(CL_COMMAND_READ_BUFFER, read_of(m, offset, bytes, host), call);
    });
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueWriteBuffer(cl_command_queue queue, cl_mem memory, cl_bool blocking,
                                                     size_t offset, size_t bytes, const void* from, cl_uint count,
                                                     const cl_event* list, cl_event* event) {
    return guarded(__func__, [&] {
        const Ref<CommandQueue> q(&checked<CommandQueue>(queue));
        auto& m = memory_of(*q, memory);
        require(from != nullptr && bytes != 0, CL_INVALID_VALUE);
        check_range(m, offset, bytes);
        require((m.flags() & kNoWrite) == 0, CL_INVALID_OPERATION);
        auto work = std::make_unique<WriteWork>(m, Layout{offset, bytes, bytes}, static_cast<const std::byte*>(from),
                                                Layout{0, bytes, bytes}, Extent3{bytes});
        q->enqueue(CL_COMMAND_WRITE_BUFFER, std::move(work),
                   call_of(count, list, event, until(blocking, Call::Until::sent)));
    });
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueReadBufferRect(cl_command_queue queue, cl_mem memory, cl_bool blocking,
                                                        const size_t* buffer_origin, const size_t* host_origin,
                                                        const size_t* region, size_t buffer_row, size_t buffer_slice,
                                                        size_t host_row, size_t host_slice, void* to, cl_uint count,
                                                        const cl_event* list, cl_event* event) {
    return guarded(__func__, [&] {
        const Ref<CommandQueue> q(&checked<CommandQueue>(queue));
        auto& m = memory_of(*q, memory);
        const auto r = checked_rectangle(m, buffer_origin, host_origin, region, buffer_row, buffer_slice, host_row,
                                         host_slice, to);
        require((m.flags() & kNoRead) == 0, CL_INVALID_OPERATION);
        auto work = std::make_unique<ReadWork>(m, r.device, static_cast<std::byte*>(to), r.host, r.extent);
        q->enqueue(CL_COMMAND_READ_BUFFER_RECT, std::move(work),
                   call_of(count, list, event, until(blocking, Call::Until::complete)));
    });
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueWriteBufferRect(cl_command_queue queue, cl_mem memory, cl_bool blocking,
                                                         const size_t* buffer_origin, const size_t* host_origin,
                                                         const size_t* region, size_t buffer_row, size_t buffer_slice,
                                                         size_t host_row, size_t host_slice, const void* from,
                                                         cl_uint count, const cl_event* list, cl_event* event) {
    return guarded(__func__, [&] {
        const Ref<CommandQueue> q(&checked<CommandQueue>(queue));
        auto& m = memory_of(*q, memory);
        const auto r = checked_rectangle(m, buffer_origin, host_origin, region, buffer_row, buffer_slice, host_row,
                                         host_slice, from);
        require((m.flags() & kNoWrite) == 0, CL_INVALID_OPERATION);
        auto work = std::make_unique<WriteWork>(m, r.device, static_cast<const std::byte*>(from), r.host, r.extent);
        q->enqueue(CL_COMMAND_WRITE_BUFFER_RECT, std::move(work),
                   call_of(count, list, event, until(blocking, Call::Until::sent)));
    });
}

// --- on the device

CL_API_ENTRY cl_int CL_API_CALL clEnqueueCopyBuffer(cl_command_queue queue, cl_mem source, cl_mem target,
                                                    size_t source_offset, size_t target_offset, size_t bytes,
                                                    cl_uint count, const cl_event* list, cl_event* event) {
    return guarded(__func__, [&] {
        const Ref<CommandQueue> q(&checked<CommandQueue>(queue));
        auto& from = memory_of(*q, source);
        auto& to = memory_of(*q, target);
        require(bytes != 0, CL_INVALID_VALUE);
        check_range(from, source_offset, bytes);
        check_range(to, target_offset, bytes);
        if (same_buffer(from, to)) {
            const std::size_t a = from.offset() + source_offset, b = to.offset() + target_offset;
            require(a + bytes <= b || b + bytes <= a, CL_MEM_COPY_OVERLAP);
        }
        auto work = std::make_unique<CopyWork>(to, Layout{target_offset, bytes, bytes}, from,
                                               Layout{source_offset, bytes, bytes}, Extent3{bytes});
        q->enqueue(CL_COMMAND_COPY_BUFFER, std::move(work), call_of(count, list, event));
    });
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueCopyBufferRect(cl_command_queue queue, cl_mem source, cl_mem target,
                                                        const size_t* source_origin, const size_t* target_origin,
                                                        const size_t* region, size_t source_row, size_t source_slice,
                                                        size_t target_row, size_t target_slice, cl_uint count,
                                                        const cl_event* list, cl_event* event) {
    return guarded(__func__, [&] {
        const Ref<CommandQueue> q(&checked<CommandQueue>(queue));
        auto& from = memory_of(*q, source);
        auto& to = memory_of(*q, target);
        const Extent3 extent = checked_extent(region);
        const Layout a = checked_layout(source_origin, extent, source_row, source_slice);
        const Layout b = checked_layout(target_origin, extent, target_row, target_slice);
        require(fits(a, extent, from.bytes()) && fits(b, extent, to.bytes()), CL_INVALID_VALUE);
        if (same_buffer(from, to)) {
            const bool same_pitches = a.row_pitch == b.row_pitch && a.slice_pitch == b.slice_pitch;
            require(same_pitches || &from != &to, CL_INVALID_VALUE);
            Layout in_a = a, in_b = b;
            in_a.offset += from.offset();
            in_b.offset += to.offset();
            const bool apart =
                in_a.offset + in_a.span(extent) <= in_b.offset || in_b.offset + in_b.span(extent) <= in_a.offset;
            require(apart || (same_pitches && !overlap(in_a, in_b, extent)), CL_MEM_COPY_OVERLAP);
        }
        q->enqueue(CL_COMMAND_COPY_BUFFER_RECT, std::make_unique<CopyWork>(to, b, from, a, extent),
                   call_of(count, list, event));
    });
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueFillBuffer(cl_command_queue queue, cl_mem memory, const void* pattern,
                                                    size_t pattern_bytes, size_t offset, size_t bytes, cl_uint count,
                                                    const cl_event* list, cl_event* event) {
    return guarded(__func__, [&] {
        const Ref<CommandQueue> q(&checked<CommandQueue>(queue));
        auto& m = memory_of(*q, memory);
        check_range(m, offset, bytes);
        require(pattern != nullptr && std::has_single_bit(pattern_bytes) && pattern_bytes <= 128, CL_INVALID_VALUE);
        require(offset % pattern_bytes == 0 && bytes % pattern_bytes == 0, CL_INVALID_VALUE);
        q->enqueue(CL_COMMAND_FILL_BUFFER, std::make_unique<FillWork>(m, pattern, pattern_bytes, offset, bytes),
                   call_of(count, list, event));
    });
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueMigrateMemObjects(cl_command_queue queue, cl_uint memories, const cl_mem* all,
                                                           cl_mem_migration_flags flags, cl_uint count,
                                                           const cl_event* list, cl_event* event) {
    return guarded(__func__, [&] {
        const Ref<CommandQueue> q(&checked<CommandQueue>(queue));
        require(memories != 0 && all != nullptr, CL_INVALID_VALUE);
        std::vector<Ref<Memory>> held;
        for (cl_uint i = 0; i < memories; ++i) held.emplace_back(&memory_of(*q, all[i]));
        constexpr cl_mem_migration_flags kKnown = CL_MIGRATE_MEM_OBJECT_HOST | CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED;
        require((flags & ~kKnown) == 0, CL_INVALID_VALUE);
        // With one device they are where they belong.
        q->enqueue(CL_COMMAND_MIGRATE_MEM_OBJECTS, std::make_unique<HoldWork>(std::move(held)),
                   call_of(count, list, event));
    });
}

// --- mapping

CL_API_ENTRY void* CL_API_CALL clEnqueueMapBuffer(cl_command_queue queue, cl_mem memory, cl_bool blocking,
                                                  cl_map_flags flags, size_t offset, size_t bytes, cl_uint count,
                                                  const cl_event* list, cl_event* event, cl_int* error) {
    return created(__func__, error, [&]() -> void* {
        const Ref<CommandQueue> q(&checked<CommandQueue>(queue));
        auto& m = memory_of(*q, memory);
        constexpr cl_map_flags kReadOrWrite = CL_MAP_READ | CL_MAP_WRITE;
        const bool invalidate = flags == CL_MAP_WRITE_INVALIDATE_REGION;
        require(bytes != 0 && flags != 0 && ((flags & ~kReadOrWrite) == 0 || invalidate), CL_INVALID_VALUE);
        check_range(m, offset, bytes);
        require((flags & CL_MAP_READ) == 0 || (m.flags() & kNoRead) == 0, CL_INVALID_OPERATION);
        require((flags & CL_MAP_READ) == flags || (m.flags() & kNoWrite) == 0, CL_INVALID_OPERATION);
        const Memory::Region region = m.map(offset, bytes, flags);
        try {
            auto work = invalidate ? std::make_unique<HoldWork>(std::vector<Ref<Memory>>{Ref<Memory>(&m)})
                                   : read_of(m, offset, bytes, region.host);
            q->enqueue(CL_COMMAND_MAP_BUFFER, std::move(work),
                       call_of(count, list, event, until(blocking, Call::Until::complete)));
        } catch (const Failure& f) {
            (void)m.unmap(region.host);
            if (f.code == CL_OUT_OF_RESOURCES) fail(CL_MAP_FAILURE);
            throw;
        } catch (...) {
            (void)m.unmap(region.host);
            throw;
        }
        return region.host;
    });
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueUnmapMemObject(cl_command_queue queue, cl_mem memory, void* mapped,
                                                        cl_uint count, const cl_event* list, cl_event* event) {
    return guarded(__func__, [&] {
        const Ref<CommandQueue> q(&checked<CommandQueue>(queue));
        auto& m = memory_of(*q, memory);
        (void)checked_wait_list(q->context(), count, list);
        Memory::Region r = m.unmap(mapped);
        std::unique_ptr<Work> work;
        if (r.writes) {
            work = std::make_unique<WriteWork>(m, Layout{r.offset, r.bytes, r.bytes}, r.host,
                                               Layout{0, r.bytes, r.bytes}, Extent3{r.bytes}, std::move(r.memory));
        } else {
            work = std::make_unique<HoldWork>(std::vector<Ref<Memory>>{Ref<Memory>(&m)});
        }
        q->enqueue(CL_COMMAND_UNMAP_MEM_OBJECT, std::move(work), call_of(count, list, event));
    });
}
