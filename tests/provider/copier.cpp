// SPDX-License-Identifier: Apache-2.0
// Receives: copies. Hands on: commands in the submission queue, completions from host memory. Owns: see the header.
#include "provider/copier.hpp"

#include <atomic>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>

#include "provider/stage.hpp"

namespace farlane::test {
namespace {

constexpr std::uint32_t kEntries = 64;
constexpr std::uint64_t kRegisters = FL_ACCEL_QUEUE_OFFSET;
constexpr std::uint64_t kDoorbell = FL_ACCEL_DOORBELL_OFFSET;
using Registers = fl_accel_registers;
using Queue = fl_accel_queue_registers;
using Doorbell = fl_accel_doorbell;

template <class F>
void until(const char* what, F ready) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!ready())
        if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error(std::string("in vain: ") + what);
}

// The device is writing it at this moment, phase last: the race is the point.
__attribute__((no_sanitize("thread"))) bool load(const std::byte* from, std::uint16_t phase,
                                                 fl_accel_completion& to) noexcept {
    const auto* p = reinterpret_cast<const volatile std::uint16_t*>(from + offsetof(fl_accel_completion, phase));
    if (*p != phase) return false;
    std::atomic_thread_fence(std::memory_order_acquire);
    const auto* words = reinterpret_cast<const volatile std::uint64_t*>(from);
    std::uint64_t copy[sizeof to / 8];
    for (std::size_t i = 0; i < sizeof to / 8; ++i) copy[i] = words[i];
    std::memcpy(static_cast<void*>(&to), copy, sizeof to);
    return true;
}

}  // namespace

void until_ready(Device& device) {
    until("the accelerator is ready",
          [&] { return (device.read32(0, offsetof(Registers, status)) & FL_ACCEL_STATUS_READY) != 0; });
}

Copier::Copier(Device& device) : device_(device) {
    const auto read32 = [&](std::size_t at) { return device_.read32(FL_ACCEL_BAR_REGISTERS, at); };
    const auto read64 = [&](std::size_t at) { return device_.read64(FL_ACCEL_BAR_REGISTERS, at); };
    until_ready(device_);
    memory_ = read64(offsetof(Registers, memory_address));
    aperture_ = read64(offsetof(Registers, aperture_address));
    completions_ = device_.domain().allocate(kEntries * FL_ACCEL_COMPLETION_BYTES);
    mapping_ = device_.domain().map(completions_, DmaDirection::from_device);
    device_.write64(0, kRegisters + offsetof(Queue, cq_iova), mapping_.iova());
    device_.write32(0, kRegisters + offsetof(Queue, sq_entries), kEntries);
    device_.write32(0, kRegisters + offsetof(Queue, cq_entries), kEntries);
    device_.write32(0, kRegisters + offsetof(Queue, context), 0);
    device_.write32(0, kRegisters + offsetof(Queue, pasid), 0);
    device_.write32(0, kRegisters + offsetof(Queue, vector), kVector);
    device_.write32(0, kRegisters + offsetof(Queue, control), FL_ACCEL_QUEUE_ENABLE);
    if (read32(kRegisters + offsetof(Queue, state)) != FL_ACCEL_QUEUE_ENABLED)
        throw std::runtime_error("the queue pair was not enabled: reason " +
                                 std::to_string(read32(kRegisters + offsetof(Queue, reason))));
    commands_ = read64(kRegisters + offsetof(Queue, sq_address)) - aperture_;
    fl_accel_alloc_command alloc{};
    alloc.address.set(memory_);
    alloc.bytes.set(kBytes);
    post(FL_ACCEL_OP_ALLOC, &alloc, sizeof alloc);
    if (!settle().ok()) throw std::runtime_error("the accelerator gave no memory");
}

