// SPDX-License-Identifier: Apache-2.0
// Receives: work of one context. Hands on: calls of the CUDA driver, ends of jobs. Owns: cuda/runtime.hpp.
#include "backend/worker/cuda/runtime.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "backend/worker/signature.hpp"

namespace farlane::backend::worker {
namespace cuda {
namespace {

constexpr int kLost = 3;                   // exit code
constexpr int kDefaultShared = 48 * 1024;  // CUDA C++ Programming Guide: more must be asked for

void* pointer(std::uint64_t address) noexcept {
    return reinterpret_cast<void*>(address);
}

/// After such an error of a kernel nothing works in this process any more.
bool is_final(CUresult error) noexcept {
    return error == 214 || error == 700 || error == 702 || error == 710 || (error >= 714 && error <= 719) ||
           error == 999;
}

template <class T>
T first(std::span<const std::byte> bytes) noexcept {
    T value{};
    std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
    return value;
}

}  // namespace

Outcome outcome_of(CUresult error) noexcept {
    const auto detail = static_cast<std::uint32_t>(error);
    switch (error) {
        case kSuccess: return {};
        case kOutOfMemory: return {FL_ACCEL_REASON_OUT_OF_MEMORY, detail, 0};
        case kInvalidValue:
        case kLaunchOutOfResources: return {FL_ACCEL_REASON_BAD_GRID, detail, 0};
        case kNotFound: return {FL_ACCEL_REASON_UNKNOWN_KERNEL, 0, 0};
        default: return {FL_ACCEL_REASON_EXECUTION, detail, 0};
    }
}

CuRuntime::CuRuntime(const Api& api, CUdevice device, CUcontext context, const Setup& setup, Sink& sink)
    : api_(api), device_(device), context_(context), setup_(setup), sink_(sink) {
    const auto attribute = [&](int what) {
        int value = 0;
        return api.device_attribute(&value, what, device) == kSuccess ? value : 0;
    };
    compute_ = attribute(kComputeMajor) * 10 + attribute(kComputeMinor);
    most_shared_ = attribute(kMaxSharedOptIn);
    pools_ = api.allocate_async != nullptr && api.free_async != nullptr && attribute(kMemoryPools) != 0;
    if (setup.bounce_bytes != 0) {
        (void)api.pin(pointer(setup.aperture_address + setup.aperture_bytes), setup.bounce_bytes, 0);
    }
}

// --- memory

CUresult CuRuntime::allocate(CUdeviceptr& at, std::uint64_t bytes) {
    // Without a pool the driver may wait for the whole device.
    Stream* own = pools_ ? stream_of(kOwnStream) : nullptr;
    return own != nullptr ? api_.allocate_async(&at, bytes, own->stream) : api_.allocate(&at, bytes);
}

void CuRuntime::free(CUdeviceptr at) {
    Stream* own = pools_ ? stream_of(kOwnStream) : nullptr;
    (void)(own != nullptr ? api_.free_async(at, own->stream) : api_.free(at));
}

Runtime::Answer CuRuntime::commit(const Ticket& ticket, std::uint64_t address, std::uint64_t bytes) {
    if (!is_local(address)) {
        const bool pinned = api_.pin(pointer(address), bytes, 0) == kSuccess;  // else copies are slower
        allocations_[address] = {bytes, 0, pinned};
        return Outcome{};
    }
    CUdeviceptr at = 0;
    if (const CUresult result = allocate(at, bytes); result != kSuccess) return outcome_of(result);
    allocations_[address] = {bytes, at, false};
    Stream* own = begin(ticket, kOwnStream, false);
    if (own == nullptr) return Outcome{FL_ACCEL_REASON_OUT_OF_MEMORY, 0, 0};
    return began(*own, api_.fill_8(at, 0, bytes, own->stream));  // it may have been somebody else's
}

void CuRuntime::decommit(std::uint64_t address) {
    const auto found = allocations_.find(address);
    if (found == allocations_.end()) return;
    if (found->second.pinned) (void)api_.unpin(pointer(address));
    if (found->second.at != 0) free(found->second.at);
    allocations_.erase(found);
}

CUdeviceptr CuRuntime::place_of(std::uint64_t address) const noexcept {
    auto it = allocations_.upper_bound(address);
    if (it == allocations_.begin()) return 0;
    --it;
    const std::uint64_t offset = address - it->first;
    return offset < it->second.bytes && it->second.at != 0 ? it->second.at + offset : 0;
}

// --- streams

CuRuntime::Stream* CuRuntime::stream_of(std::size_t index) {
    Stream& s = streams_[index];
    if (s.stream == nullptr && api_.create_stream(&s.stream, kStreamNonBlocking) != kSuccess) return nullptr;
    return &s;
}

CUevent CuRuntime::take_event() {
    CUevent event = nullptr;
    if (events_.empty()) return api_.create_event(&event, 0) == kSuccess ? event : nullptr;
    event = events_.back();
    events_.pop_back();
    return event;
}

CuRuntime::Stream* CuRuntime::begin(const Ticket& ticket, std::size_t index, bool timed) {
    Stream* s = stream_of(index);
    if (s == nullptr) return nullptr;
    Batch& batch = s->open;
    if (batch.jobs.empty()) {
        if (batch.begin == nullptr) batch.begin = take_event();
        if (batch.end == nullptr) batch.end = take_event();
        if (batch.begin == nullptr || batch.end == nullptr || api_.record(batch.begin, s->stream) != kSuccess) {
            return nullptr;
        }
    }
    batch.jobs.push_back({ticket, timed});
    return s;
}

Runtime::Answer CuRuntime::began(Stream& stream, CUresult result) {
    if (is_final(result)) ::_exit(kLost);
    if (result != kSuccess) {
        stream.open.jobs.pop_back();
        return outcome_of(result);
    }
    if (stream.open.jobs.size() >= kBatch) close(stream);
    return std::nullopt;
}

void CuRuntime::close(Stream& stream) {
    if (stream.open.jobs.empty()) return;
    if (api_.record(stream.open.end, stream.stream) != kSuccess) ::_exit(kLost);  // nobody would tell its end
    stream.closed.push_back(std::move(stream.open));
    stream.open = {};
    ++batches_;
}

void CuRuntime::flush() {
    for (Stream& s : streams_) close(s);
}

bool CuRuntime::poll() {
    if (batches_ == 0) return false;
    bool did = false;
    for (Stream& s : streams_) {
        while (!s.closed.empty()) {
            const CUresult result = api_.query(s.closed.front().end);
            if (result == kNotReady) break;
            if (result != kSuccess) ::_exit(kLost);  // a kernel broke the context, and this process with it
            Batch batch = std::move(s.closed.front());
            s.closed.pop_front();
            --batches_;
            end(batch);
            did = true;
        }
    }
    return did;
}

void CuRuntime::end(Batch& batch) {
    float elapsed_ms = 0;
    const bool timed = std::any_of(batch.jobs.begin(), batch.jobs.end(), [](const Job& j) { return j.timed; });
    if (timed) (void)api_.elapsed(&elapsed_ms, batch.begin, batch.end);
    auto busy_ns = static_cast<std::uint64_t>(static_cast<double>(elapsed_ms) * 1e6);
    for (const CUdeviceptr at : batch.between) free(at);
    events_.push_back(batch.begin);
    events_.push_back(batch.end);
    for (const Job& job : batch.jobs) {
        sink_.done(job.ticket, {}, job.timed ? busy_ns : 0);  // time of all counts once
        if (job.timed) busy_ns = 0;
    }
}

// --- work

Outcome CuRuntime::check_launch(CuKernel& kernel, const AskLaunch& shape) {
    const bool offset = shape.offset[0] != 0 || shape.offset[1] != 0 || shape.offset[2] != 0;
    if (shape.block[0] == 0 || offset) return {FL_ACCEL_REASON_BAD_GRID, 0, 0};
    if (shape.shared_bytes <= kernel.shared_bytes) return {};
    if (shape.shared_bytes > static_cast<std::uint32_t>(std::max(most_shared_, kDefaultShared))) {
        return {FL_ACCEL_REASON_BAD_GRID, shape.shared_bytes, 0};
    }
    const CUresult result =
        api_.set_function_attribute(kernel.function, kFunctionMaxDynamicShared, static_cast<int>(shape.shared_bytes));
    if (result == kSuccess) kernel.shared_bytes = shape.shared_bytes;
    return outcome_of(result);
}

Runtime::Answer CuRuntime::launch(const Ticket& ticket, BoundKernel& bound, const AskLaunch& shape,
                                  std::span<const std::byte> arguments) {
    auto& kernel = static_cast<CuKernel&>(bound);
    if (const auto outcome = check_launch(kernel, shape); !outcome.ok()) return outcome;
    std::array<CUdeviceptr, kMaxArguments> addresses;
    std::array<void*, kMaxArguments> values{};
    ArgumentReader reader(arguments);
    Argument argument;
    for (std::size_t i = 0; reader.next(argument); ++i) {
        if (i == values.size()) return Outcome{FL_ACCEL_REASON_ARGUMENT_COUNT, kMaxArguments, 0};
        values[i] = const_cast<std::byte*>(argument.data.data());
        if (argument.kind == FL_ACCEL_ARGUMENT_SHARED)
            return Outcome{FL_ACCEL_REASON_ARGUMENT_VALUE, argument.offset, 0};
        if (argument.kind != FL_ACCEL_ARGUMENT_ADDRESS) continue;
        addresses[i] = argument.address() == 0 ? 0 : place_of(argument.address());
        if (argument.address() != 0 && addresses[i] == 0) {
            return Outcome{FL_ACCEL_REASON_NOT_ALLOCATED, argument.offset, 0};
        }
        values[i] = &addresses[i];
    }
    if (!reader.error().ok()) return reader.error();
    Stream* s = begin(ticket, ticket.stream, true);
    if (s == nullptr) return Outcome{FL_ACCEL_REASON_OUT_OF_MEMORY, 0, 0};
    const auto at_least_one = [](std::uint32_t n) { return std::max(n, 1U); };
    return began(*s,
                 api_.launch(kernel.function, at_least_one(shape.grid[0]), at_least_one(shape.grid[1]),
                             at_least_one(shape.grid[2]), at_least_one(shape.block[0]), at_least_one(shape.block[1]),
                             at_least_one(shape.block[2]), shape.shared_bytes, s->stream, values.data(), nullptr));
}

Runtime::Answer CuRuntime::copy(const Ticket& ticket, std::uint64_t destination, std::uint64_t source,
                                std::uint64_t bytes) {
    const CUdeviceptr to = is_local(destination) ? place_of(destination) : 0;
    const CUdeviceptr from = is_local(source) ? place_of(source) : 0;
    if ((is_local(destination) && to == 0) || (is_local(source) && from == 0)) {
        return Outcome{FL_ACCEL_REASON_NOT_ALLOCATED, 0, 0};
    }
    CUdeviceptr between = 0;
    const bool overlap = to != 0 && from != 0 && to < from + bytes && from < to + bytes;
    if (overlap && api_.allocate(&between, bytes) != kSuccess) return Outcome{FL_ACCEL_REASON_OUT_OF_MEMORY, 0, 0};
    Stream* s = begin(ticket, ticket.stream, false);
    if (s == nullptr) return Outcome{FL_ACCEL_REASON_OUT_OF_MEMORY, 0, 0};
    if (overlap) {
        s->open.between.push_back(between);
        const CUresult result = api_.copy_within(between, from, bytes, s->stream);
        return began(*s, result == kSuccess ? api_.copy_within(to, between, bytes, s->stream) : result);
    }
    if (to != 0 && from != 0) return began(*s, api_.copy_within(to, from, bytes, s->stream));
    if (to != 0) return began(*s, api_.copy_in(to, pointer(source), bytes, s->stream));
    return began(*s, api_.copy_out(pointer(destination), from, bytes, s->stream));
}

Runtime::Answer CuRuntime::fill(const Ticket& ticket, std::uint64_t destination, std::uint64_t bytes,
                                std::span<const std::byte> pattern) {
    const CUdeviceptr to = place_of(destination);
    if (to == 0) return Outcome{FL_ACCEL_REASON_NOT_ALLOCATED, 0, 0};
    Stream* s = begin(ticket, ticket.stream, false);
    if (s == nullptr) return Outcome{FL_ACCEL_REASON_OUT_OF_MEMORY, 0, 0};
    const std::uint64_t count = bytes / pattern.size();
    switch (pattern.size()) {
        case 1: return began(*s, api_.fill_8(to, first<unsigned char>(pattern), count, s->stream));
        case 2: return began(*s, api_.fill_16(to, first<unsigned short>(pattern), count, s->stream));
        case 4: return began(*s, api_.fill_32(to, first<unsigned>(pattern), count, s->stream));
        default: break;
    }
    // A column of words for each word of the pattern.
    CUresult result = kSuccess;
    for (std::size_t at = 0; at < pattern.size() && result == kSuccess; at += 4) {
        result = api_.fill_32_rows(to + at, pattern.size(), first<unsigned>(pattern.subspan(at)), 1, count, s->stream);
    }
    return began(*s, result);
}

}  // namespace cuda

Started start_cuda(const Setup& setup, Sink& sink) {
    constexpr Outcome kNone{FL_ACCEL_REASON_NO_WORKER, 0, 0};
    std::string why;
    const cuda::Api* api = cuda::load_api(why);
    cuda::CUdevice device = 0;
    cuda::CUcontext context = nullptr;
    if (api == nullptr || api->device(&device, static_cast<int>(setup.device)) != cuda::kSuccess)
        return {nullptr, kNone};
    if (api->retain_context(&context, device) != cuda::kSuccess) return {nullptr, kNone};
    if (api->set_context(context) != cuda::kSuccess) return {nullptr, kNone};
    return {std::make_unique<cuda::CuRuntime>(*api, device, context, setup, sink), {}};
}

}  // namespace farlane::backend::worker
