// SPDX-License-Identifier: Apache-2.0
// Receives: any bytes as submission queue entries, registers and host memory of the NVMe device.
// Hands on: nothing; the device must stay within its memory and come to rest. Owns: one device.
// Input: (1 byte what, 64 bytes of a command or an odd access)...
#include <memory>

#include "fuzz/device_host.hpp"

using namespace farlane;

namespace {

constexpr std::uint64_t kAdminSq = 0x1000, kAdminCq = 0x2000, kIoSq = 0x3000, kIoCq = 0x4000;
constexpr std::uint32_t kEntries = 32;
constexpr std::uint64_t kBarBytes = 0x4000;

class Nvme {
public:
    Nvme() {
        backend::DeviceConfig config{"fuzz", "nvme", {{"size", "1M"}, {"lba", "512"}, {"queues", "4"}}};
        device_ = backend::make_device(config, *memory_).take();
        device_->attached(host_);
        fuzz::enable(*device_);
        fuzz::bar_write<std::uint32_t>(*device_, 0, 0x24, (kEntries - 1) << 16 | (kEntries - 1));
        fuzz::bar_write<std::uint64_t>(*device_, 0, 0x28, kAdminSq);
        fuzz::bar_write<std::uint64_t>(*device_, 0, 0x30, kAdminCq);
        fuzz::bar_write<std::uint32_t>(*device_, 0, 0x14, 0x00460001);  // CC: 16- and 64-byte entries, enabled
        host_.run(*device_, 100);
        create(5, kIoCq, 1);             // I/O completion queue 1
        create(1, kIoSq, 1u << 16 | 1);  // I/O submission queue 1 onto it
    }
    ~Nvme() { device_->detached(); }
    Nvme(const Nvme&) = delete;
    Nvme& operator=(const Nvme&) = delete;

    void command(unsigned queue, std::span<const std::uint8_t> entry) {
        std::uint32_t& tail = tail_[queue];
        host_.poke((queue == 0 ? kAdminSq : kIoSq) + tail * 64, entry);
        tail = (tail + 1) % kEntries;
        fuzz::bar_write<std::uint32_t>(*device_, 0, 0x1000 + queue * 8, tail);
        host_.run(*device_, 300);
        consume(queue);
    }
    void odd(fuzz::Input& input) {
        fuzz::odd_access(*device_, host_, input, kBarBytes);
        host_.run(*device_, 300);
    }

private:
    // Completions carry a phase bit that turns over with every round (NVMe 1.4, 4.6).
    void consume(unsigned queue) {
        std::uint32_t& head = head_[queue];
        for (unsigned n = 0; n < kEntries; ++n) {
            const std::byte* entry = host_.memory() + (queue == 0 ? kAdminCq : kIoCq) + head % kEntries * 16;
            const unsigned phase = std::to_integer<unsigned>(entry[14]) & 1;
            if (phase != (head / kEntries % 2 == 0 ? 1u : 0u)) break;
            ++head;
        }
        fuzz::bar_write<std::uint32_t>(*device_, 0, 0x1004 + queue * 8, head % kEntries);
    }
    void create(std::uint8_t opcode, std::uint64_t where, std::uint32_t dword11) {
        std::array<std::uint8_t, 64> entry{};
        const auto put = [&](unsigned dword, std::uint32_t v) {
            for (unsigned i = 0; i < 4; ++i) entry[dword * 4 + i] = static_cast<std::uint8_t>(v >> (8 * i));
        };
        put(0, opcode);
        put(6, static_cast<std::uint32_t>(where));
        put(10, (kEntries - 1) << 16 | 1);
        put(11, dword11);
        command(0, entry);
    }

    std::unique_ptr<backend::Memory> memory_ = backend::process_memory();
    fuzz::DeviceHost host_;
    std::unique_ptr<backend::Device> device_;
    std::uint32_t tail_[2] = {0, 0}, head_[2] = {0, 0};
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    Nvme nvme;
    for (unsigned steps = 0; !input.empty() && steps < 64; ++steps) {
        const unsigned what = input.byte() % 8;
        if (what == 7)
            nvme.odd(input);
        else
            nvme.command(what < 3 ? 0 : 1, input.bytes(64));
    }
    return 0;
}
