// SPDX-License-Identifier: Apache-2.0
// Receives: doorbells and slots, hostile. Hands on: well-formed commands and completions.
// Owns: nothing beyond the pair it is given.
#include "devices/accel/queue.hpp"

#include <algorithm>
#include <cstring>

#include "devices/accel/context.hpp"

namespace farlane::firmware::accel {
namespace {

using backend::Outcome;

constexpr std::uint32_t kOperandOffset = offsetof(fl_accel_command, u);

/// Which operand bytes an opcode uses; the rest of the slot is reserved.
struct Shape {
    bool known = false;
    std::uint32_t used_bytes = 0;  ///< of the 48
};

constexpr Shape shape_of(std::uint8_t opcode) noexcept {
    switch (opcode) {
        case FL_ACCEL_OP_NOP:
        case FL_ACCEL_OP_FENCE:
        case FL_ACCEL_OP_TIMESTAMP: return {true, 0};
        case FL_ACCEL_OP_ALLOC: return {true, offsetof(fl_accel_alloc_command, reserved)};
        case FL_ACCEL_OP_FREE: return {true, offsetof(fl_accel_alloc_command, bytes)};
        case FL_ACCEL_OP_COPY: return {true, offsetof(fl_accel_copy_command, reserved0)};
        case FL_ACCEL_OP_FILL: return {true, offsetof(fl_accel_fill_command, reserved0)};
        case FL_ACCEL_OP_MODULE_LOAD: return {true, offsetof(fl_accel_module_command, reserved)};
        case FL_ACCEL_OP_MODULE_UNLOAD: return {true, offsetof(fl_accel_module_command, kind)};
        case FL_ACCEL_OP_KERNEL_BIND: return {true, offsetof(fl_accel_bind_command, reserved)};
        case FL_ACCEL_OP_LAUNCH: return {true, sizeof(fl_accel_launch_command)};
        case FL_ACCEL_OP_EVENT_RECORD:
        case FL_ACCEL_OP_EVENT_WAIT: return {true, offsetof(fl_accel_event_command, reserved1)};
        case FL_ACCEL_OP_QUERY: return {true, offsetof(fl_accel_query_command, reserved)};
        default: return {};
    }
}

/// Payload bytes the operands announce.
std::uint32_t payload_bytes(const fl_accel_command& c) noexcept {
    if (c.head.opcode == FL_ACCEL_OP_KERNEL_BIND) return c.u.bind.name_bytes.get();
    if (c.head.opcode == FL_ACCEL_OP_LAUNCH) return c.u.launch.argument_bytes.get();
    if (c.head.opcode == FL_ACCEL_OP_MODULE_LOAD) return c.u.module.options_bytes.get();
    return 0;
}

std::uint16_t flags_of(std::uint8_t opcode) noexcept {
    return opcode == FL_ACCEL_OP_LAUNCH ? FL_ACCEL_LAUNCH_DIMENSIONS : 0;
}

Outcome check_reserved(const fl_accel_command& c, const Shape& shape) noexcept {
    if (c.head.reserved0.get() != 0) return {FL_ACCEL_REASON_RESERVED, offsetof(fl_accel_header, reserved0), 0};
    if (c.head.reserved1.get() != 0) return {FL_ACCEL_REASON_RESERVED, offsetof(fl_accel_header, reserved1), 0};
    const auto* begin = c.u.raw + shape.used_bytes;
    const auto* end = c.u.raw + sizeof c.u.raw;
    const auto* bad = std::find_if(begin, end, [](__u8 b) { return b != 0; });
    if (bad != end) return {FL_ACCEL_REASON_RESERVED, kOperandOffset + static_cast<std::uint32_t>(bad - c.u.raw), 0};
    const bool event = c.head.opcode == FL_ACCEL_OP_EVENT_RECORD || c.head.opcode == FL_ACCEL_OP_EVENT_WAIT;
    if (event && c.u.event.reserved0.get() != 0) {
        return {FL_ACCEL_REASON_RESERVED, kOperandOffset + offsetof(fl_accel_event_command, reserved0), 0};
    }
    return {};
}

bool slots_possible(std::uint32_t slots, std::uint32_t there) noexcept {
    return slots >= 1 && slots <= FL_ACCEL_MAX_SLOTS && slots <= there;
}

/// docs/accelerator.md, "Checks common to all commands", in that order.
Outcome check_common(const fl_accel_command& c, std::uint32_t slots_there) noexcept {
    const std::uint32_t slots = c.head.slots;
    if (!slots_possible(slots, slots_there)) return {FL_ACCEL_REASON_BAD_SLOTS, slots, 0};
    const Shape shape = shape_of(c.head.opcode);
    if (!shape.known) return {FL_ACCEL_REASON_BAD_OPCODE, c.head.opcode, 0};
    if (c.head.command_id.get() == FL_ACCEL_NO_COMMAND) return {FL_ACCEL_REASON_BAD_COMMAND_ID, 0, 0};
    if ((c.head.flags.get() & ~flags_of(c.head.opcode)) != 0) return {FL_ACCEL_REASON_BAD_FLAGS, c.head.flags.get(), 0};
    if (c.head.stream.get() >= kMaxStreams) return {FL_ACCEL_REASON_BAD_STREAM, c.head.stream.get(), 0};
    if (const Outcome bad = check_reserved(c, shape); !bad.ok()) return bad;
    const std::uint64_t payload = payload_bytes(c);
    const std::uint64_t wanted = 1 + (payload + FL_ACCEL_COMMAND_BYTES - 1) / FL_ACCEL_COMMAND_BYTES;
    if (wanted != slots) return {FL_ACCEL_REASON_BAD_SLOTS, slots, 0};
    return {};
}

}  // namespace

void QueuePair::clear() noexcept {
    const std::uint32_t n = number;
    const std::uint32_t serial = active.serial;
    auto memory = std::move(flights);
    *this = QueuePair{};
    number = n;
    active.serial = serial;
    flights = std::move(memory);
}

bool ring_sq_tail(QueuePair& q, std::uint32_t value) noexcept {
    const std::uint32_t room = q.sq_entries - (q.sq_tail - q.sq_head);
    if (value - q.sq_tail > room) return false;
    q.sq_tail = value;
    return true;
}

bool ring_cq_head(QueuePair& q, std::uint32_t value) noexcept {
    if (value - q.cq_head > q.cq_tail - q.cq_head) return false;
    q.cq_head = value;
    return true;
}

void fetch(QueuePair& q, std::span<const std::byte> slots) noexcept {
    const std::uint32_t mask = q.sq_entries - 1;
    const auto slot = [&](std::uint32_t count) {
        return slots.data() + std::size_t{count & mask} * FL_ACCEL_COMMAND_BYTES;
    };
    Active& a = q.active;
    std::memcpy(&a.command, slot(q.sq_head), sizeof a.command);
    a.serial += 1;
    a.poisoned = false;
    a.touches.clear();
    a.has_job = false;
    a.given = 0;
    a.unordered = a.reads = 0;
    a.staged = 0;
    a.chunks = 0;
    const std::uint32_t there = q.sq_tail - q.sq_head;
    a.outcome = check_common(a.command, there);
    // A command whose number of slots can not be takes one.
    a.slots = slots_possible(a.command.head.slots, there) ? a.command.head.slots : 1;
    for (std::uint32_t i = 1; i < a.slots; ++i) {
        std::memcpy(a.payload.data() + std::size_t{i - 1} * FL_ACCEL_COMMAND_BYTES, slot(q.sq_head + i),
                    FL_ACCEL_COMMAND_BYTES);
    }
    q.sq_head += a.slots;
    a.stage = a.outcome.ok() ? Stage::begin : Stage::finished;
}

std::uint16_t status_of(fl_accel_reason reason) noexcept {
    switch (reason) {
#define FARLANE_ACCEL_STATUS(NAME, name, code, status, text) \
    case FL_ACCEL_REASON_##NAME: return FL_STATUS_##status;
        FL_ACCEL_REASON_TABLE(FARLANE_ACCEL_STATUS)
#undef FARLANE_ACCEL_STATUS
    }
    return FL_STATUS_IO;
}

fl_accel_completion make_completion(const QueuePair& q, const fl_accel_header& head, const Outcome& outcome) noexcept {
    fl_accel_completion c{};
    c.command_id = head.command_id;
    c.stream = head.stream;
    c.opcode.set(head.opcode);
    c.status.set(status_of(outcome.reason));
    c.reason.set(static_cast<std::uint16_t>(outcome.reason));
    c.detail.set(outcome.detail);
    c.value.set(outcome.ok() ? outcome.value : 0);
    c.sq_head.set(q.sq_head);
    return c;
}

fl_accel_completion make_error_completion(const QueuePair& q) noexcept {
    fl_accel_completion c{};
    c.command_id.set(FL_ACCEL_NO_COMMAND);
    c.status.set(status_of(q.reason));
    c.reason.set(static_cast<std::uint16_t>(q.reason));
    c.sq_head.set(q.sq_head);
    return c;
}

}  // namespace farlane::firmware::accel
