// SPDX-License-Identifier: Apache-2.0
// Receives: the bytes of a configuration space, from anywhere (hostile). Hands on: what they
// mean. Owns: nothing. Pure; every read is bounds-checked, every list is walked once.
#include "farlane/config_space.hpp"

#include <bitset>
#include <cstdio>

#include "farlane/capability_tables.hpp"

namespace farlane::cli {
namespace {

constexpr std::size_t kSpaceBytes = 4096;
constexpr std::uint16_t kFirstCapability = 0x40;
constexpr std::uint16_t kFirstExtended = 0x100;

std::string hex(std::uint64_t v, int digits) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%0*llx", digits, static_cast<unsigned long long>(v));
    return text;
}

class Decoder {
public:
    explicit Decoder(std::span<const std::byte> bytes) : bytes_(bytes.first(std::min(bytes.size(), kSpaceBytes))) {}

    ConfigSpace run() {
        if (bytes_.size() < 64) {
            warn("only " + std::to_string(bytes_.size()) + " bytes: too short for a header");
            return std::move(out_);
        }
        out_.present = read(0, 2) != 0xffff;
        if (!out_.present) return std::move(out_);
        for (const RegisterLayout& r : header_layout()) out_.header.push_back(decode_register(0, r));
        bars();
        capabilities();
        extended();
        return std::move(out_);
    }

private:
    [[nodiscard]] bool inside(std::size_t offset, std::size_t bytes) const {
        return offset <= bytes_.size() && bytes <= bytes_.size() - offset;
    }
    /// Little-endian; zero outside.
    [[nodiscard]] std::uint64_t read(std::size_t offset, std::size_t bytes) const {
        if (!inside(offset, bytes)) return 0;
        std::uint64_t v = 0;
        for (std::size_t i = 0; i < bytes; ++i) v |= std::to_integer<std::uint64_t>(bytes_[offset + i]) << (8 * i);
        return v;
    }
    void warn(std::string text) { out_.warnings.push_back(std::move(text)); }

    [[nodiscard]] Register decode_register(std::uint16_t base, const RegisterLayout& layout) const {
        Register r;
        r.name = layout.name;
        r.offset = static_cast<std::uint16_t>(base + layout.offset);
        r.bytes = layout.bytes;
        r.value = read(r.offset, r.bytes);
        if (layout.text != nullptr) r.text = layout.text(r.value);
        for (const FieldLayout& f : layout.fields) {
            const std::uint64_t raw = (r.value >> f.low) & ((std::uint64_t{1} << f.width) - 1);
            r.fields.push_back({.name = std::string(f.name),
                                .value = (raw << f.shift_left) + f.add,
                                .width_bits = f.width,
                                .text = f.text != nullptr ? f.text(raw) : std::string()});
        }
        return r;
    }

    void fill(Capability& c, const CapabilityLayout* layout) {
        if (layout == nullptr) {
            c.name = "unknown";
            return;
        }
        c.name = layout->name;
        for (const RegisterLayout& r : layout->registers) {
            if (!inside(std::size_t{c.offset} + r.offset, r.bytes)) {
                warn(c.name + " at " + hex(c.offset, 2) + " reaches past the end");
                return;
            }
            c.registers.push_back(decode_register(c.offset, r));
        }
    }

    /// PCI 3.0, 6.2.5.1. A type 1 header has two BARs, any other layout none.
    void bars() {
        const unsigned layout = static_cast<unsigned>(read(0x0e, 1)) & 0x7f;
        const unsigned count = layout == 0 ? 6 : layout == 1 ? 2 : 0;
        for (unsigned i = 0; i < count; ++i) {
            const std::uint64_t low = read(0x10 + 4 * i, 4);
            if (low == 0) continue;
            BarRegister bar{.index = i, .is_io = (low & 1) != 0};
            bar.address = low & (bar.is_io ? ~std::uint64_t{3} : ~std::uint64_t{15});
            bar.is_64bit = !bar.is_io && (low & 6) == 4;
            bar.prefetchable = !bar.is_io && (low & 8) != 0;
            if (bar.is_64bit && i + 1 < count) bar.address |= read(0x10 + 4 * ++i, 4) << 32;
            if (bar.is_64bit && bar.index + 1 == count) warn("the last BAR claims to be a 64-bit one");
            out_.bars.push_back(bar);
        }
    }

