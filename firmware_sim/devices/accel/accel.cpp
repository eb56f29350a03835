// SPDX-License-Identifier: Apache-2.0
// Receives: BAR accesses and events of life. Hands on: register values, aperture memory.
// Owns: the identity of the function (accel.hpp).
#include "devices/accel/accel.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace farlane::firmware::accel {
namespace {

constexpr std::string_view kExecutors[] = {"", "cpu", "opencl", "cuda"};

/// The text up to the next zero, in letters that every terminal has; takes it away.
std::string next_name(std::span<const std::byte>& names) {
    std::string text;
    while (!names.empty()) {
        const char c = static_cast<char>(names.front());
        names = names.subspan(1);
        if (c == '\0') break;
        text.push_back(c >= ' ' && c <= '~' ? c : '?');
    }
    return text;
}

/// Executor and device; what does not fit the list of functions shows that there is more.
std::string model_of(const backend::Executor& executor) {
    auto names = executor.names();
    std::string model = std::string(kExecutors[executor.kind()]) + ": " + next_name(names);
    if (model.size() >= FL_NAME_BYTES) model.replace(FL_NAME_BYTES - 4, std::string::npos, "...");
    return model;
}

FunctionIdentity identity_of(const AccelOptions& options, const backend::Executor& executor) {
    FunctionIdentity id;
    id.model = model_of(executor);
    id.vendor_id = options.vendor_id;
    id.device_id = options.device_id;
    id.subsystem_vendor_id = options.vendor_id;
    id.subsystem_id = options.device_id;
    id.class_code = FL_ACCEL_CLASS_CODE;
    id.serial = options.serial;
    id.bars[FL_ACCEL_BAR_REGISTERS] = {FL_ACCEL_BAR0_BYTES, 0};
    id.bars[FL_ACCEL_BAR_APERTURE] = {executor.memory().size(), FL_BAR_64BIT | FL_BAR_PREFETCHABLE};
    id.msix = {options.queues + 1, FL_ACCEL_BAR_REGISTERS, FL_ACCEL_MSIX_TABLE_OFFSET, FL_ACCEL_MSIX_PBA_OFFSET};
    return id;
}

/// Copies the part of `image`, which stands at `at`, that [offset, +out.size()) covers.
template <class T>
void copy_image(const T& image, std::uint64_t at, std::uint64_t offset, std::span<std::byte> out) noexcept {
    const std::uint64_t begin = std::max(at, offset);
    const std::uint64_t end = std::min(at + sizeof image, offset + out.size());
    if (begin >= end) return;
    const auto bytes = std::as_bytes(std::span{&image, 1});
    std::memcpy(out.data() + (begin - offset), bytes.data() + (begin - at), end - begin);
}

constexpr bool all_enabled(std::uint8_t enables, std::size_t bytes) noexcept {
    const auto wanted = static_cast<std::uint8_t>((1u << std::min<std::size_t>(bytes, 8)) - 1);
    return bytes > 8 || enables == 0 || (enables & wanted) == wanted;
}

}  // namespace

/// The cpu executor has one range behind the submission queues, for all contexts. Others give each context one of its
/// own; bounce memory stands at its end, the submission queues take the place of one.
backend::MemoryPlan plan_of(const AccelOptions& options) noexcept {
    constexpr std::uint64_t kBounceBytes = std::uint64_t{2} << 20;
    backend::MemoryPlan plan;
    plan.address = kBaseAddress;
    plan.contexts = options.contexts;
    plan.first = options.queues * kSqBytes;
    plan.aperture_bytes = options.memory_bytes;
    plan.context_bytes = options.memory_bytes - plan.first;
    if (options.executor == FL_ACCEL_EXECUTOR_CPU) return plan;
    plan.first = plan.stride = options.memory_bytes;
    plan.aperture_bytes = std::bit_ceil(options.contexts + 1) * options.memory_bytes;
    plan.bounce_bytes = kBounceBytes;
    plan.context_bytes = options.memory_bytes - kBounceBytes;
    return plan;
}

/// A context needs a queue pair, so there are never more than these.
Shares shares_of(const AccelOptions& options) noexcept {
    const auto most = [](std::uint64_t bytes) { return bytes == 0 ? ~std::uint64_t{0} : bytes; };
    return {std::min(options.contexts, options.queues), most(options.context_bytes), most(options.context_local_bytes)};
}

Accel::Accel(const AccelOptions& options, std::unique_ptr<FunctionState> state, std::unique_ptr<Waker> waker,
             std::unique_ptr<backend::Executor> executor)
    : Function(identity_of(options, *executor), *state),
      state_(std::move(state)),
      waker_(std::move(waker)),
      executor_(std::move(executor)),
      processor_(*executor_, dma(), interrupts(),
                 {plan_of(options), options.queues, options.queues + 1, shares_of(options)}),
      queues_(options.queues),
      contexts_(options.contexts),
      time_limit_ms_(options.executor == FL_ACCEL_EXECUTOR_CPU ? 0 : options.time_limit_ms),
      life_(options.first_life) {}

