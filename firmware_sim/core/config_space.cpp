// SPDX-License-Identifier: Apache-2.0
// Receives: configuration reads and writes. Hands on: side effects. Owns: masks (config_space.hpp).
#include "core/config_space.hpp"

#include <algorithm>
#include <cstring>

#include <farlane/uapi/frame.h>

namespace farlane::firmware {
namespace {

// Configuration space is little-endian whatever the host is.
std::uint32_t load32(const std::byte* p) noexcept {
    fl_le32 v;
    std::memcpy(&v, p, sizeof v);
    return v.get();
}
void save32(std::byte* p, std::uint32_t v) noexcept {
    const fl_le32 le(v);
    std::memcpy(p, &le, sizeof le);
}
void or32(std::byte* p, std::uint32_t v) noexcept {
    save32(p, load32(p) | v);
}

}  // namespace

ConfigSpace::ConfigSpace() {
    // No INTx: Interrupt Pin stays 0 (7.5.1.2.5), INTx Disable can be written nevertheless.
    rules(cfg::kCommand, {.writable = cfg::kCommandMemory | cfg::kCommandBusMaster | cfg::kCommandParity |
                                      cfg::kCommandSerr | cfg::kCommandIntxDisable,
                          // Status: master data parity, signaled/received abort, SERR, parity (RW1C)
                          .write1_clear = 0xf9000000u});
    rules(cfg::kInterruptLine, {.writable = 0xff});
    rules(0x0c, {.writable = 0xff});  // Cache Line Size: RW without effect, 7.5.1.1.7
}

void ConfigSpace::set8(std::uint32_t offset, std::uint8_t v) noexcept {
    defaults_[offset] = std::byte{v};
}

void ConfigSpace::set16(std::uint32_t offset, std::uint16_t v) noexcept {
    set8(offset, static_cast<std::uint8_t>(v));
    set8(offset + 1, static_cast<std::uint8_t>(v >> 8));
}

void ConfigSpace::set32(std::uint32_t offset, std::uint32_t v) noexcept {
    save32(&defaults_[offset], v);
}

void ConfigSpace::rules(std::uint32_t offset, const BitRules& r) noexcept {
    or32(&writable_[offset], r.writable);
    or32(&write1_clear_[offset], r.write1_clear);
    or32(&status_[offset], r.status);
    or32(&sticky_[offset], r.sticky);
}

void ConfigSpace::on_write(std::uint32_t offset, SideEffect effect) {
    effects_.emplace_back(offset, std::move(effect));
}

void ConfigSpace::bar(unsigned index, std::uint64_t size_bytes, std::uint32_t flags) noexcept {
    const std::uint32_t at = cfg::kBar0 + index * 4;
    const std::uint64_t address_bits = ~(size_bytes - 1);
    set32(at, flags);
    rules(at, {.writable = static_cast<std::uint32_t>(address_bits) & ~0xfu});
    if ((flags & FL_BAR_64BIT) != 0) rules(at + 4, {.writable = static_cast<std::uint32_t>(address_bits >> 32)});
}

std::uint32_t ConfigSpace::capability(std::uint8_t id, std::uint32_t bytes) noexcept {
    const std::uint32_t at = next_free_;
    if (at + bytes > kExtendedConfig) return 0;
    next_free_ = (at + bytes + 3) & ~3u;
    set8(at, id);
    set8(last_link_ == 0 ? cfg::kCapabilities : last_link_ + 1, static_cast<std::uint8_t>(at));
    last_link_ = at;
    set16(cfg::kStatus, cfg::kStatusCapabilities);
    return at;
}

std::uint32_t ConfigSpace::extended_capability(std::uint16_t id, std::uint8_t version, std::uint32_t bytes) noexcept {
    const std::uint32_t at = next_extended_;
    if (at + bytes > kConfigBytes) return 0;
    next_extended_ = (at + bytes + 3) & ~3u;
    set32(at, id | std::uint32_t{version} << 16);
    // Next Capability Offset: bits 31:20 of the header, 7.6.3
    if (last_extended_ != 0) or32(&defaults_[last_extended_], at << 20);
    last_extended_ = at;
    return at;
}

void ConfigSpace::power_on() noexcept {
    std::memcpy(live_, defaults_.data(), kConfigBytes);
}

void ConfigSpace::function_reset() noexcept {
    for (std::uint32_t i = 0; i < kConfigBytes; ++i) live_[i] = (live_[i] & sticky_[i]) | (defaults_[i] & ~sticky_[i]);
}

bool ConfigSpace::plausible() const noexcept {
    for (std::uint32_t i = 0; i < kConfigBytes; ++i) {
        const std::byte may_differ = writable_[i] | write1_clear_[i] | status_[i];
        if (((live_[i] ^ defaults_[i]) & ~may_differ) != std::byte{0}) return false;
    }
    return true;
}

void ConfigSpace::read(std::uint32_t offset, std::span<std::byte> out) const noexcept {
    std::memcpy(out.data(), live_ + offset, out.size());
}

std::uint32_t ConfigSpace::get32(std::uint32_t offset) const noexcept {
    return load32(live_ + offset);
}

std::uint16_t ConfigSpace::get16(std::uint32_t offset) const noexcept {
    return static_cast<std::uint16_t>(std::to_integer<unsigned>(live_[offset]) |
                                      std::to_integer<unsigned>(live_[offset + 1]) << 8);
}

void ConfigSpace::store32(std::uint32_t offset, std::uint32_t v) noexcept {
    save32(live_ + offset, v);
}

void ConfigSpace::put(std::uint32_t offset, std::uint32_t mask, std::uint32_t value) noexcept {
    store32(offset, (get32(offset) & ~mask) | (value & mask));
}

void ConfigSpace::write(std::uint32_t offset, std::span<const std::byte> in, std::uint8_t enables) noexcept {
    const bool every = enables == 0 || in.size() > 8;
    std::size_t i = 0;
    while (i < in.size()) {
        const std::uint32_t at = offset + static_cast<std::uint32_t>(i);
        const std::uint32_t dword = at & ~3u;
        std::uint32_t written = 0, enabled = 0;
        for (std::uint32_t b = at & 3; b < 4 && i < in.size(); ++b, ++i) {
            if (!every && (enables >> i & 1) == 0) continue;
            written |= std::to_integer<std::uint32_t>(in[i]) << (8 * b);
            enabled |= 0xffu << (8 * b);
        }
        if (enabled != 0) write_dword(dword, written, enabled);
    }
}

void ConfigSpace::write_dword(std::uint32_t offset, std::uint32_t written, std::uint32_t enabled) noexcept {
    const std::uint32_t rw = load32(&writable_[offset]) & enabled;
    const std::uint32_t clear = load32(&write1_clear_[offset]) & enabled & written;
    const std::uint32_t before = get32(offset);
    const std::uint32_t after = ((before & ~rw) | (written & rw)) & ~clear;
    store32(offset, after);
    const ConfigWrite w{offset, before, after, written, enabled};
    for (const auto& [at, effect] : effects_)
        if (at == offset) effect(w);
}

}  // namespace farlane::firmware