Copier::~Copier() {
    try {
        device_.write32(0, kRegisters + offsetof(Queue, control), 0);
        until("the queue pair is disabled",
              [&] { return device_.read32(0, kRegisters + offsetof(Queue, state)) == FL_ACCEL_QUEUE_DISABLED; });
    } catch (const std::exception&) {
        // The device is gone, or was reset: so is the queue.
    }
}

void Copier::post(fl_accel_opcode opcode, const void* operands, std::size_t bytes) {
    fl_accel_command c{};
    c.head.opcode = static_cast<__u8>(opcode);
    c.head.slots = 1;
    c.head.command_id.set(posted_);
    if (bytes != 0) std::memcpy(c.u.raw, operands, bytes);
    const std::uint64_t slot = posted_ % kEntries;
    device_.write(FL_ACCEL_BAR_APERTURE, commands_ + slot * sizeof c, std::as_bytes(std::span(&c, 1)), true);
    device_.write32(0, kDoorbell + offsetof(Doorbell, sq_tail), ++posted_);
}

bool Copier::take() {
    fl_accel_completion c;
    const std::uint16_t phase = taken_ / kEntries % 2 == 0 ? FL_ACCEL_PHASE : 0;
    const std::size_t entry = taken_ % kEntries;
    if (!load(completions_.data() + entry * sizeof c, phase, c)) return false;
    ++taken_;
    last_.reason = c.reason.get();
    device_.write32(0, kDoorbell + offsetof(Doorbell, cq_head), taken_);
    return true;
}

bool Copier::done() {
    return taken_ == posted_ || take();
}

void Copier::wait() {
    until("a completion", [&] {
        if (done()) return true;
        device_.progress(std::chrono::microseconds(200));
        if (done()) return true;
        (void)device_.config_read16(0);  // throws what is wrong with the device, rather than waiting in vain
        return false;
    });
}

Copier::Outcome Copier::settle() {
    wait();
    const Outcome outcome = last_;
    if (outcome.ok()) return outcome;
    post(FL_ACCEL_OP_FENCE, nullptr, 0);
    wait();
    if (!last_.ok()) throw std::runtime_error("a FENCE failed: reason " + std::to_string(last_.reason));
    return outcome;
}

void Copier::begin(fl_accel_copy_kind kind, std::uint64_t to, std::uint64_t from, std::uint64_t bytes) {
    fl_accel_copy_command copy{};
    copy.destination.set(to);
    copy.source.set(from);
    copy.bytes.set(bytes);
    copy.kind.set(kind);
    post(FL_ACCEL_OP_COPY, &copy, sizeof copy);
}

Copier::Outcome Copier::copy(fl_accel_copy_kind kind, std::uint64_t to, std::uint64_t from, std::uint64_t bytes) {
    begin(kind, to, from, bytes);
    return settle();
}

Copier::Outcome Copier::to_device(std::uint64_t iova, std::uint64_t offset, std::uint64_t bytes) {
    return copy(FL_ACCEL_COPY_HOST_TO_DEVICE, memory_ + offset, iova, bytes);
}
Copier::Outcome Copier::to_host(std::uint64_t offset, std::uint64_t iova, std::uint64_t bytes) {
    return copy(FL_ACCEL_COPY_DEVICE_TO_HOST, iova, memory_ + offset, bytes);
}
void Copier::begin_to_host(std::uint64_t offset, std::uint64_t iova, std::uint64_t bytes) {
    begin(FL_ACCEL_COPY_DEVICE_TO_HOST, iova, memory_ + offset, bytes);
}

void Copier::arm() {
    device_.write32(0, kDoorbell + offsetof(Doorbell, cq_arm), taken_);
}

void Copier::fill(std::uint64_t offset, std::span<const std::byte> data) {
    device_.write(FL_ACCEL_BAR_APERTURE, aperture(offset), data);
}

std::vector<std::byte> Copier::look(std::uint64_t offset, std::size_t bytes) {
    std::vector<std::byte> data(bytes);
    device_.read(FL_ACCEL_BAR_APERTURE, aperture(offset), data);
    return data;
}

}  // namespace farlane::test
