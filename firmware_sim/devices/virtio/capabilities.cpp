// SPDX-License-Identifier: Apache-2.0
// Receives: accesses to configuration space. Hands on: where the structures of the BAR are; through the window
// also accesses to them. Owns: nothing. Virtio 1.2, 4.1.4.
#include <cstring>
#include <stdexcept>

#include <farlane/uapi/types.h>

#include "devices/virtio/transport.hpp"

namespace farlane::firmware::virtio {
namespace {

constexpr std::uint8_t kVendorSpecific = 0x09;  // PCIe 6.0, 7.9.4
constexpr std::uint32_t kBar = 4, kOffset = 8, kLength = 12, kExtra = 16;

std::uint32_t add(ConfigSpace& c, Structure type, std::uint32_t offset, std::uint32_t length, bool longer) {
    const std::uint32_t bytes = longer ? kLongCapabilityBytes : kCapabilityBytes;
    const std::uint32_t at = c.capability(kVendorSpecific, bytes);
    if (at == 0) throw std::logic_error("no room for a virtio capability");
    c.set8(at + 2, static_cast<std::uint8_t>(bytes));
    c.set8(at + 3, static_cast<std::uint8_t>(type));
    c.set32(at + kOffset, offset);
    c.set32(at + kLength, length);
    return at;
}

}  // namespace

void Transport::add_capabilities() {
    ConfigSpace& c = config();
    add(c, Structure::common, kCommonAt, common::kBytes, false);
    const std::uint32_t notify = add(c, Structure::notify, kNotifyAt, profile_.queues * kNotifyMultiplier, true);
    c.set32(notify + kExtra, kNotifyMultiplier);
    add(c, Structure::isr, kIsrAt, 1, false);
    add(c, Structure::device, kDeviceAt, kDeviceBytes, false);
    window_at_ = add(c, Structure::window, 0, 0, true);
    c.rules(window_at_ + kBar, {.writable = 0xff});
    for (const std::uint32_t field : {kOffset, kLength, kExtra}) c.rules(window_at_ + field, {.writable = 0xffffffffu});
    c.on_write(window_at_ + kExtra, [this](const ConfigWrite&) { window_write(); });
}

// 4.1.4.9: what the driver wrote into bar, offset and length.
bool Transport::window_access(std::uint64_t& offset, std::uint32_t& bytes) const noexcept {
    offset = config().get32(window_at_ + kOffset);
    bytes = config().get32(window_at_ + kLength);
    const bool sane = (config().get32(window_at_ + kBar) & 0xff) == 0 && (bytes == 1 || bytes == 2 || bytes == 4);
    return sane && offset % bytes == 0 && offset + bytes <= kBarBytes;
}

Status Transport::config_read(std::uint32_t offset, std::span<std::byte> out) noexcept {
    const std::uint32_t data = window_at_ + kExtra;
    std::uint64_t at = 0;
    std::uint32_t bytes = 0;
    if (offset < data + 4 && offset + out.size() > data && window_access(at, bytes)) {
        std::array<std::byte, 4> raw{};
        if (bar_read(0, at, std::span(raw).first(bytes)) == Status::ok) {
            fl_le32 v;
            std::memcpy(&v, raw.data(), sizeof v);
            config().put(data, 0xffffffffu, v.get());
        }
    }
    return Function::config_read(offset, out);
}

void Transport::window_write() noexcept {
    std::uint64_t at = 0;
    std::uint32_t bytes = 0;
    if (!window_access(at, bytes)) return;
    const fl_le32 v(config().get32(window_at_ + kExtra));
    (void)bar_write(0, at, std::as_bytes(std::span{&v, 1}).first(bytes), 0);
}

}  // namespace farlane::firmware::virtio
