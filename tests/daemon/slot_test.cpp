// SPDX-License-Identifier: Apache-2.0
// Receives: slots as applications may write them. Hands on: which are taken. Owns: two buffers.
#include "daemon/slot_check.hpp"

#include <array>
#include <functional>

#include <gtest/gtest.h>

namespace farlane::daemon {
namespace {

struct Buffers final : BufferTable {
    mutable std::array<std::byte, 65536> staging{};
    mutable std::array<std::byte, 5000> registered{};
    [[nodiscard]] std::span<std::byte> buffer(std::uint32_t n) const noexcept override {
        if (n == FL_BUFFER_STAGING) return staging;
        return n == 3 ? std::span<std::byte>(registered) : std::span<std::byte>();
    }
};

fl_slot slot_of(std::uint8_t type, std::uint16_t length, std::uint8_t bar, std::uint64_t address = 0) {
    fl_slot s{};
    s.tlp.family = FL_FAMILY_TLP;
    s.tlp.type = type;
    s.tlp.length_bytes.set(length);
    s.tlp.bar = bar;
    s.tlp.address.set(address);
    return s;
}

SlotError check(const fl_slot& s) {
    CheckedSlot out;
    return check_slot(s, Buffers(), out);
}

TEST(Slot, ValidOnes) {
    EXPECT_EQ(check(slot_of(FL_TLP_MRD, 8, 0)), SlotError::none);
    EXPECT_EQ(check(slot_of(FL_TLP_MWR, 64, 5, 1 << 20)), SlotError::none);
    EXPECT_EQ(check(slot_of(FL_TLP_CFGRD, 4, FL_BAR_NONE, 0xffc)), SlotError::none);
    EXPECT_EQ(check(slot_of(FL_TLP_CFGWR, 2, FL_BAR_NONE, 6)), SlotError::none);
    EXPECT_EQ(check(slot_of(FL_TLP_FETCHADD, 8, 0, 64)), SlotError::none);
    EXPECT_EQ(check(slot_of(FL_TLP_CAS, 16, 0, 8)), SlotError::none);
    fl_slot s = slot_of(FL_TLP_MWR, 4096, 2);
    s.kind = FL_SLOT_REFERENCE;
    s.u.ref = {3, 0, 904};
    CheckedSlot out;
    const Buffers buffers;
    EXPECT_EQ(check_slot(s, buffers, out), SlotError::none);
    EXPECT_EQ(out.reference.data(), buffers.registered.data() + 904);
    EXPECT_EQ(out.reference.size(), 4096U);
}

struct Bad {
    const char* name;
    SlotError error;
    std::function<void(fl_slot&)> spoil;
};

TEST(Slot, EveryFieldIsChecked) {
    const std::vector<Bad> table = {
        {"family", SlotError::family, [](fl_slot& s) { s.tlp.family = FL_FAMILY_CONTROL; }},
        {"MSI", SlotError::type, [](fl_slot& s) { s.tlp.type = FL_TLP_MSI; }},
        {"message", SlotError::type, [](fl_slot& s) { s.tlp.type = FL_TLP_MSG; }},
        {"completion", SlotError::type, [](fl_slot& s) { s.tlp.type = FL_TLP_CPLD; }},
        {"CXL", SlotError::type, [](fl_slot& s) { s.tlp.type = FL_TLP_CXL_FIRST; }},
        {"function", SlotError::reserved, [](fl_slot& s) { s.tlp.function_index.set(1); }},
        {"generation", SlotError::reserved, [](fl_slot& s) { s.tlp.function_generation.set(1); }},
        {"tag", SlotError::reserved, [](fl_slot& s) { s.tlp.tag.set(1); }},
        {"record bytes", SlotError::reserved, [](fl_slot& s) { s.tlp.record_bytes.set(48); }},
        {"follows", SlotError::reserved, [](fl_slot& s) { s.tlp.follows_posted.set(1); }},
        {"fragment", SlotError::attributes, [](fl_slot& s) { s.tlp.attr = FL_ATTR_FRAGMENT; }},
        {"poison", SlotError::attributes, [](fl_slot& s) { s.tlp.attr = FL_ATTR_EP; }},
        {"relaxed read", SlotError::attributes, [](fl_slot& s) { s.tlp.attr = FL_ATTR_RO; }},
        {"PASID", SlotError::pasid, [](fl_slot& s) { s.tlp.pasid.set(1); }},
        {"BAR", SlotError::bar, [](fl_slot& s) { s.tlp.bar = 7; }},
        {"no BAR", SlotError::bar, [](fl_slot& s) { s.tlp.bar = FL_BAR_NONE; }},
        {"zero length", SlotError::length, [](fl_slot& s) { s.tlp.length_bytes.set(0); }},
        {"too long", SlotError::length, [](fl_slot& s) { s.tlp.length_bytes.set(4097); }},
        {"inline too long", SlotError::kind, [](fl_slot& s) { s.tlp.length_bytes.set(65); }},
        {"wraps", SlotError::address, [](fl_slot& s) { s.tlp.address.set(~0ULL - 3); }},
        {"enables", SlotError::byte_enables,
         [](fl_slot& s) {
             s.tlp.length_bytes.set(4);
             s.tlp.byte_enables = 0x1f;
         }},
        {"kind", SlotError::kind, [](fl_slot& s) { s.kind = 2; }},
        {"buffer", SlotError::buffer,
         [](fl_slot& s) {
             s.kind = FL_SLOT_REFERENCE;
             s.u.ref = {4, 0, 0};
         }},
        {"offset", SlotError::buffer,
         [](fl_slot& s) {
             s.kind = FL_SLOT_REFERENCE;
             s.u.ref = {3, 0, ~0ULL - 3};
         }},
        {"last byte outside", SlotError::buffer,
         [](fl_slot& s) {
             s.kind = FL_SLOT_REFERENCE;
             s.u.ref = {3, 0, 4993};
         }},
        {"reference reserved", SlotError::reserved,
         [](fl_slot& s) {
             s.kind = FL_SLOT_REFERENCE;
             s.u.ref = {3, 1, 0};
         }},
    };
    for (const Bad& b : table) {
        fl_slot s = slot_of(FL_TLP_MRD, 8, 0);
        b.spoil(s);
        EXPECT_EQ(check(s), b.error) << b.name << ": " << slot_error_text(check(s));
    }
}

TEST(Slot, ConfigurationStaysWithinADword) {
    EXPECT_EQ(check(slot_of(FL_TLP_CFGRD, 4, FL_BAR_NONE, 2)), SlotError::address);
    EXPECT_EQ(check(slot_of(FL_TLP_CFGRD, 8, FL_BAR_NONE, 0)), SlotError::length);
    EXPECT_EQ(check(slot_of(FL_TLP_CFGRD, 1, FL_BAR_NONE, 4096)), SlotError::address);
    EXPECT_EQ(check(slot_of(FL_TLP_CFGRD, 4, 0, 0)), SlotError::bar);
}

TEST(Slot, AtomicsAreAlignedAndInline) {
    EXPECT_EQ(check(slot_of(FL_TLP_FETCHADD, 8, 0, 4)), SlotError::address);
    EXPECT_EQ(check(slot_of(FL_TLP_CAS, 16, 0, 4)), SlotError::address);
    EXPECT_EQ(check(slot_of(FL_TLP_CAS, 4, 0, 0)), SlotError::length);
    EXPECT_EQ(check(slot_of(FL_TLP_SWAP, 16, 0, 0)), SlotError::length);
    fl_slot s = slot_of(FL_TLP_SWAP, 8, 0);
    s.kind = FL_SLOT_REFERENCE;
    s.u.ref = {3, 0, 0};
    EXPECT_EQ(check(s), SlotError::kind);
}

}  // namespace
}  // namespace farlane::daemon
