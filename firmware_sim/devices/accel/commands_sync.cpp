// SPDX-License-Identifier: Apache-2.0
// Receives: FENCE, EVENT_RECORD, EVENT_WAIT and QUERY. Hands on: outcomes; what failures poison.
// Owns: nothing of its own (processor.hpp). docs/accelerator.md, "Errors and FENCE", "Events".
#include <algorithm>
#include <cstring>

#include "devices/accel/processor.hpp"

namespace farlane::firmware::accel {

// --- outcomes

Step Processor::succeed(QueuePair& q, std::uint64_t value, std::uint32_t detail) noexcept {
    q.active.outcome = {FL_ACCEL_REASON_NONE, detail, value};
    return Step::done;
}

Step Processor::fail(QueuePair& q, fl_accel_reason reason, std::uint32_t detail) noexcept {
    q.active.outcome = {reason, detail, 0};
    return Step::done;
}

Step Processor::depends(QueuePair& q, std::uint32_t culprit) noexcept {
    q.active.poisoned = true;
    q.active.culprit = culprit;
    return fail(q, FL_ACCEL_REASON_POISONED, culprit);
}

// --- poison

std::optional<std::uint32_t> Processor::poisoned_by(const QueuePair& q, Object kind, std::uint64_t base,
                                                    std::uint64_t bytes) const noexcept {
    for (const QueuePair& other : queues_) {
        if (other.poison.empty() || other.context != q.context) continue;
        if (const auto culprit = other.poison.find(other.number == q.number, kind, base, bytes)) return culprit;
    }
    return std::nullopt;
}

/// What the active command touches.
std::optional<std::uint32_t> Processor::poisoned_by(const QueuePair& q) const noexcept {
    if (q.active.touches.all()) return poisoned_by(q, Object::memory, 0, ~std::uint64_t{0});
    for (const auto& t : q.active.touches.items()) {
        if (const auto culprit = poisoned_by(q, Object::memory, t.address, t.bytes)) return culprit;
    }
    return std::nullopt;
}

/// The active command failed: what it would have made or written can not be relied on.
void Processor::spread_poison(QueuePair& q) noexcept {
    const Active& a = q.active;
    const fl_accel_command& c = a.command;
    const std::uint32_t culprit = a.poisoned ? a.culprit : c.head.command_id.get();
    switch (c.head.opcode) {
        case FL_ACCEL_OP_ALLOC:
            q.poison.add(Object::memory, c.u.alloc.address.get(), c.u.alloc.bytes.get(), culprit);
            break;
        case FL_ACCEL_OP_COPY:
        case FL_ACCEL_OP_FILL:
        case FL_ACCEL_OP_LAUNCH: poison_written(q, a.touches, culprit); break;
        case FL_ACCEL_OP_MODULE_LOAD: q.poison.add(Object::module, c.u.module.module.get(), 1, culprit); break;
        case FL_ACCEL_OP_KERNEL_BIND: q.poison.add(Object::kernel, c.u.bind.kernel.get(), 1, culprit); break;
        case FL_ACCEL_OP_EVENT_RECORD: fail_event(q, c.u.event, culprit); break;
        // Whatever comes behind a failed wait was meant to come after something that did not happen.
        case FL_ACCEL_OP_EVENT_WAIT: q.poison.add(Object::everything, 0, 1, culprit); break;
        default: break;
    }
}

void Processor::poison_written(QueuePair& q, const backend::AccessList& touches, std::uint32_t culprit) noexcept {
    if (touches.all()) q.poison.add(Object::everything, 0, 1, culprit);
    for (const auto& t : touches.items()) {
        if (t.write) q.poison.add(Object::memory, t.address, t.bytes, culprit);
    }
}

/// Those who wait for the event must not wait for ever, whatever FENCE comes behind.
void Processor::fail_event(QueuePair& q, const fl_accel_event_command& c, std::uint32_t culprit) noexcept {
    if (!handle_in_range(c.event.get(), kMaxEvents)) return;
    auto& event = context_of(q).events[c.event.get()];
    if (c.value.get() <= event.failed) return;
    event.failed = c.value.get();
    event.culprit = culprit;
}

Step Processor::begin_fence(QueuePair& q) noexcept {
    const std::uint32_t failures = q.failures;
    const std::uint32_t first = q.first_failure;
    q.failures = q.first_failure = 0;
    q.poison.clear();
    return succeed(q, failures, first);
}

// --- events

Step Processor::begin_record(QueuePair& q) noexcept {
    const std::uint32_t handle = q.active.command.u.event.event.get();
    const std::uint64_t value = q.active.command.u.event.value.get();
    if (!handle_in_range(handle, kMaxEvents)) return fail(q, FL_ACCEL_REASON_HANDLE_RANGE, handle);
    if (value == 0) return fail(q, FL_ACCEL_REASON_BAD_VALUE, handle);
    if (const auto culprit = q.poison.find(true, Object::everything, 0, 1)) return depends(q, *culprit);
    std::uint64_t& reached = context_of(q).events[handle].reached;
    reached = std::max(reached, value);
    return succeed(q, now_ns());
}

Step Processor::begin_wait(QueuePair& q) noexcept {
    const std::uint32_t handle = q.active.command.u.event.event.get();
    const std::uint64_t value = q.active.command.u.event.value.get();
    if (!handle_in_range(handle, kMaxEvents)) return fail(q, FL_ACCEL_REASON_HANDLE_RANGE, handle);
    if (value == 0) return fail(q, FL_ACCEL_REASON_BAD_VALUE, handle);
    const auto& event = context_of(q).events[handle];
    if (event.reached >= value) return succeed(q, event.reached);
    if (event.failed >= value) return depends(q, event.culprit);
    return Step::wait;  // every finished command of any pair looks here again
}

// --- properties

/// Where the host has room for it, as much as fits; the value is the whole length.
Step Processor::report(QueuePair& q, std::span<const std::byte> text) noexcept {
    const auto& c = q.active.command.u.query;
    if (text.empty()) return fail(q, FL_ACCEL_REASON_BAD_PROPERTY, c.property.get());
    const std::size_t n = std::min<std::size_t>(text.size(), c.report_bytes.get());
    if (n != 0) std::memcpy(bytes_at(c.report_address.get(), n).data(), text.data(), n);
    return succeed(q, text.size());
}

/// Taken only as far as there is room; the last byte is the zero.
Step Processor::report_output(QueuePair& q) noexcept {
    const auto& c = q.active.command.u.query;
    const std::size_t room = c.report_bytes.get();
    const auto text = executor_.output(q.context, room == 0 ? 0 : room - 1);
    if (!text) return fail(q, FL_ACCEL_REASON_BAD_PROPERTY, c.property.get());
    if (room != 0) {
        const auto to = bytes_at(c.report_address.get(), text->size() + 1);
        std::copy(text->begin(), text->end(), to.begin());
        to[text->size()] = std::byte{0};
    }
    return succeed(q, text->size() + 1);
}

Step Processor::begin_query(QueuePair& q) noexcept {
    constexpr std::uint32_t kReport = offsetof(fl_accel_command, u) + offsetof(fl_accel_query_command, report_address);
    const auto& c = q.active.command.u.query;
    const std::uint32_t property = c.property.get();
    q.active.touches.clear();
    if (!add_report(q, c.report_address.get(), c.report_bytes.get(), kReport)) {
        return fail(q, FL_ACCEL_REASON_BAD_ADDRESS, kReport);
    }
    if (const auto stopped = admit(q)) return *stopped;
    const bool energy = (executor_.capabilities() & FL_ACCEL_CAP_ENERGY) != 0;
    switch (property) {
        case FL_ACCEL_PROPERTY_MEMORY_TOTAL: return succeed(q, map_.bytes_of_one(q.context));
        case FL_ACCEL_PROPERTY_MEMORY_FREE: return succeed(q, map_.aperture().bytes - map_.used_bytes());
        case FL_ACCEL_PROPERTY_MEMORY_CONTEXT: return succeed(q, map_.used_bytes(q.context));
        case FL_ACCEL_PROPERTY_EXECUTOR: return succeed(q, executor_.kind());
        case FL_ACCEL_PROPERTY_UNITS: return succeed(q, executor_.units());
        case FL_ACCEL_PROPERTY_KERNELS_RUN: return succeed(q, executor_.usage().kernels);
        case FL_ACCEL_PROPERTY_BUSY_NS: return succeed(q, executor_.usage().busy_ns);
        case FL_ACCEL_PROPERTY_ENERGY_UJ:
            return energy ? succeed(q, executor_.energy_uj()) : fail(q, FL_ACCEL_REASON_BAD_PROPERTY, property);
        case FL_ACCEL_PROPERTY_LOCAL_FREE: return succeed(q, map_.local().bytes - map_.local_used_bytes());
        case FL_ACCEL_PROPERTY_CONTEXT_KERNELS: return succeed(q, executor_.usage(q.context).kernels);
        case FL_ACCEL_PROPERTY_CONTEXT_BUSY_NS: return succeed(q, executor_.usage(q.context).busy_ns);
        case FL_ACCEL_PROPERTY_WORKER_BYTES: return succeed(q, executor_.usage(q.context).worker_bytes);
        case FL_ACCEL_PROPERTY_DEVICE_NAMES: return report(q, executor_.names());
        case FL_ACCEL_PROPERTY_OPENCL_INFO: return report(q, executor_.opencl_info());
        case FL_ACCEL_PROPERTY_OUTPUT: return report_output(q);
        default: return fail(q, FL_ACCEL_REASON_BAD_PROPERTY, property);
    }
}

}  // namespace farlane::firmware::accel
