// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: to the module in a guest, functions whose configuration space lies; exit code 0
// when each was refused with EINVAL, nothing was left of it, and the honest ones were taken.
// Owns: the daemon's place while it runs.
#include <functional>
#include <vector>

#include "control.hpp"

namespace farlane::kmodtest {
namespace {

struct Space {
    std::array<std::uint8_t, FL_CONFIG_BYTES> config = plain_config();
    fl_ioc_function_add add{};

    void put16(unsigned at, unsigned v) {
        config[at] = static_cast<std::uint8_t>(v);
        config[at + 1] = static_cast<std::uint8_t>(v >> 8);
    }
    void put32(unsigned at, std::uint32_t v) {
        put16(at, v & 0xffff);
        put16(at + 2, v >> 16);
    }
    /// MSI-X behind PCI Express, which ends at 0x7c.
    void msix(unsigned vectors, std::uint32_t table, std::uint32_t pending) {
        config[0x41] = 0x80;
        put16(0x80, 0x0011);
        put16(0x82, vectors - 1);
        put32(0x84, table);
        put32(0x88, pending);
    }
};

struct Case {
    const char* name;
    int error;
    std::function<void(Space&)> change;
};

void extended(Space& s, unsigned at, unsigned id, unsigned next) {
    s.put32(at, id | 1u << 16 | next << 20);
}

const std::vector<Case> kBars = {
    {"a BAR that is no power of two", EINVAL, [](Space& s) { s.add.bars[0].size_bytes = 3000; }},
    {"a BAR of 8 bytes", EINVAL, [](Space& s) { s.add.bars[0].size_bytes = 8; }},
    {"a BAR of 2^63 bytes", EINVAL, [](Space& s) { s.add.bars[0].size_bytes = 1ull << 63; }},
    {"a 32-bit BAR of 1 GiB", EINVAL,
     [](Space& s) {
         s.add.bars[0] = {1u << 30, 0, 0};
     }},
    {"a 64-bit BAR without an upper half", EINVAL,
     [](Space& s) {
         s.add.bars[5] = {4096, FL_BAR_FLAG_64, 0};
     }},
    {"two BARs in one place", EINVAL, [](Space& s) { s.add.bars[1].size_bytes = 4096; }},
    {"a ROM of 16 bytes", EINVAL, [](Space& s) { s.add.bars[FL_BAR_ROM].size_bytes = 16; }},
    {"an unknown flag of a BAR", EINVAL, [](Space& s) { s.add.bars[0].flags |= 0x80; }},
    {"an I/O BAR, which is hidden", 0,
     [](Space& s) {
         s.config[0x18] = 1;
         s.add.bars[2].size_bytes = 64;
     }},
};

const std::vector<Case> kHeader = {
    {"no vendor", EINVAL, [](Space& s) { s.put16(0, 0xffff); }},
    {"the vendor of a retry", EINVAL, [](Space& s) { s.put16(0, 1); }},
    {"a bridge", EINVAL, [](Space& s) { s.config[0x0e] = 1; }},
    {"a header of type 0x45", EINVAL, [](Space& s) { s.config[0x0e] = 0x45; }},
    {"several functions, shown as one", 0, [](Space& s) { s.config[0x0e] = 0x80; }},
    {"257 bytes", EINVAL, [](Space& s) { s.add.config_bytes = 257; }},
    {"256 bytes", 0, [](Space& s) { s.add.config_bytes = 256; }},
};

const std::vector<Case> kLists = {
    {"a list that loops", EINVAL, [](Space& s) { s.config[0x41] = 0x40; }},
    {"a capability in the header", EINVAL, [](Space& s) { s.config[0x34] = 0x10; }},
    {"a capability at an odd place", EINVAL, [](Space& s) { s.config[0x41] = 0x82; }},
    {"a capability within another", EINVAL, [](Space& s) { s.config[0x41] = 0x50; }},
    {"a capability over the end", EINVAL,
     [](Space& s) {
         s.config[0x41] = 0xfc;
         s.put16(0xfc, 0x0011);
     }},
    {"a vendor-specific one of 255 bytes", EINVAL,
     [](Space& s) {
         s.config[0x41] = 0x80;
         s.put16(0x80, 0x0009);
         s.config[0x82] = 255;
     }},
    {"two of PCI Express", EINVAL,
     [](Space& s) {
         s.config[0x41] = 0x80;
         s.put16(0x80, 0x0010);
         s.put16(0x82, 0x0002);
     }},
    {"a switch port", EINVAL, [](Space& s) { s.put16(0x42, 0x0062); }},
    {"MSI with 64 vectors", EINVAL,
     [](Space& s) {
         s.config[0x41] = 0x80;
         s.put16(0x80, 0x0005);
         s.put16(0x82, 6u << 1);
     }},
    {"an unknown capability, which is hidden", 0,
     [](Space& s) {
         s.config[0x41] = 0x80;
         s.put16(0x80, 0x00fe);
     }},
};

const std::vector<Case> kMsix = {
    {"an honest table", 0, [](Space& s) { s.msix(17, 0x2000, 0x3000); }},
    {"a table in a BAR that is not there", EINVAL, [](Space& s) { s.msix(17, 0x2003, 0x3000); }},
    {"a table in BAR 7", EINVAL, [](Space& s) { s.msix(17, 0x2007, 0x3000); }},
    {"a table over the end of the BAR", EINVAL, [](Space& s) { s.msix(17, 0xfff0, 0x3000); }},
    {"a table far behind the BAR", EINVAL, [](Space& s) { s.msix(17, 0xfffffff8, 0x3000); }},
    {"2048 vectors in 64 KiB", 0, [](Space& s) { s.msix(2048, 0, 0x8000); }},
    {"pending bits over the end", EINVAL, [](Space& s) { s.msix(2048, 0, 0xff08); }},
    {"pending bits in the table", EINVAL, [](Space& s) { s.msix(17, 0x2000, 0x2100); }},
};

const std::vector<Case> kExtended = {
    {"an extended list that loops", EINVAL, [](Space& s) { extended(s, 0x100, 3, 0x100); }},
    {"a loop of two", EINVAL,
     [](Space& s) {
         extended(s, 0x100, 3, 0x200);
         extended(s, 0x200, 0x7777, 0x100);
     }},
    {"one below 100h", EINVAL, [](Space& s) { extended(s, 0x100, 3, 0x040); }},
    // PCIe 6.0, 7.6.3: the two lowest bits of the pointer are to be masked
    {"one at an odd place, which is none", 0, [](Space& s) { extended(s, 0x100, 3, 0x203); }},
    {"one within another", EINVAL,
     [](Space& s) {
         extended(s, 0x100, 3, 0x108);
         extended(s, 0x108, 1, 0);
     }},
    {"one over the end", EINVAL,
     [](Space& s) {
         extended(s, 0x100, 3, 0xffc);
         extended(s, 0xffc, 1, 0);
     }},
    {"a DVSEC of 4095 bytes", EINVAL,
     [](Space& s) {
         extended(s, 0x100, 0x23, 0);
         s.put32(0x104, 0xfffu << 20 | 0x1e98);
     }},
    {"a DVSEC of 0 bytes", EINVAL, [](Space& s) { extended(s, 0x100, 0x23, 0); }},
    {"two of AER", EINVAL,
     [](Space& s) {
         extended(s, 0x100, 1, 0x200);
         extended(s, 0x200, 1, 0);
     }},
    {"SR-IOV and ATS, which are hidden", 0,
     [](Space& s) {
         extended(s, 0x100, 0x10, 0x200);
         extended(s, 0x200, 0x0f, 0x300);
         extended(s, 0x300, 3, 0);
     }},
};

bool holds(const Control& control, const Case& c) {
    Space space;
    space.add = make_add("lies", space.config.data(), -1, {});
    space.add.flags = 0;
    c.change(space);
    const int error = control.call(FL_IOC_FUNCTION_ADD, space.add);
    if (error == 0) {
        fl_ioc_function_remove remove{};
        remove.bytes = sizeof remove;
        remove.function_id = space.add.function_id;
        remove.flags = FL_REMOVE_SURPRISE;
        if (control.call(FL_IOC_FUNCTION_REMOVE, remove) != 0) fail("removing what was taken");
    }
    if (error == c.error) return true;
    std::fprintf(stderr, "FAIL %s: errno %d, not %d\n", c.name, error, c.error);
    return false;
}

int run() {
    const Control control;
    if (control.become(9) < 0) fail("becoming the daemon");
    unsigned wrong = 0, all = 0;
    for (const auto* cases : {&kBars, &kHeader, &kLists, &kMsix, &kExtended}) {
        for (const auto& c : *cases) wrong += holds(control, c) ? 0 : 1;
        all += static_cast<unsigned>(cases->size());
    }
    fl_ioc_info info{};
    info.bytes = sizeof info;
    if (control.call(FL_IOC_INFO, info) != 0) fail("asking for the slots");
    if (info.slots_free != info.slots) {
        std::fprintf(stderr, "FAIL %u of %u slots are free\n", info.slots_free, info.slots);
        ++wrong;
    }
    std::printf("%u of %u configuration spaces as expected\n", all - wrong, all);
    return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace farlane::kmodtest

int main() {
    return farlane::kmodtest::run();
}
