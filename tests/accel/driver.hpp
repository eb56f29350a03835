// SPDX-License-Identifier: Apache-2.0
// Receives: commands of a test. Hands on: queue slots, doorbells; completions back.
// Owns: an accelerator, a fake host and one queue pair or more. Knows only the contract header
// and docs/accelerator.md, not the device's code.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <farlane/uapi/accel.h>

#include "accel/fake_host.hpp"
#include "devices/devices.hpp"

namespace farlane::test {

/// A command under construction.
struct Command {
    fl_accel_command c{};
    std::vector<std::byte> payload;
    Command(fl_accel_opcode op, std::uint32_t id) {
        c.head.opcode = static_cast<__u8>(op);
        c.head.slots = 1;
        c.head.command_id.set(id);
    }
    template <class T>
    Command& with(const T& block) {
        payload.resize(sizeof block);
        std::memcpy(payload.data(), &block, sizeof block);
        c.head.slots = static_cast<__u8>(1 + (payload.size() + 63) / 64);
        return *this;
    }
    Command& with_text(std::string_view text) {
        const auto bytes = std::as_bytes(std::span(text));
        payload.assign(bytes.begin(), bytes.end());
        c.head.slots = static_cast<__u8>(1 + (payload.size() + 63) / 64);
        return *this;
    }
};

inline Command nop(std::uint32_t id) {
    return {FL_ACCEL_OP_NOP, id};
}
inline Command fence(std::uint32_t id) {
    return {FL_ACCEL_OP_FENCE, id};
}
inline Command timestamp(std::uint32_t id) {
    return {FL_ACCEL_OP_TIMESTAMP, id};
}
inline Command alloc(std::uint32_t id, std::uint64_t address, std::uint64_t bytes) {
    Command c(FL_ACCEL_OP_ALLOC, id);
    c.c.u.alloc.address.set(address);
    c.c.u.alloc.bytes.set(bytes);
    return c;
}
inline Command free_memory(std::uint32_t id, std::uint64_t address) {
    Command c(FL_ACCEL_OP_FREE, id);
    c.c.u.alloc.address.set(address);
    return c;
}
inline Command copy(std::uint32_t id, fl_accel_copy_kind kind, std::uint64_t to, std::uint64_t from,
                    std::uint64_t bytes) {
    Command c(FL_ACCEL_OP_COPY, id);
    c.c.u.copy.destination.set(to);
    c.c.u.copy.source.set(from);
    c.c.u.copy.bytes.set(bytes);
    c.c.u.copy.kind.set(kind);
    return c;
}
inline Command fill(std::uint32_t id, std::uint64_t to, std::uint64_t bytes, std::uint32_t word) {
    Command c(FL_ACCEL_OP_FILL, id);
    c.c.u.fill.destination.set(to);
    c.c.u.fill.bytes.set(bytes);
    const fl_le32 le(word);
    std::memcpy(c.c.u.fill.pattern, &le, 4);
    c.c.u.fill.pattern_bytes.set(4);
    return c;
}
inline Command module_load(std::uint32_t id, std::uint32_t module, std::uint32_t kind = FL_ACCEL_MODULE_BUILTIN) {
    Command c(FL_ACCEL_OP_MODULE_LOAD, id);
    c.c.u.module.module.set(module);
    c.c.u.module.kind.set(kind);
    return c;
}
inline Command module_unload(std::uint32_t id, std::uint32_t module) {
    Command c(FL_ACCEL_OP_MODULE_UNLOAD, id);
    c.c.u.module.module.set(module);
    return c;
}
inline Command bind(std::uint32_t id, std::uint32_t kernel, std::uint32_t module, std::string_view name) {
    Command c(FL_ACCEL_OP_KERNEL_BIND, id);
    c.with_text(name);
    c.c.u.bind.kernel.set(kernel);
    c.c.u.bind.module.set(module);
    c.c.u.bind.name_bytes.set(static_cast<__u32>(name.size()));
    return c;
}
template <class Args>
Command launch(std::uint32_t id, std::uint32_t kernel, const Args& args) {
    Command c(FL_ACCEL_OP_LAUNCH, id);
    c.with(args);
    c.c.u.launch.kernel.set(kernel);
    c.c.u.launch.argument_bytes.set(sizeof args);
    return c;
}
inline Command event(fl_accel_opcode op, std::uint32_t id, std::uint32_t handle, std::uint64_t value) {
    Command c(op, id);
    c.c.u.event.event.set(handle);
    c.c.u.event.value.set(value);
    return c;
}
inline Command query(std::uint32_t id, std::uint32_t property) {
    Command c(FL_ACCEL_OP_QUERY, id);
    c.c.u.query.property.set(property);
    return c;
}

/// A completion in host byte order.
struct Done {
    std::uint32_t id = 0;
    Status status = Status::ok;
    fl_accel_reason reason = FL_ACCEL_REASON_NONE;
    std::uint32_t opcode = 0;
    std::uint64_t value = 0;
    std::uint32_t detail = 0;
    std::uint32_t sq_head = 0;
};

class Driver {
public:
    static constexpr std::uint64_t kCqIova = 0x10'0000'0000;
    static constexpr std::uint64_t kMsiAddress = 0xfee0'0000;

