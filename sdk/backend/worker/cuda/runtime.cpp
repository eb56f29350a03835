// SPDX-License-Identifier: Apache-2.0
// Receives: work of one context. Hands on: calls of the CUDA driver, ends of jobs. Owns: cuda/runtime.hpp.
#include "backend/worker/cuda/runtime.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "backend/worker/signature.hpp"

namespace farlane::backend::worker {
namespace cuda {
namespace {

constexpr std::uint32_t kChosenBlock = 256;

/// Work items have no rest that a block could leave out: the largest block that divides their number.
std::uint32_t block_for(std::uint32_t items, std::uint32_t max_block) noexcept {
    std::uint32_t block = std::min(kChosenBlock, max_block == 0 ? kChosenBlock : max_block);
    while (items % block != 0) --block;
    return block;
}

template <class T>
T pattern_as(std::span<const std::byte> pattern, std::size_t at = 0) noexcept {
    T value{};
    std::memcpy(&value, pattern.data() + at, sizeof value);
    return value;
}

}  // namespace

Outcome reason_of(CuResult result) noexcept {
    const auto detail = static_cast<std::uint32_t>(result);
    switch (result) {
        case kSuccess: return {};
        case kOutOfMemory: return {FL_ACCEL_REASON_OUT_OF_MEMORY, detail, 0};
        case kInvalidValue:
        case kOutOfResources: return {FL_ACCEL_REASON_BAD_GRID, detail, 0};
        case kNotFound: return {FL_ACCEL_REASON_UNKNOWN_KERNEL, 0, 0};
        default: return {FL_ACCEL_REASON_EXECUTION, detail, 0};
    }
}

CudaRuntime::CudaRuntime(const Api& api, CuDevice device, CuContext context, const Setup& setup, Sink& sink)
    : api_(api),
      device_(device),
      context_(context),
      setup_(setup),
      vram_(api, device),
      pinned_(api),
      queues_(api, sink),
      energy_(api, device) {
    if (setup.bounce_bytes != 0) pinned_.add(setup.aperture_address + setup.aperture_bytes, setup.bounce_bytes);
}

Outcome CudaRuntime::outcome_of(CuResult result) {
    if (!is_fatal(result)) return reason_of(result);
    queues_.fail(result);
    return {FL_ACCEL_REASON_CONTEXT_LOST, static_cast<std::uint32_t>(result), 0};
}

Runtime::Answer CudaRuntime::ended(std::uint32_t queue, const Ticket& ticket, CuResult result, bool is_launch) {
    const Outcome outcome = outcome_of(result);
    if (queues_.dead()) return Outcome{FL_ACCEL_REASON_CONTEXT_LOST, static_cast<std::uint32_t>(result), 0};
    return queues_.given(queue, ticket, outcome, is_launch);
}

bool CudaRuntime::poll() {
    const bool some = queues_.poll();
    std::erase_if(retired_, [this](const Retired& r) {
        if (!queues_.has_passed(r.mark)) return false;
        (void)api_.cuModuleUnload(r.module);
        return true;
    });
    return some;
}

// --- memory

Runtime::Answer CudaRuntime::commit(const Ticket& ticket, std::uint64_t address, std::uint64_t bytes) {
    if (!vram_.in_range(address)) {
        pinned_.add(address, bytes);
        return Outcome{};
    }
    CuResult r = vram_.add(address, bytes);
    if (r != kSuccess) {
        // Whatever it is called, there was none.
        const Outcome outcome = outcome_of(r);
        return queues_.dead() ? outcome : Outcome{FL_ACCEL_REASON_OUT_OF_MEMORY, static_cast<std::uint32_t>(r), 0};
    }
    const CuStream stream = queues_.open(Queues::kOwn, r);
    // It may have been somebody else's.
    if (stream != nullptr) r = api_.cuMemsetD8Async(address, 0, bytes, stream);
    if (r == kSuccess) return ended(Queues::kOwn, ticket, r);
    vram_.remove(address);
    return outcome_of(r);
}

void CudaRuntime::decommit(std::uint64_t address) {
    if (vram_.in_range(address)) return vram_.remove(address);
    pinned_.remove(address);
}

// --- work

Outcome CudaRuntime::set_parameters(const CudaKernel& kernel, std::span<const std::byte> arguments,
                                    Parameters& parameters, std::span<std::uint64_t> addresses) const {
    // What is not given reads as zero instead of what lies behind the array.
    static constexpr std::array<std::byte, FL_ACCEL_MAX_INLINE_BYTES + 64> kZeros{};
    parameters.fill(const_cast<std::byte*>(kZeros.data()));
    ArgumentReader reader(arguments);
    Argument argument;
    std::size_t count = 0;
    for (; reader.next(argument); ++count) {
        if (count == kMaxArguments) return {FL_ACCEL_REASON_ARGUMENT_COUNT, kMaxArguments, 0};
        if (argument.kind == FL_ACCEL_ARGUMENT_SHARED) return {FL_ACCEL_REASON_ARGUMENT_VALUE, argument.offset, 0};
        const bool fits =
            !kernel.sizes_known || (count < kernel.sizes.size() && kernel.sizes[count] == argument.data.size());
        if (!fits) return {FL_ACCEL_REASON_ARGUMENT_VALUE, argument.offset, 0};
        parameters[count] = const_cast<std::byte*>(argument.data.data());
        if (argument.kind != FL_ACCEL_ARGUMENT_ADDRESS) continue;
        addresses[count] = argument.address();
        // Kernels do not reach staging memory.
        if (addresses[count] != 0 && !vram_.holds(addresses[count], 1)) {
            return {FL_ACCEL_REASON_ARGUMENT_VALUE, argument.offset, 0};
        }
        parameters[count] = &addresses[count];
    }
    if (!reader.error().ok()) return reader.error();
    if (kernel.sizes_known && count != kernel.sizes.size()) {
        return {FL_ACCEL_REASON_ARGUMENT_COUNT, static_cast<std::uint32_t>(kernel.sizes.size()), 0};
    }
    return {};
}

Runtime::Answer CudaRuntime::launch(const Ticket& ticket, BoundKernel& bound, const AskLaunch& shape,
                                    std::span<const std::byte> arguments) {
    auto& kernel = static_cast<CudaKernel&>(bound);
    CuResult r = kSuccess;
    const CuStream stream = queues_.open(ticket.stream, r);
    if (stream == nullptr) return outcome_of(r);
    Parameters parameters;
    std::array<std::uint64_t, kMaxArguments> addresses;
    if (const auto outcome = set_parameters(kernel, arguments, parameters, addresses); !outcome.ok()) {
        return queues_.given(ticket.stream, ticket, outcome, true);
    }
    if (shape.shared_bytes > kernel.dynamic_bytes) {
        r = api_.cuFuncSetAttribute(kernel.function_, kFunctionMaxDynamicShared, static_cast<int>(shape.shared_bytes));
        if (r != kSuccess) return ended(ticket.stream, ticket, r);
        kernel.dynamic_bytes = shape.shared_bytes;
    }
    std::uint32_t grid[3], block[3];
    for (std::size_t i = 0; i < 3; ++i) {
        grid[i] = std::max(shape.grid[i], 1U);
        block[i] = std::max(shape.block[i], 1U);
    }
    if (shape.block[0] == 0) {
        block[0] = block_for(grid[0], kernel.max_block);
        grid[0] /= block[0];
    }
    r = api_.cuLaunchKernel(kernel.function_, grid[0], grid[1], grid[2], block[0], block[1], block[2],
                            shape.shared_bytes, stream, parameters.data(), nullptr);
    return ended(ticket.stream, ticket, r, true);
}

CuResult CudaRuntime::copy_parts(CuStream stream, std::uint64_t destination, std::uint64_t source, std::uint64_t bytes,
                                 bool to_device) {
    while (bytes != 0) {
        const std::uint64_t part = pinned_.part(to_device ? source : destination, bytes);
        if (part == 0) return kInvalidValue;
        const CuResult r =
            to_device ? api_.cuMemcpyHtoDAsync(destination, reinterpret_cast<const void*>(source), part, stream)
                      : api_.cuMemcpyDtoHAsync(reinterpret_cast<void*>(destination), source, part, stream);
        if (r != kSuccess) return r;
        destination += part;
        source += part;
        bytes -= part;
    }
    return kSuccess;
}

/// By way of memory in between, from the end that the other does not overwrite first.
CuResult CudaRuntime::copy_overlapping(std::uint32_t queue, CuStream stream, std::uint64_t destination,
                                       std::uint64_t source, std::uint64_t bytes) {
    CuAddress& between = between_[queue];
    if (between == 0) {
        if (const CuResult r = vram_.take(kChunkBytes, between); r != kSuccess) {
            between = 0;
            return r;
        }
    }
    for (std::uint64_t done = 0; done < bytes;) {
        const std::uint64_t part = std::min(kChunkBytes, bytes - done);
        const std::uint64_t at = destination < source ? done : bytes - done - part;
        CuResult r = api_.cuMemcpyDtoDAsync(between, source + at, part, stream);
        if (r == kSuccess) r = api_.cuMemcpyDtoDAsync(destination + at, between, part, stream);
        if (r != kSuccess) return r;
        done += part;
    }
    return kSuccess;
}

Runtime::Answer CudaRuntime::copy(const Ticket& ticket, std::uint64_t destination, std::uint64_t source,
                                  std::uint64_t bytes) {
    const bool to_local = vram_.in_range(destination), from_local = vram_.in_range(source);
    CuResult r = kSuccess;
    const CuStream stream = queues_.open(ticket.stream, r);
    if (stream == nullptr) return outcome_of(r);
    if ((to_local && !vram_.holds(destination, bytes)) || (from_local && !vram_.holds(source, bytes))) {
        return queues_.given(ticket.stream, ticket, {FL_ACCEL_REASON_NOT_ALLOCATED, 0, 0}, false);
    }
    const std::uint64_t distance = destination < source ? source - destination : destination - source;
    if (!to_local || !from_local) {
        r = copy_parts(stream, destination, source, bytes, to_local);
    } else if (distance != 0 && distance < bytes) {
        r = copy_overlapping(ticket.stream, stream, destination, source, bytes);
    } else if (distance != 0) {
        r = api_.cuMemcpyDtoDAsync(destination, source, bytes, stream);
    }
    return ended(ticket.stream, ticket, r);
}

/// What is filled already is copied behind itself.
CuResult CudaRuntime::fill_long(CuStream stream, std::uint64_t destination, std::uint64_t bytes,
                                std::span<const std::byte> pattern) {
    for (std::size_t at = 0; at < pattern.size(); at += 4) {
        const CuResult r = api_.cuMemsetD32Async(destination + at, pattern_as<std::uint32_t>(pattern, at), 1, stream);
        if (r != kSuccess) return r;
    }
    for (std::uint64_t done = pattern.size(); done < bytes;) {
        const std::uint64_t part = std::min(done, bytes - done);
        if (const CuResult r = api_.cuMemcpyDtoDAsync(destination + done, destination, part, stream); r != kSuccess) {
            return r;
        }
        done += part;
    }
    return kSuccess;
}

Runtime::Answer CudaRuntime::fill(const Ticket& ticket, std::uint64_t destination, std::uint64_t bytes,
                                  std::span<const std::byte> pattern) {
    CuResult r = kSuccess;
    const CuStream stream = queues_.open(ticket.stream, r);
    if (stream == nullptr) return outcome_of(r);
    if (!vram_.holds(destination, bytes)) {
        return queues_.given(ticket.stream, ticket, {FL_ACCEL_REASON_NOT_ALLOCATED, 0, 0}, false);
    }
    switch (pattern.size()) {
        case 1: r = api_.cuMemsetD8Async(destination, pattern_as<unsigned char>(pattern), bytes, stream); break;
        case 2: r = api_.cuMemsetD16Async(destination, pattern_as<std::uint16_t>(pattern), bytes / 2, stream); break;
        case 4: r = api_.cuMemsetD32Async(destination, pattern_as<std::uint32_t>(pattern), bytes / 4, stream); break;
        default: r = fill_long(stream, destination, bytes, pattern);
    }
    return ended(ticket.stream, ticket, r);
}

}  // namespace cuda

Started start_cuda(const Setup& setup, Sink& sink) {
    using namespace cuda;
    const auto none = [](std::string text) {
        return Started{nullptr, {FL_ACCEL_REASON_NO_WORKER, 0, 0}, std::move(text)};
    };
    std::string why;
    const Api* api = load_api(why);
    if (api == nullptr) return none(why);
    CuDevice device = 0;
    if (const CuResult r = api->cuDeviceGet(&device, static_cast<int>(setup.device)); r != kSuccess) {
        return none("no CUDA device " + std::to_string(setup.device) + ": " + api->text(r));
    }
    CuContext context = nullptr;
    if (const CuResult r = api->cuCtxCreate(&context, kContextBlockingSync, device); r != kSuccess) {
        return none("no CUDA context: " + api->text(r));
    }
    auto runtime = std::make_unique<CudaRuntime>(*api, device, context, setup, sink);
    if (runtime->reserve()) return {std::move(runtime), {}, {}};
    std::array<char, 160> text{};
    std::snprintf(text.data(), text.size(),
                  "the CUDA driver does not give the addresses from 0x%llx on, %llu MiB, that local memory has",
                  static_cast<unsigned long long>(setup.local_address),
                  static_cast<unsigned long long>(setup.local_bytes >> 20));
    return none(text.data());
}

}  // namespace farlane::backend::worker