// --- life

void Accel::on_port(backend::HostPort* port) noexcept {
    // Nobody attached: what is in flight still ends, and memory is scrubbed then, not when somebody comes.
    if (port != nullptr) waker_->set(port);
    processor_.set_port(port);
}

void Accel::on_reset(ResetKind) noexcept {
    ++life_;
    processor_.reset();
}

// --- BAR0

fl_accel_registers Accel::registers() const noexcept {
    const MemoryMap& memory = processor_.memory();
    const auto& error = processor_.error();
    fl_accel_registers r{};
    r.magic.set(FL_ACCEL_MAGIC);
    r.version.set(FL_ACCEL_VERSION);
    r.capabilities.set(FL_ACCEL_CAP_HOST_READS | FL_ACCEL_CAP_PASID | FL_ACCEL_CAP_CONTEXT_PART |
                       executor_->capabilities());
    r.memory_address.set(memory.aperture().address);
    r.memory_bytes.set(memory.aperture().bytes);
    r.aperture_address.set(kBaseAddress);
    r.aperture_bytes.set(executor_->memory().size());
    r.page_bytes.set(FL_ACCEL_PAGE_BYTES);
    r.max_queues.set(queues_);
    r.max_sq_entries.set(kSqEntries);
    r.max_cq_entries.set(kSqEntries);
    r.max_contexts.set(contexts_);
    r.max_streams.set(kMaxStreams);
    r.max_allocations.set(kMaxAllocations);
    r.max_modules.set(kMaxModules);
    r.max_kernels.set(kMaxKernels);
    r.max_events.set(kMaxEvents);
    r.max_inline_bytes.set(FL_ACCEL_MAX_INLINE_BYTES);
    r.executor.set(executor_->kind());
    r.status.set((processor_.ready() ? FL_ACCEL_STATUS_READY : 0) | (error.pending ? FL_ACCEL_STATUS_QUEUE_ERROR : 0));
    r.error_queue.set(error.queue);
    r.error_reason.set(error.reason);
    r.life.set(life_);
    r.context_stride.set(memory.aperture().stride);
    r.local_address.set(memory.local().address);
    r.local_bytes.set(memory.local().bytes);
    r.local_stride.set(memory.local().stride);
    r.time_limit_ms.set(time_limit_ms_);
    r.lost_contexts.set(processor_.lost_contexts());
    return r;
}

fl_accel_queue_registers Accel::queue_registers(std::uint32_t n) const noexcept {
    const QueuePair& q = processor_.queue(n);
    fl_accel_queue_registers r{};
    r.sq_address.set(processor_.sq_address(n));
    r.cq_iova.set(q.cq_iova);
    r.sq_entries.set(q.sq_entries);
    r.cq_entries.set(q.cq_entries);
    r.context.set(q.context);
    r.pasid.set(q.pasid);
    r.vector.set(q.vector);
    r.control.set(q.state == FL_ACCEL_QUEUE_ENABLED || q.state == FL_ACCEL_QUEUE_ERROR ? FL_ACCEL_QUEUE_ENABLE : 0);
    r.state.set(q.state);
    r.reason.set(q.reason);
    r.sq_head.set(q.sq_head);
    r.cq_tail.set(q.cq_tail);
    r.commands.set(q.commands);
    return r;
}

fl_accel_context_registers Accel::context_registers(std::uint32_t n) const noexcept {
    const MemoryMap::Part part = processor_.memory().part(n);
    fl_accel_context_registers r{};
    r.part_address.set(part.address);
    r.part_bytes.set(part.bytes);
    return r;
}

/// Doorbells and whatever has no name read as zero.
Status Accel::register_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept {
    if (bar == FL_ACCEL_BAR_APERTURE) {
        const auto memory = executor_->memory();
        if (offset > memory.size() || out.size() > memory.size() - offset) return Status::unsupported_request;
        std::memcpy(out.data(), memory.data() + offset, out.size());
        return Status::ok;
    }
    std::fill(out.begin(), out.end(), std::byte{0});
    copy_image(registers(), 0, offset, out);
    for (std::uint32_t n = 0; n < contexts_ && offset + out.size() > FL_ACCEL_CONTEXT_OFFSET; ++n)
        copy_image(context_registers(n), FL_ACCEL_CONTEXT_OFFSET + std::uint64_t{n} * FL_ACCEL_CONTEXT_STRIDE, offset,
                   out);
    const std::uint64_t first = std::max<std::uint64_t>(offset, FL_ACCEL_QUEUE_OFFSET);
    const std::uint64_t queues_end = FL_ACCEL_QUEUE_OFFSET + std::uint64_t{queues_} * FL_ACCEL_QUEUE_STRIDE;
    const std::uint64_t end = std::min(offset + out.size(), queues_end);
    if (first >= end) return Status::ok;
    auto n = static_cast<std::uint32_t>((first - FL_ACCEL_QUEUE_OFFSET) / FL_ACCEL_QUEUE_STRIDE);
    for (; n < queues_; ++n) {
        const std::uint64_t at = FL_ACCEL_QUEUE_OFFSET + std::uint64_t{n} * FL_ACCEL_QUEUE_STRIDE;
        if (at >= end) break;
        copy_image(queue_registers(n), at, offset, out);
    }
    return Status::ok;
}