    explicit Driver(std::vector<std::pair<std::string, std::string>> options = {{"memory", "64M"}, {"threads", "2"}})
        : memory_(backend::process_memory()) {
        auto made = firmware::make_accel({"accel0", "accel", std::move(options)}, *memory_);
        if (!made) throw std::runtime_error(made.failure().detail);
        device = std::move(*made);
        attach();
    }
    explicit Driver(std::unique_ptr<backend::Device> made)
        : device(std::move(made)), memory_(backend::process_memory()) {
        attach();
    }

    void attach() {
        device->attached(host);
        config16(0x04, 0x0006);  // memory decoding, bus mastering
        find_msix();
        read(0, &registers, sizeof registers);
        wait_ready();
    }
    void wait_ready() {
        while ((read32(offsetof(fl_accel_registers, status)) & FL_ACCEL_STATUS_READY) == 0) turn();
        read(0, &registers, sizeof registers);
        base = registers.memory_address.get();
    }

    // --- registers
    void read(std::uint64_t offset, void* to, std::size_t bytes) {
        ASSERT_EQ(device->bar_read(0, offset, {static_cast<std::byte*>(to), bytes}), Status::ok);
    }
    std::uint32_t read32(std::uint64_t offset) {
        fl_le32 v;
        read(offset, &v, 4);
        return v.get();
    }
    void write32(std::uint64_t offset, std::uint32_t value) {
        const fl_le32 v(value);
        ASSERT_EQ(device->bar_write(0, offset, std::as_bytes(std::span(&v, 1)), 0), Status::ok);
    }
    void push(std::uint64_t address, std::span<const std::byte> data) {
        const std::uint64_t offset = address - registers.aperture_address.get();
        ASSERT_EQ(device->bar_write(2, offset, data, 0), Status::ok);
    }
    template <class T>
    void push(std::uint64_t address, const std::vector<T>& data) {
        push(address, std::as_bytes(std::span(data)));
    }
    template <class T>
    std::vector<T> peek(std::uint64_t address, std::size_t count) {
        std::vector<T> out(count);
        const std::uint64_t offset = address - registers.aperture_address.get();
        EXPECT_EQ(device->bar_read(2, offset, std::as_writable_bytes(std::span(out))), Status::ok);
        return out;
    }
    static std::uint64_t queue_register(std::uint32_t queue, std::size_t field) {
        return FL_ACCEL_QUEUE_OFFSET + std::uint64_t{queue} * FL_ACCEL_QUEUE_STRIDE + field;
    }
    static std::uint64_t doorbell(std::uint32_t queue, std::size_t field) {
        return FL_ACCEL_DOORBELL_OFFSET + std::uint64_t{queue} * FL_ACCEL_DOORBELL_STRIDE + field;
    }
    std::uint32_t state(std::uint32_t queue) {
        return read32(queue_register(queue, offsetof(fl_accel_queue_registers, state)));
    }
    std::uint32_t reason(std::uint32_t queue) {
        return read32(queue_register(queue, offsetof(fl_accel_queue_registers, reason)));
    }

