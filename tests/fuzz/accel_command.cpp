// SPDX-License-Identifier: Apache-2.0
// Receives: any bytes as commands, registers and host memory of the accelerator. Hands on:
// nothing; the device must stay within its memory and come to rest. Owns: one device, reset
// before every input.
// Input: (1 byte what, then 64 bytes per slot of a command, or an odd access)...
#include <thread>

#include <farlane/uapi/accel.h>

#include "fuzz/device_host.hpp"

using namespace farlane;

namespace {

constexpr std::uint64_t kCompletions = 0x8000;  // in host memory
constexpr std::uint32_t kEntries = FL_ACCEL_MIN_ENTRIES;

class Accelerator {
public:
    Accelerator() {
        backend::DeviceConfig config{"fuzz", "accel", {{"memory", "32M"}, {"queues", "2"}, {"threads", "1"}}};
        device_ = backend::make_device(config, *memory_).take();
        device_->attached(host_);
    }
    ~Accelerator() { device_->detached(); }
    Accelerator(const Accelerator&) = delete;
    Accelerator& operator=(const Accelerator&) = delete;

    void begin() {
        device_->reset();
        // The executor scrubs in a thread of its own.
        while ((read(offsetof(fl_accel_registers, status)) & FL_ACCEL_STATUS_READY) == 0) turn();
        host_.forget();
        fuzz::enable(*device_);
        for (unsigned queue = 0; queue < 2; ++queue) {
            const std::uint64_t at = FL_ACCEL_QUEUE_OFFSET + queue * FL_ACCEL_QUEUE_STRIDE;
            const auto put = [&](std::size_t offset, std::uint32_t v) { fuzz::bar_write(*device_, 0, at + offset, v); };
            fuzz::bar_write<std::uint64_t>(*device_, 0, at + offsetof(fl_accel_queue_registers, cq_iova),
                                           kCompletions + queue * kEntries * FL_ACCEL_COMPLETION_BYTES);
            put(offsetof(fl_accel_queue_registers, sq_entries), kEntries);
            put(offsetof(fl_accel_queue_registers, cq_entries), kEntries);
            put(offsetof(fl_accel_queue_registers, vector), FL_ACCEL_NO_VECTOR);
            put(offsetof(fl_accel_queue_registers, control), FL_ACCEL_QUEUE_ENABLE);
            tail_[queue] = commands_[queue] = 0;
        }
        turn();
    }

    void command(unsigned queue, fuzz::Input& input) {
        const unsigned slots = 1 + (input.byte() & 3);
        for (unsigned i = 0; i < slots; ++i) write_slot(queue, input.bytes(FL_ACCEL_COMMAND_BYTES));
        const std::uint64_t doorbell = FL_ACCEL_DOORBELL_OFFSET + queue * FL_ACCEL_DOORBELL_STRIDE;
        fuzz::bar_write(*device_, 0, doorbell, tail_[queue]);
        ++commands_[queue];
        rest();
        std::array<std::byte, 4> posted{};
        (void)device_->bar_read(0, queue_register(queue, offsetof(fl_accel_queue_registers, cq_tail)), posted);
        (void)device_->bar_write(0, doorbell + 4, posted, 0);
    }
    void odd(fuzz::Input& input) {
        fuzz::odd_access(*device_, host_, input, 0x20000);
        rest();
    }

private:
    static std::uint64_t queue_register(unsigned queue, std::size_t offset) {
        return FL_ACCEL_QUEUE_OFFSET + queue * FL_ACCEL_QUEUE_STRIDE + offset;
    }
    std::uint32_t read(std::uint64_t offset) {
        std::array<std::byte, 4> out{};
        (void)device_->bar_read(0, offset, out);
        fl_le32 value;
        std::memcpy(&value, out.data(), sizeof(value));
        return value.get();
    }
    void turn() {
        host_.run(*device_, 64);
        std::this_thread::yield();
    }
    // Kernels run in the executor's thread. What is not done after some turns (an event that nobody
    // records) waits for the reset before the next input.
    void rest() {
        for (unsigned n = 0; n < 100; ++n) {
            turn();
            bool done = true;
            for (unsigned queue = 0; queue < 2; ++queue)
                done =
                    done &&
                    (read(queue_register(queue, offsetof(fl_accel_queue_registers, state))) != FL_ACCEL_QUEUE_ENABLED ||
                     read(queue_register(queue, offsetof(fl_accel_queue_registers, commands))) == commands_[queue]);
            if (done) return;
        }
    }
    void write_slot(unsigned queue, std::span<const std::uint8_t> bytes) {
        std::array<std::byte, 8> address{};
        (void)device_->bar_read(0, queue_register(queue, 0), address);
        std::uint64_t sq = 0, aperture = 0;
        std::memcpy(&sq, address.data(), sizeof(sq));
        (void)device_->bar_read(0, offsetof(fl_accel_registers, aperture_address), address);
        std::memcpy(&aperture, address.data(), sizeof(aperture));
        std::array<std::byte, FL_ACCEL_COMMAND_BYTES> slot{};
        std::memcpy(slot.data(), bytes.data(), bytes.size());
        const std::uint64_t at = sq - aperture + (tail_[queue]++ & (kEntries - 1)) * FL_ACCEL_COMMAND_BYTES;
        const auto memory = device_->bar_memory(FL_ACCEL_BAR_APERTURE);
        if (at + slot.size() <= memory.size())
            std::memcpy(memory.data() + at, slot.data(), slot.size());
        else
            (void)device_->bar_write(FL_ACCEL_BAR_APERTURE, at, slot, 0);
    }

    std::unique_ptr<backend::Memory> memory_ = backend::process_memory();
    fuzz::DeviceHost host_;
    std::unique_ptr<backend::Device> device_;
    std::uint32_t tail_[2] = {0, 0}, commands_[2] = {0, 0};
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Accelerator accelerator;
    accelerator.begin();
    fuzz::Input input(data, size);
    for (unsigned steps = 0; !input.empty() && steps < 64; ++steps) {
        const unsigned what = input.byte() % 8;
        if (what == 7)
            accelerator.odd(input);
        else
            accelerator.command(what < 5 ? 0 : 1, input);
    }
    return 0;
}