/// Registers are written in whole, aligned dwords; a longer write is taken dword by dword in order.
Status Accel::register_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                             std::uint8_t enables) noexcept {
    if (bar == FL_ACCEL_BAR_APERTURE) return write_aperture(offset, in, enables);
    if (offset % 4 != 0 || in.size() % 4 != 0 || !all_enabled(enables, in.size())) return Status::unsupported_request;
    for (std::size_t at = 0; at < in.size(); at += 4) {
        fl_le32 value;
        std::memcpy(&value, in.data() + at, sizeof value);
        write_register(offset + at, value.get());
    }
    return Status::ok;
}

void Accel::write_register(std::uint64_t offset, std::uint32_t value) noexcept {
    if (offset >= FL_ACCEL_DOORBELL_OFFSET) [[likely]] {
        const std::uint64_t n = (offset - FL_ACCEL_DOORBELL_OFFSET) / FL_ACCEL_DOORBELL_STRIDE;
        const std::uint64_t field = (offset - FL_ACCEL_DOORBELL_OFFSET) % FL_ACCEL_DOORBELL_STRIDE;
        if (n < queues_) processor_.ring(static_cast<std::uint32_t>(n), static_cast<std::uint32_t>(field), value);
        return;
    }
    if (offset >= FL_ACCEL_CONTEXT_OFFSET) {
        const std::uint64_t n = (offset - FL_ACCEL_CONTEXT_OFFSET) / FL_ACCEL_CONTEXT_STRIDE;
        const std::uint64_t field = (offset - FL_ACCEL_CONTEXT_OFFSET) % FL_ACCEL_CONTEXT_STRIDE;
        if (n < contexts_)
            processor_.write_context(static_cast<std::uint32_t>(n), static_cast<std::uint32_t>(field), value);
        return;
    }
    if (offset >= FL_ACCEL_QUEUE_OFFSET) {
        const std::uint64_t n = (offset - FL_ACCEL_QUEUE_OFFSET) / FL_ACCEL_QUEUE_STRIDE;
        const std::uint64_t field = (offset - FL_ACCEL_QUEUE_OFFSET) % FL_ACCEL_QUEUE_STRIDE;
        if (n < queues_)
            processor_.write_queue(static_cast<std::uint32_t>(n), static_cast<std::uint32_t>(field), value);
        return;
    }
    if (offset == offsetof(fl_accel_registers, control) && (value & FL_ACCEL_CONTROL_RESET) != 0) {
        // As a reset of the function, but configuration space and interrupts stay as they are.
        on_reset(ResetKind::function);
    }
    if (offset == offsetof(fl_accel_registers, status) && (value & FL_ACCEL_STATUS_QUEUE_ERROR) != 0) {
        processor_.acknowledge_error();
    }
}

// --- BAR2

std::span<std::byte> Accel::bar_memory(unsigned bar) noexcept {
    return bar == FL_ACCEL_BAR_APERTURE ? executor_->memory() : std::span<std::byte>{};
}

Status Accel::write_aperture(std::uint64_t offset, std::span<const std::byte> in, std::uint8_t enables) noexcept {
    const auto memory = executor_->memory();
    if (offset > memory.size() || in.size() > memory.size() - offset) return Status::unsupported_request;
    if (all_enabled(enables, in.size())) {
        std::memcpy(memory.data() + offset, in.data(), in.size());
        return Status::ok;
    }
    for (std::size_t i = 0; i < in.size(); ++i) {
        if ((enables >> i & 1) != 0) memory[offset + i] = in[i];
    }
    return Status::ok;
}

void Accel::counters(const std::function<void(std::string_view, std::uint64_t)>& each) const {
    Function::counters(each);
    processor_.counters(each);
}

std::optional<backend::AcceleratorUse> Accel::accelerator() const {
    const MemoryMap& memory = processor_.memory();
    const auto usage = executor_->usage();
    backend::AcceleratorUse use;
    use.executor = kExecutors[executor_->kind()];
    auto names = executor_->names();
    use.device_name = next_name(names);
    use.vendor = next_name(names);
    use.driver_version = next_name(names);
    use.units = executor_->units();
    use.contexts = contexts_;
    use.queue_pairs = queues_;
    use.time_limit_ms = time_limit_ms_;
    use.memory_bytes = memory.aperture().bytes;
    use.memory_used_bytes = memory.used_bytes();
    use.local_bytes = memory.local().bytes;
    use.local_used_bytes = memory.local_used_bytes();
    use.kernels = usage.kernels;
    use.busy_ns = usage.busy_ns;
    if ((executor_->capabilities() & FL_ACCEL_CAP_ENERGY) != 0) use.energy_uj = executor_->energy_uj();
    use.contexts_used = processor_.contexts_used();
    return use;
}

}  // namespace farlane::firmware::accel