    // --- queues
    struct Queue {
        std::uint32_t entries = 0, sq_tail = 0, cq_head = 0;
        std::uint64_t sq_address = 0;
        std::span<std::byte> cq;
    };
    void set_up(std::uint32_t n, std::uint32_t entries = 64, std::uint32_t context = 0,
                std::uint32_t vector = FL_ACCEL_NO_VECTOR) {
        using R = fl_accel_queue_registers;
        if (queues_.size() <= n) queues_.resize(n + 1);
        Queue& q = queues_[n];
        q = {};
        q.entries = entries;
        const std::uint64_t iova = kCqIova + (std::uint64_t{n} << 20);
        q.cq = host.map(iova, std::size_t{entries} * FL_ACCEL_COMPLETION_BYTES, true, false);
        write32(queue_register(n, offsetof(R, cq_iova)), static_cast<std::uint32_t>(iova));
        write32(queue_register(n, offsetof(R, cq_iova) + 4), static_cast<std::uint32_t>(iova >> 32));
        write32(queue_register(n, offsetof(R, sq_entries)), entries);
        write32(queue_register(n, offsetof(R, cq_entries)), entries);
        write32(queue_register(n, offsetof(R, context)), context);
        write32(queue_register(n, offsetof(R, vector)), vector);
        write32(queue_register(n, offsetof(R, control)), FL_ACCEL_QUEUE_ENABLE);
        fl_le64 address;
        read(queue_register(n, offsetof(R, sq_address)), &address, 8);
        q.sq_address = address.get();
    }
    void disable(std::uint32_t n) {
        write32(queue_register(n, offsetof(fl_accel_queue_registers, control)), 0);
        while (state(n) != FL_ACCEL_QUEUE_DISABLED) turn();
    }
    /// Writes the slots of a command; ring() tells the device.
    void put(const Command& command, std::uint32_t n = 0) {
        Queue& q = queues_[n];
        std::vector<std::byte> slots(std::size_t{std::max<std::uint32_t>(command.c.head.slots, 1)} * 64);
        const std::size_t whole = std::max(slots.size(), 64 + command.payload.size());
        slots.resize((whole + 63) / 64 * 64);
        std::memcpy(slots.data(), &command.c, 64);
        if (!command.payload.empty()) std::memcpy(slots.data() + 64, command.payload.data(), command.payload.size());
        for (std::size_t i = 0; i < slots.size() / 64; ++i) {
            const std::uint32_t slot = q.sq_tail++ & (q.entries - 1);
            push(q.sq_address + std::uint64_t{slot} * 64, std::span(slots).subspan(i * 64, 64));
        }
    }
    /// One slot as it is, whatever it claims.
    void put_slot(const void* slot64, std::uint32_t n = 0) {
        Queue& q = queues_[n];
        const std::uint32_t slot = q.sq_tail++ & (q.entries - 1);
        push(q.sq_address + std::uint64_t{slot} * 64, {static_cast<const std::byte*>(slot64), 64});
    }
    Queue& queue(std::uint32_t n) { return queues_[n]; }
    void ring(std::uint32_t n = 0) { write32(doorbell(n, offsetof(fl_accel_doorbell, sq_tail)), queues_[n].sq_tail); }
    void ring_cq(std::uint32_t n = 0) {
        write32(doorbell(n, offsetof(fl_accel_doorbell, cq_head)), queues_[n].cq_head);
    }
    void submit(const Command& command, std::uint32_t n = 0) {
        put(command, n);
        ring(n);
    }
    /// The next completion, if it is there.
    bool poll(Done& done, std::uint32_t n = 0) {
        Queue& q = queues_[n];
        fl_accel_completion c;
        std::memcpy(&c, q.cq.data() + std::size_t{q.cq_head & (q.entries - 1)} * sizeof c, sizeof c);
        const std::uint16_t phase = (q.cq_head / q.entries) % 2 == 0 ? FL_ACCEL_PHASE : 0;
        if (c.phase.get() != phase) return false;
        ++q.cq_head;
        done = {c.command_id.get(),
                status_from_code(c.status.get()),
                static_cast<fl_accel_reason>(c.reason.get()),
                c.opcode.get(),
                c.value.get(),
                c.detail.get(),
                c.sq_head.get()};
        return true;
    }
    /// Waits for the next completion; `consume` posts cq_head.
    Done next(std::uint32_t n = 0, bool consume = true) {
        Done done;
        while (!poll(done, n)) turn();
        if (consume) ring_cq(n);
        return done;
    }
    Done run(const Command& command, std::uint32_t n = 0) {
        submit(command, n);
        return next(n);
    }
    void expect_ok(const Command& command, std::uint32_t n = 0) {
        const Done d = run(command, n);
        EXPECT_EQ(d.status, Status::ok) << "reason " << d.reason << " detail " << d.detail << " opcode " << d.opcode;
        EXPECT_EQ(d.id, command.c.head.command_id.get());
    }
    void expect_failure(const Command& command, fl_accel_reason reason, Status status, std::uint32_t n = 0) {
        const Done d = run(command, n);
        EXPECT_EQ(d.reason, reason);
        EXPECT_EQ(d.status, status);
        EXPECT_EQ(d.value, 0u);
    }

