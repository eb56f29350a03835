// SPDX-License-Identifier: Apache-2.0
// Receives: Identify commands. Hands on: the data structures of NVM Express 1.4, 5.15.2. Owns: nothing.
#include <algorithm>
#include <array>

#include "devices/nvme/controller.hpp"

namespace farlane::firmware::nvme {
namespace {

enum Cns : std::uint8_t { kNamespace = 0x00, kController = 0x01, kActiveList = 0x02, kDescriptors = 0x03 };

std::string nqn(const std::array<std::uint8_t, 16>& uuid) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string text = "nqn.2014-08.org.nvmexpress:uuid:";  // 7.9
    for (std::size_t i = 0; i < uuid.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += kHex[uuid[i] >> 4];
        text += kHex[uuid[i] & 15];
    }
    return text;
}

void controller_page(const ControllerIdentity& id, const State& s, bool volatile_cache, std::span<std::byte> raw) {
    Page p(raw);
    p.u16(0, id.function.vendor_id);
    p.u16(2, id.function.subsystem_vendor_id);
    p.text(4, 20, id.serial);
    p.text(24, 40, id.model);
    p.text(64, 8, "1.0");
    p.u8(72, 0);   // RAB: no arbitration burst recommended
    p.u8(77, 6);   // MDTS: 2^6 pages
    p.u16(78, 1);  // CNTLID
    p.u32(80, kVersion);
    p.u32(92, 1u << 8);   // OAES: namespace attribute notices
    p.u8(111, 1);         // CNTRLTYPE: I/O controller
    p.u16(256, 1u << 1);  // OACS: Format NVM
    p.u8(258, 3);         // ACL: 4 aborts at once
    p.u8(259, kMaxAsyncEvents - 1);
    p.u8(260, 1u << 1 | 1);        // FRMW: one slot, read-only
    p.u8(261, 1u << 1 | 1u << 2);  // LPA: commands supported and effects; offsets in log pages
    p.u8(262, kErrorEntries - 1);  // ELPE
    p.u8(263, 0);                  // NPSS: power state 0 alone
    p.u16(266, 343);               // WCTEMP and CCTEMP in kelvin
    p.u16(268, 353);
    p.u8(512, 0x66);  // SQES, CQES: 64 and 16 bytes, nothing else
    p.u8(513, 0x44);
    p.u16(514, kCommands - kAdminReserve);  // MAXCMD
    p.u32(516, 1);                          // NN
    // ONCS: compare, dataset management, write zeroes, save and select in features, timestamp
    p.u16(520, 1u << 0 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 6);
    p.u8(524, 0);                                   // FNA
    p.u8(525, 3u << 1 | (volatile_cache ? 1 : 0));  // VWC: flush takes FFFFFFFFh
    p.u16(526, 0);                                  // AWUN, AWUPF: one logical block
    p.u16(528, 0);
    const std::string name = nqn(s.lasting.uuid);
    for (std::size_t i = 0; i < name.size(); ++i) p.u8(768 + i, static_cast<unsigned char>(name[i]));
    p.u16(2048, 2500);  // PSD0: 25 W, in 0.01 W
}

/// Figure 246: RP 25:24 (0 is best), LBADS 23:16 as a power of two, MS 15:00; there is no metadata.
constexpr std::uint32_t lba_format(std::uint32_t lba_shift, std::uint32_t relative_performance) {
    return relative_performance << 24 | lba_shift << 16;
}

void namespace_page(std::uint64_t blocks, std::uint32_t lba_shift, std::span<std::byte> raw) {
    Page p(raw);
    p.u64(0, blocks);
    p.u64(8, blocks);
    p.u64(16, blocks);  // NUSE: not tracked, so all of it
    p.u8(24, 0);        // NSFEAT
    p.u8(25, 1);        // NLBAF: two formats
    p.u8(26, lba_shift == 9 ? 0 : 1);
    p.u8(33, 1u << 0 | 1u << 3);  // DLFEAT: deallocated blocks read zero; deallocate bit in Write Zeroes
    // NGUID and EUI64 stay 0: there is a UUID.
    p.u32(128, lba_format(9, 1));   // LBAF0: 512 B, better performance
    p.u32(132, lba_format(12, 0));  // LBAF1: 4 KiB, best
}

}  // namespace

std::uint16_t Controller::identify(std::uint32_t slot, const Sqe& entry) noexcept {
    const std::uint32_t nsid = entry.nsid();
    switch (entry.dword(10) & 0xff) {
        case kController: break;
        case kNamespace:  // FFFFFFFFh: what all namespaces have in common; only with namespace management
            if (nsid != 1) return kInvalidNamespace;
            break;
        case kDescriptors:
            if (nsid != 1) return kInvalidNamespace;
            break;
        case kActiveList:
            if (nsid >= 0xfffffffe) return kInvalidNamespace;
            break;
        default: return kInvalidField;
    }
    return transfer(slot, Move::to_host, kPageBytes);
}

void Controller::identify_page(const Sqe& entry, std::span<std::byte> page) const noexcept {
    Page p(page);
    switch (entry.dword(10) & 0xff) {
        case kNamespace: namespace_page(blocks(), state_.lasting.lba_shift, page); break;
        case kController: controller_page(identity_, state_, media_->volatile_cache(), page); break;
        case kActiveList:
            if (entry.nsid() < 1) p.u32(0, 1);
            break;
        default:  // 5.15.2.3: one descriptor, type 3 (UUID), 16 bytes
            p.u8(0, 3);
            p.u8(1, 16);
            for (std::size_t i = 0; i < 16; ++i) p.u8(4 + i, state_.lasting.uuid[i]);
            break;
    }
}

}  // namespace farlane::firmware::nvme
