// SPDX-License-Identifier: Apache-2.0
// Receives: configuration spaces made here, sound and hostile ones. Hands on: verdicts on the
// decoder. Owns: nothing. PCI 3.0 chapter 6; PCIe 6.0 chapter 7.
#include "farlane/config_space.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "farlane/config_print.hpp"

namespace farlane::cli {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class Space {
public:
    Space() { put(0x00, 2, 0x1b36).put(0x02, 2, 0x0010).put(0x09, 3, 0x010802).put(0x08, 1, 2); }
    Space& put(std::size_t offset, unsigned bytes, std::uint64_t value) {
        for (unsigned i = 0; i < bytes; ++i) data_.at(offset + i) = static_cast<std::byte>(value >> (8 * i));
        return *this;
    }
    Space& list(unsigned first) { return put(0x06, 2, 0x10).put(0x34, 1, first); }
    Space& capability(unsigned at, unsigned id, unsigned next) { return put(at, 1, id).put(at + 1, 1, next); }
    Space& extended(unsigned at, unsigned id, unsigned version, unsigned next) {
        return put(at, 4, id | version << 16 | static_cast<std::uint64_t>(next) << 20);
    }
    [[nodiscard]] ConfigSpace decode(std::size_t bytes = 4096) const {
        return decode_config_space(std::span(data_).first(bytes));
    }
    [[nodiscard]] std::span<std::byte> bytes() { return data_; }

private:
    std::array<std::byte, 4096> data_{};
};

const Register& named(const std::vector<Register>& registers, const std::string& name) {
    for (const Register& r : registers)
        if (r.name == name) return r;
    ADD_FAILURE() << "no register " << name;
    static const Register none;
    return none;
}

Field field(const std::vector<Register>& registers, const std::string& reg, const std::string& name) {
    for (const Field& f : named(registers, reg).fields)
        if (f.name == name) return f;
    ADD_FAILURE() << "no field " << reg << "." << name;
    return {};
}

TEST(Header, namesCommandAndStatusBits) {
    const ConfigSpace s = Space().put(0x04, 2, 0x0406).put(0x3d, 1, 1).decode();
    ASSERT_TRUE(s.present);
    EXPECT_EQ(named(s.header, "vendor_id").value, 0x1b36u);
    EXPECT_EQ(named(s.header, "class_code").text, "non-volatile memory controller (NVMe)");
    EXPECT_EQ(field(s.header, "command", "memory_space").value, 1u);
    EXPECT_EQ(field(s.header, "command", "bus_master").value, 1u);
    EXPECT_EQ(field(s.header, "command", "io_space").value, 0u);
    EXPECT_EQ(field(s.header, "command", "intx_disable").value, 1u);
    EXPECT_EQ(field(s.header, "interrupt_pin", "pin").text, "A");
}

TEST(Header, allOnesMeansNothingAnswers) {
    Space space;
    for (std::byte& b : space.bytes()) b = std::byte{0xff};
    const ConfigSpace s = space.decode();
    EXPECT_FALSE(s.present);
    EXPECT_TRUE(s.capabilities.empty());
}

TEST(Bars, joins64BitPairsAndTellsIo) {
    const ConfigSpace s =
        Space().put(0x10, 4, 0xfe000004).put(0x14, 4, 0x12).put(0x18, 4, 0xc001).put(0x1c, 4, 0xe0000008).decode();
    ASSERT_EQ(s.bars.size(), 3u);
    EXPECT_TRUE(s.bars[0].is_64bit);
    EXPECT_EQ(s.bars[0].address, 0x12fe000000u);
    EXPECT_TRUE(s.bars[1].is_io);
    EXPECT_EQ(s.bars[1].index, 2u);
    EXPECT_EQ(s.bars[1].address, 0xc000u);
    EXPECT_TRUE(s.bars[2].prefetchable);
}

TEST(Bars, lastOneCanNotBe64Bit) {
    const ConfigSpace s = Space().put(0x24, 4, 0xfe000004).decode();
    EXPECT_THAT(s.warnings, Contains(HasSubstr("last BAR")));
}

TEST(Capabilities, powerManagement) {
    const ConfigSpace s =
        Space().list(0x40).capability(0x40, 0x01, 0).put(0x42, 2, 0xc803).put(0x44, 2, 0x010b).decode();
    ASSERT_EQ(s.capabilities.size(), 1u);
    const std::vector<Register> r = s.capabilities[0].registers;
    EXPECT_EQ(field(r, "capabilities", "version").value, 3u);
    EXPECT_EQ(field(r, "capabilities", "pme_d3hot").value, 1u);
    EXPECT_EQ(field(r, "capabilities", "pme_d1").value, 0u);
    EXPECT_EQ(field(r, "control_status", "power_state").text, "D3hot");
    EXPECT_EQ(field(r, "control_status", "no_soft_reset").value, 1u);
}

TEST(Capabilities, msiHasFourLayouts) {
    struct Case {
        unsigned control, data_offset;
        bool masks;
    };
    for (const Case c :
         {Case{0x0001, 0x48, false}, Case{0x0081, 0x4c, false}, Case{0x0101, 0x48, true}, Case{0x0181, 0x4c, true}}) {
        const ConfigSpace s =
            Space().list(0x40).capability(0x40, 0x05, 0).put(0x42, 2, c.control).put(c.data_offset, 2, 0x4321).decode();
        ASSERT_EQ(s.capabilities.size(), 1u);
        const std::vector<Register> r = s.capabilities[0].registers;
        EXPECT_EQ(named(r, "data").value, 0x4321u) << std::hex << c.control;
        EXPECT_EQ(r.back().name == "pending", c.masks) << std::hex << c.control;
        EXPECT_EQ(field(r, "control", "enable").value, 1u);
    }
}

TEST(Capabilities, msixCountsFromOneAndShiftsOffsets) {
    const ConfigSpace s = Space()
                              .list(0x40)
                              .capability(0x40, 0x11, 0)
                              .put(0x42, 2, 0x800f)
                              .put(0x44, 4, 0x2000)
                              .put(0x48, 4, 0x3004)
                              .decode();
    const std::vector<Register> r = s.capabilities.at(0).registers;
    EXPECT_EQ(field(r, "control", "table_size").value, 16u);
    EXPECT_EQ(field(r, "control", "enable").value, 1u);
    EXPECT_EQ(field(r, "table", "offset").value, 0x2000u);
    EXPECT_EQ(field(r, "pending_bits", "bar").value, 4u);
    EXPECT_EQ(field(r, "pending_bits", "offset").value, 0x3000u);
}

TEST(Capabilities, pciExpress) {
    Space space;
    space.list(0x70).capability(0x70, 0x10, 0).put(0x72, 2, 0x0002).put(0x74, 4, 0x10008025).put(0x78, 2, 0x2810);
    space.put(0x7c, 4, 0x0043).put(0x82, 2, 0x1043).put(0x94, 4, 0x1f).put(0x98, 2, 0x0005);
    const std::vector<Register> r = space.decode().capabilities.at(0).registers;
    EXPECT_EQ(field(r, "express", "type").text, "endpoint");
    EXPECT_EQ(field(r, "device_capabilities", "max_payload").text, "4096 bytes");
    EXPECT_EQ(field(r, "device_capabilities", "function_level_reset").value, 1u);
    EXPECT_EQ(field(r, "device_control", "relaxed_ordering").value, 1u);
    EXPECT_EQ(field(r, "device_control", "max_read_request").text, "512 bytes");
    EXPECT_EQ(field(r, "link_status", "speed").text, "8 GT/s");
    EXPECT_EQ(field(r, "link_status", "width").text, "x4");
    EXPECT_EQ(field(r, "device_control_2", "completion_timeout").text, "16 ms to 55 ms");
}

TEST(Capabilities, pciExpressVersion1HasNoSecondPart) {
    const auto d = Space().list(0x70).capability(0x70, 0x10, 0).put(0x72, 2, 0x0001).decode();
    const auto& r = d.capabilities.at(0).registers;
    EXPECT_EQ(r.back().name, "link_status");
}

TEST(Extended, serialNumberAndErrors) {
    Space space;
    space.extended(0x100, 0x0003, 1, 0x140).put(0x104, 8, 0x0011223344556677);
    space.extended(0x140, 0x0001, 2, 0).put(0x144, 4, 1u << 14 | 1u << 20).put(0x150, 4, 1u << 13);
    const ConfigSpace s = space.decode();
    ASSERT_EQ(s.capabilities.size(), 2u);
    EXPECT_EQ(named(s.capabilities[0].registers, "serial").text, "00-11-22-33-44-55-66-77");
    EXPECT_EQ(s.capabilities[1].version, 2u);
    const std::vector<Register> r = s.capabilities[1].registers;
    EXPECT_EQ(field(r, "uncorrectable_status", "completion_timeout").value, 1u);
    EXPECT_EQ(field(r, "uncorrectable_status", "unsupported_request").value, 1u);
    EXPECT_EQ(field(r, "uncorrectable_status", "malformed_tlp").value, 0u);
    EXPECT_EQ(field(r, "correctable_status", "advisory_non_fatal").value, 1u);
}

TEST(Extended, unknownOnesAreNamedSo) {
    const ConfigSpace s = Space().extended(0x100, 0x7777, 1, 0).decode();
    ASSERT_EQ(s.capabilities.size(), 1u);
    EXPECT_EQ(s.capabilities[0].name, "unknown");
    EXPECT_EQ(s.capabilities[0].id, 0x7777u);
}

TEST(Hostile, listsThatLoopEnd) {
    Space space;
    space.list(0x40).capability(0x40, 0x01, 0x50).capability(0x50, 0x09, 0x40);
    space.extended(0x100, 3, 1, 0x200).extended(0x200, 1, 1, 0x100);
    const ConfigSpace s = space.decode();
    EXPECT_EQ(s.capabilities.size(), 4u);
    EXPECT_THAT(s.warnings, Contains(HasSubstr("list loops at 0x40")));
    EXPECT_THAT(s.warnings, Contains(HasSubstr("list loops at 0x100")));
}

TEST(Hostile, pointersOutsideTheirSpaceEndTheList) {
    EXPECT_THAT(Space().list(0x10).decode().warnings, Contains(HasSubstr("0x10")));
    EXPECT_THAT(Space().extended(0x100, 3, 1, 0x80).decode().warnings, Contains(HasSubstr("below 0x100")));
    EXPECT_THAT(Space().extended(0x100, 3, 1, 0x800).decode(1024).warnings, Contains(HasSubstr("outside")));
}

TEST(Hostile, capabilityAtTheEndIsNotReadPast) {
    const ConfigSpace s = Space().extended(0x100, 1, 2, 0xffc).extended(0xffc, 1, 2, 0).decode();
    ASSERT_EQ(s.capabilities.size(), 2u);
    EXPECT_TRUE(s.capabilities[1].registers.empty());
    EXPECT_THAT(s.warnings, Contains(HasSubstr("past the end")));
}

TEST(Hostile, anyLengthAndAnyBytesEnd) {
    std::mt19937_64 random(20260721);
    std::vector<std::byte> bytes(4096);
    for (int round = 0; round < 2000; ++round) {
        for (std::byte& b : bytes) b = static_cast<std::byte>(random());
        bytes[0] = std::byte{0x36};
        bytes[6] |= std::byte{0x10};
        const std::size_t length = random() % 4 == 0 ? random() % 4097 : 4096;
        // A copy of exactly that length, so that a sanitizer sees a read behind it.
        const std::vector<std::byte> exact(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
        const ConfigSpace s = decode_config_space(exact);
        ASSERT_LE(s.capabilities.size(), 64u + 1024u);
        ASSERT_EQ(s.present, length >= 64 && !(exact[0] == std::byte{0xff} && exact[1] == std::byte{0xff}));
        ASSERT_FALSE(config_json(s).dump().empty());
    }
}

TEST(ClassNames, mostExactWins) {
    EXPECT_EQ(class_name(0x120000), "processing accelerator");
    EXPECT_EQ(class_name(0x010802), "non-volatile memory controller (NVMe)");
    EXPECT_EQ(class_name(0x010899), "mass storage controller");
    EXPECT_EQ(class_name(0xab0000), "");
}

}  // namespace
}  // namespace farlane::cli