    /// One turn of the lane and of a prompt host; sleeps when the executor is all there is to wait for.
    void turn() {
        bool did = device->busy() && device->poll();
        did |= host.serve(*device);
        if (!did && !device->busy()) host.wait_for_wake();
    }
    /// Turns until nothing is left to do without an event.
    void settle() {
        while ((device->busy() && device->poll()) || host.serve(*device)) {
        }
    }

    // --- configuration space
    void config16(std::uint32_t offset, std::uint16_t value) {
        const fl_le16 v(value);
        ASSERT_EQ(device->config_write(offset, std::as_bytes(std::span(&v, 1)), 0), Status::ok);
    }
    std::uint16_t config16(std::uint32_t offset) {
        fl_le16 v;
        EXPECT_EQ(device->config_read(offset, std::as_writable_bytes(std::span(&v, 1))), Status::ok);
        return v.get();
    }
    std::uint8_t config8(std::uint32_t offset) {
        std::byte v{};
        EXPECT_EQ(device->config_read(offset, {&v, 1}), Status::ok);
        return std::to_integer<std::uint8_t>(v);
    }
    /// Unmasks `vector` with address kMsiAddress and data = 0x40 + vector, and enables MSI-X.
    void unmask(std::uint32_t vector) {
        const std::uint64_t entry = FL_ACCEL_MSIX_TABLE_OFFSET + vector * 16;
        write32(entry, kMsiAddress);
        write32(entry + 4, 0);
        write32(entry + 8, 0x40 + vector);
        write32(entry + 12, 0);
        config16(msix_ + 2, 0x8000);
    }

    FakeHost host;
    std::unique_ptr<backend::Device> device;
    fl_accel_registers registers{};
    std::uint64_t base = 0;  ///< first address ALLOC may give

private:
    void find_msix() {
        for (std::uint32_t at = config8(0x34); at != 0; at = config8(at + 1)) {
            if (config8(at) == 0x11) msix_ = at;
        }
        ASSERT_NE(msix_, 0u);
    }

    std::unique_ptr<backend::Memory> memory_;
    std::vector<Queue> queues_;
    std::uint32_t msix_ = 0;
};

}  // namespace farlane::test
