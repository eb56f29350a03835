// SPDX-License-Identifier: Apache-2.0
// Receives: any bytes as descriptors, rings and registers of the virtio devices. Hands on: nothing; a device must
// stay within its memory and come to rest. Owns: one device.
// Input: 1 byte which device, 1 byte which features, (1 byte what, its bytes)...
#include <memory>

#include "devices/virtio/transport.hpp"
#include "fuzz/device_host.hpp"

using namespace farlane;
using namespace farlane::firmware::virtio;

namespace {

constexpr std::uint16_t kEntries = 16;
constexpr unsigned kQueues = 2;
constexpr std::uint64_t kDataAt = 0x10000;
constexpr std::uint64_t kNotifyAt = 0x3000, kBarBytes = 0x8000;  // the BAR's layout, docs/devices.md

// Each queue has 16 KiB: the descriptor table, the driver area, the device area, a table for indirect ones.
constexpr std::uint64_t descriptors_at(unsigned queue) {
    return 0x1000 + queue * 0x4000;
}
constexpr std::uint64_t driver_at(unsigned queue) {
    return descriptors_at(queue) + 0x1000;
}
constexpr std::uint64_t device_at(unsigned queue) {
    return descriptors_at(queue) + 0x2000;
}

class Virtio {
public:
    Virtio(unsigned kind, unsigned features) : features_(features) {
        static const backend::DeviceConfig kConfigs[] = {
            {"fuzz", "virtio-blk", {{"size", "1M"}}},
            {"fuzz", "virtio-net", {}},
            {"fuzz", "virtio-rng", {}},
            {"fuzz", "virtio-console", {}},
        };
        device_ = backend::make_device(kConfigs[kind % 4], *memory_).take();
        device_->attached(host_);
        fuzz::enable(*device_);
        start();
    }
    ~Virtio() { device_->detached(); }
    Virtio(const Virtio&) = delete;
    Virtio& operator=(const Virtio&) = delete;

    /// 3.1.1: from reset to DRIVER_OK.
    void start() {
        std::uint64_t wanted = feature::kRequired;
        if ((features_ & 1) != 0) wanted |= feature::kIndirect;
        if ((features_ & 2) != 0) wanted |= feature::kEventIndex;
        if ((features_ & 4) != 0) wanted |= feature::kNotificationData;
        common_write<std::uint8_t>(common::kStatus, 0);
        common_write<std::uint8_t>(common::kStatus, 3);
        for (std::uint32_t half = 0; half < 2; ++half) {
            common_write(common::kDriverFeatureSelect, half);
            common_write(common::kDriverFeature, static_cast<std::uint32_t>(wanted >> (32 * half)));
        }
        common_write<std::uint8_t>(common::kStatus, 3 | device_status::kFeaturesOk);
        for (unsigned q = 0; q < kQueues; ++q) {
            common_write(common::kQueueSelect, static_cast<std::uint16_t>(q));
            common_write(common::kQueueSize, kEntries);
            common_write(common::kDescriptors, descriptors_at(q));
            common_write(common::kDriverArea, driver_at(q));
            common_write(common::kDeviceArea, device_at(q));
            common_write<std::uint16_t>(common::kQueueEnable, 1);
            available_[q] = 0;
        }
        common_write<std::uint8_t>(common::kStatus, 3 | device_status::kFeaturesOk | device_status::kDriverOk);
        host_.run(*device_, 50);
    }
    /// A chain out of the input; the last one may be wrong in any way, and so may its lengths.
    void request(fuzz::Input& input) {
        const unsigned queue = input.byte() % kQueues, count = 1 + input.byte() % 6;
        const auto head = static_cast<std::uint16_t>(input.byte() % kEntries);
        for (unsigned i = 0; i < count; ++i) {
            const unsigned flags = input.byte();
            const bool last = i + 1 == count;
            const bool odd = (flags & 0x80) != 0;
            const std::uint64_t iova = odd ? input.number<std::uint64_t>() : kDataAt + input.number<std::uint16_t>();
            const std::uint32_t bytes = odd ? input.number<std::uint32_t>() : input.number<std::uint16_t>();
            const unsigned next = odd ? input.byte() : (head + i + 1) % kEntries;
            std::array<std::uint8_t, kDescriptorBytes> raw{};
            little(raw, 0, iova, 8);
            little(raw, 8, bytes, 4);
            little(raw, 12, (flags & 6) | (last && !odd ? 0 : kDescriptorNext), 2);
            little(raw, 14, next, 2);
            host_.poke(descriptors_at(queue) + (head + i) % kEntries * kDescriptorBytes, raw);
        }
        host_.poke(kDataAt, input.bytes(input.byte() % 32));  // a header, where one is read
        offer(queue, head);
    }
    /// Bytes anywhere in a queue's memory, and a notification.
    void scribble(fuzz::Input& input) {
        const unsigned queue = input.byte() % kQueues;
        host_.poke(descriptors_at(queue) + input.number<std::uint16_t>() % 0x4000, input.bytes(input.byte() % 64));
        notify(queue, input.number<std::uint32_t>());
    }
    void odd(fuzz::Input& input) {
        fuzz::odd_access(*device_, host_, input, kBarBytes);
        host_.run(*device_, 300);
    }

private:
    static void little(std::span<std::uint8_t> raw, std::size_t at, std::uint64_t v, unsigned bytes) {
        for (unsigned i = 0; i < bytes; ++i) raw[at + i] = static_cast<std::uint8_t>(v >> (8 * i));
    }
    template <class T>
    void common_write(std::uint32_t offset, T value) {
        fuzz::bar_write(*device_, 0, offset, value);
    }
    void offer(unsigned queue, std::uint16_t head) {
        std::array<std::uint8_t, 2> raw{};
        little(raw, 0, head, 2);
        host_.poke(driver_at(queue) + 4 + available_[queue] % kEntries * 2, raw);
        little(raw, 0, ++available_[queue], 2);
        host_.poke(driver_at(queue) + 2, raw);
        notify(queue, std::uint32_t{available_[queue]} << 16 | queue);
    }
    void notify(unsigned queue, std::uint32_t value) {
        fuzz::bar_write(*device_, 0, kNotifyAt + queue * 4, value);
        host_.run(*device_, 300);
    }

    const unsigned features_;
    std::unique_ptr<backend::Memory> memory_ = backend::process_memory();
    fuzz::DeviceHost host_;
    std::unique_ptr<backend::Device> device_;
    std::uint16_t available_[kQueues] = {};
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const unsigned kind = input.byte();
    Virtio virtio(kind, input.byte());
    for (unsigned steps = 0; !input.empty() && steps < 64; ++steps) {
        switch (input.byte() % 8) {
            case 5: virtio.scribble(input); break;
            case 6: virtio.odd(input); break;
            case 7: virtio.start(); break;
            default: virtio.request(input);
        }
    }
    return 0;
}