    /// PCI 3.0, 6.7: the list that starts at 0x34. The two lowest bits are reserved.
    void capabilities() {
        constexpr std::uint64_t kCapabilitiesList = 1u << 4;
        if ((read(0x06, 2) & kCapabilitiesList) == 0) return;
        std::bitset<kFirstExtended> seen;
        std::uint16_t at = static_cast<std::uint16_t>(read(0x34, 1) & 0xfc);
        while (at != 0) {
            if (at < kFirstCapability || !inside(at, 2)) {
                warn("capability pointer " + hex(at, 2) + " is outside the list's space");
                return;
            }
            if (seen[at]) {
                warn("the capability list loops at " + hex(at, 2));
                return;
            }
            seen[at] = true;
            Capability c{.offset = at, .id = static_cast<std::uint16_t>(read(at, 1))};
            fill(c, capability_layout(static_cast<std::uint8_t>(c.id), static_cast<std::uint16_t>(read(at + 2u, 2))));
            out_.capabilities.push_back(std::move(c));
            at = static_cast<std::uint16_t>(read(at + 1u, 1) & 0xfc);
        }
    }

    /// PCIe 6.0, 7.6.3: the list that starts at 0x100. All zeros or all-ones there = no list.
    void extended() {
        std::bitset<kSpaceBytes> seen;
        std::uint16_t at = kFirstExtended;
        while (at != 0) {
            if (!inside(at, 4)) {
                if (at != kFirstExtended) warn("extended capability pointer " + hex(at, 3) + " is outside the space");
                return;
            }
            if (seen[at]) {
                warn("the extended capability list loops at " + hex(at, 3));
                return;
            }
            seen[at] = true;
            const std::uint64_t head = read(at, 4);
            if (at == kFirstExtended && (head == 0 || head == 0xffffffff)) return;
            Capability c{.offset = at,
                         .id = static_cast<std::uint16_t>(head),
                         .extended = true,
                         .version = static_cast<unsigned>(head >> 16) & 0xf};
            fill(c, extended_layout(c.id));
            out_.capabilities.push_back(std::move(c));
            at = static_cast<std::uint16_t>((head >> 20) & 0xffc);
            if (at != 0 && at < kFirstExtended) {
                warn("extended capability pointer " + hex(at, 3) + " is below 0x100");
                return;
            }
        }
    }

    std::span<const std::byte> bytes_;
    ConfigSpace out_;
};

struct ClassName {
    std::uint32_t code;
    std::uint32_t mask;
    const char* name;
};

// PCI Code and ID Assignment: the classes that are likely here; most exact first.
constexpr ClassName kClasses[] = {{0x010802, 0xffffff, "non-volatile memory controller (NVMe)"},
                                  {0x010700, 0xffff00, "serial attached SCSI controller"},
                                  {0x010601, 0xffffff, "SATA controller (AHCI)"},
                                  {0x010400, 0xffff00, "RAID controller"},
                                  {0x020000, 0xffff00, "ethernet controller"},
                                  {0x030000, 0xffff00, "VGA compatible controller"},
                                  {0x030200, 0xffff00, "3D controller"},
                                  {0x050210, 0xffffff, "CXL memory device"},
                                  {0x060400, 0xffff00, "PCI-to-PCI bridge"},
                                  {0x0c0330, 0xffffff, "USB controller (xHCI)"},
                                  {0x120000, 0xffff00, "processing accelerator"},
                                  {0x010000, 0xff0000, "mass storage controller"},
                                  {0x020000, 0xff0000, "network controller"},
                                  {0x030000, 0xff0000, "display controller"},
                                  {0x040000, 0xff0000, "multimedia controller"},
                                  {0x050000, 0xff0000, "memory controller"},
                                  {0x060000, 0xff0000, "bridge"},
                                  {0x070000, 0xff0000, "communication controller"},
                                  {0x080000, 0xff0000, "system peripheral"},
                                  {0x0c0000, 0xff0000, "serial bus controller"},
                                  {0x120000, 0xff0000, "processing accelerator"},
                                  {0xff0000, 0xff0000, "unassigned class"}};

}  // namespace

ConfigSpace decode_config_space(std::span<const std::byte> bytes) {
    return Decoder(bytes).run();
}

std::string class_name(std::uint32_t class_code) {
    for (const ClassName& c : kClasses)
        if ((class_code & c.mask) == c.code) return c.name;
    return {};
}

}  // namespace farlane::cli
