// SPDX-License-Identifier: Apache-2.0
// Receives: configuration accesses. Hands on: whether every capability reads and writes as PCIe 6.0 says.
// Owns: nothing.
#include <cstdlib>
#include <fstream>

#include "firmware/rig.hpp"

namespace farlane::firmware::test {
namespace {

std::uint32_t find_capability(FakeHost& h, unsigned id) {
    for (std::uint32_t at = h.config_read32(0x34) & 0xff; at != 0; at = h.config_read32(at) >> 8 & 0xff)
        if ((h.config_read32(at) & 0xff) == id) return at;
    return 0;
}
std::uint32_t find_extended(FakeHost& h, unsigned id) {
    for (std::uint32_t at = 0x100; at != 0; at = h.config_read32(at) >> 20)
        if ((h.config_read32(at) & 0xffff) == id) return at;
    return 0;
}

struct ConfigTest : testing::Test {
    Rig rig{{{"size", "4M"}, {"queues", "7"}}};
    FakeHost& host = rig.host;
    std::uint32_t get(std::uint32_t at) { return host.config_read32(at); }
    void put32(std::uint32_t at, std::uint32_t v) { host.config_write(at, v, 4); }
    void put16(std::uint32_t at, std::uint32_t v) { host.config_write(at, v, 2); }
};

TEST_F(ConfigTest, HeaderIsOfAnNvmeController) {
    EXPECT_EQ(get(0x00), 0x0001f1a0u);
    EXPECT_EQ(get(0x08), 0x01080201u);
    EXPECT_EQ(get(0x0c) >> 16 & 0x7f, 0u);  // type 0
    EXPECT_NE(get(0x04) >> 16 & 0x10, 0u);  // capability list
    EXPECT_EQ(get(0x3c) >> 8 & 0xff, 0u);   // no INTx
    EXPECT_EQ(rig.device->describe().vendor_id.get(), 0xf1a0);
    EXPECT_EQ(rig.device->describe().class_code.get(), 0x01080201u);
    EXPECT_EQ(rig.device->describe().msix_vectors.get(), 8);
    EXPECT_EQ(rig.device->describe().bar[0].size_bytes.get(), 0x4000u);
}

TEST_F(ConfigTest, ReadOnlyFieldsStay) {
    const std::uint32_t id = get(0), klass = get(8);
    put32(0, 0);
    put32(8, 0);
    put32(0x2c, 0);
    EXPECT_EQ(get(0), id);
    EXPECT_EQ(get(8), klass);
    EXPECT_NE(get(0x2c), 0u);
}

TEST_F(ConfigTest, CommandHasItsBitsAndNoOthers) {
    put16(0x04, 0xffff);
    EXPECT_EQ(get(0x04) & 0xffff, 0x0546u);
    put16(0x04, 0);
    EXPECT_EQ(get(0x04) & 0xffff, 0u);
}

TEST_F(ConfigTest, BarSizing) {
    put32(0x10, 0xffffffff);
    put32(0x14, 0xffffffff);
    EXPECT_EQ(get(0x10), 0xffffc004u);  // 16 KiB, 64-bit, not prefetchable
    EXPECT_EQ(get(0x14), 0xffffffffu);
    put32(0x10, 0x12345678);
    put32(0x14, 0x9a);
    EXPECT_EQ(get(0x10), 0x12344004u);
    EXPECT_EQ(get(0x14), 0x9au);
    for (std::uint32_t at = 0x18; at <= 0x24; at += 4) {
        put32(at, 0xffffffff);
        EXPECT_EQ(get(at), 0u) << "BAR at " << at << " is not there";
    }
    put32(0x30, 0xffffffff);  // no expansion ROM
    EXPECT_EQ(get(0x30), 0u);
}

TEST_F(ConfigTest, ByteEnables) {
    put32(0x10, 0);
    const std::byte data[4] = {std::byte{0xff}, std::byte{0xff}, std::byte{0xff}, std::byte{0xff}};
    ASSERT_EQ(rig.device->config_write(0x10, data, 0b0100), Status::ok);
    EXPECT_EQ(get(0x10), 0x00ff0004u);
    host.config_write(0x13, 0xab, 1);
    EXPECT_EQ(get(0x10), 0xabff0004u);
}

TEST_F(ConfigTest, OutOfRangeIsRefused) {
    std::byte b[8];
    EXPECT_EQ(rig.device->config_read(4094, b), Status::unsupported_request);
    EXPECT_EQ(rig.device->config_write(4096, b, 0xff), Status::unsupported_request);
    EXPECT_EQ(rig.device->config_read(4092, std::span(b).first(4)), Status::ok);
}

TEST_F(ConfigTest, CapabilitiesAreChained) {
    for (const unsigned id : {0x01u, 0x05u, 0x10u, 0x11u}) EXPECT_NE(find_capability(host, id), 0u) << id;
    EXPECT_NE(find_extended(host, 0x0001), 0u);
    EXPECT_NE(find_extended(host, 0x0003), 0u);
    EXPECT_EQ(find_extended(host, 0x000d), 0u) << "ACS is not for an endpoint of one function";
}

TEST_F(ConfigTest, PowerManagement) {
    const std::uint32_t pm = find_capability(host, 0x01);
    EXPECT_EQ(get(pm) >> 16 & 7, 3u);
    put16(pm + 4, 1);  // D1 is not supported: discarded
    EXPECT_EQ(get(pm + 4) & 3, 0u);
    put16(pm + 4, 3);
    EXPECT_EQ(get(pm + 4) & 3, 3u);
    EXPECT_EQ(host.read32(0x08), 0xffffffffu) << "D3hot answers configuration requests only";
    put16(pm + 4, 0);
    EXPECT_EQ(host.read32(0x08), 0x00010400u);
    EXPECT_NE(get(pm + 4) & 8, 0u);          // No_Soft_Reset ...
    EXPECT_EQ(get(0x04) & 0xffff, 0x0006u);  // ... so the command register stays
}

TEST_F(ConfigTest, Msi) {
    const std::uint32_t msi = find_capability(host, 0x05);
    EXPECT_EQ(get(msi) >> 16, 0x0186u);  // 8 messages, 64-bit, per-vector masking
    put32(msi + 4, 0xffffffff);
    EXPECT_EQ(get(msi + 4), 0xfffffffcu);
    put32(msi + 12, 0xffffffff);
    EXPECT_EQ(get(msi + 12), 0x0000ffffu);
    put32(msi + 16, 0xffffffff);
    EXPECT_EQ(get(msi + 16), 0xffu);
    put32(msi + 20, 0xffffffff);
    EXPECT_EQ(get(msi + 20), 0u) << "pending bits are read-only";
}

TEST_F(ConfigTest, Msix) {
    const std::uint32_t msix = find_capability(host, 0x11);
    put16(msix + 2, 0xffff);
    EXPECT_EQ(get(msix) >> 16, 0xc007u);
    EXPECT_EQ(get(msix + 4), 0x2000u);
    EXPECT_EQ(get(msix + 8), 0x3000u);
}

TEST_F(ConfigTest, Express) {
    const std::uint32_t cap = find_capability(host, 0x10);
    EXPECT_EQ(get(cap) >> 16, 0x0002u);      // version 2, endpoint
    EXPECT_NE(get(cap + 4) & 1u << 28, 0u);  // FLR
    EXPECT_EQ(get(cap + 8) & 0xffff, 0x2810u);
    put16(cap + 8, 0x7fff);
    EXPECT_EQ(get(cap + 8) & 0xffff, 0x79ffu);
    EXPECT_EQ(get(cap + 12) & 0x3ff, 0x044u);  // x4 at 16 GT/s
    EXPECT_EQ(get(cap + 16) >> 16 & 0x3ff, 0x044u);
}

TEST_F(ConfigTest, SerialNumberIsThatOfTheDescription) {
    const std::uint32_t at = find_extended(host, 0x0003);
    EXPECT_EQ(std::uint64_t{get(at + 8)} << 32 | get(at + 4), rig.device->describe().serial.get());
    EXPECT_NE(rig.device->describe().serial.get(), 0u);
}

TEST_F(ConfigTest, FunctionLevelReset) {
    const std::uint32_t cap = find_capability(host, 0x10), aer = find_extended(host, 0x0001);
    put32(0x10, 0xfee00000);
    put32(aer + 8, 0);              // uncorrectable mask: sticky
    put16(cap + 8, 0x2810 | 0x40);  // Max_Payload_Size 1: kept, 6.6.2
    put16(cap + 8, 0x2850 | 0x8000);
    EXPECT_EQ(get(0x04) & 0xffff, 0u);
    EXPECT_EQ(get(0x10), 4u);
    EXPECT_EQ(get(aer + 8), 0u);
    EXPECT_EQ(get(cap + 8) & 0xffff, 0x2850u) << "Initiate FLR reads 0";
    EXPECT_EQ(rig.counter("resets"), 2u);  // that of the attach, and this
}

TEST_F(ConfigTest, ErrorsAreReportedAsMasksSay) {
    const std::uint32_t cap = find_capability(host, 0x10), aer = find_extended(host, 0x0001);
    nvme_user::Controller c(host, {});
    const auto fail_next = [&](std::uint32_t severity, std::uint32_t bit) {
        rig.function().faults().error_severity = severity;
        rig.function().faults().error_source = bit;
        rig.function().faults().error_after = 1;
        c.flush();
    };
    fail_next(1, 14);  // completion timeout; reporting is off
    EXPECT_TRUE(host.errors.empty());
    EXPECT_EQ(get(aer + 4), 1u << 14);
    EXPECT_EQ(get(aer + 24) & 0x1f, 14u);
    EXPECT_NE(get(cap + 8) & 0x2u << 16, 0u) << "device status: non-fatal error detected";
    put32(aer + 4, 1u << 14);  // RW1C
    EXPECT_EQ(get(aer + 4), 0u);
    put16(cap + 8, 0x2817);
    fail_next(1, 14);
    fail_next(1, 18);  // malformed TLP is fatal by its severity bit
    fail_next(0, 6);
    const std::vector<std::pair<std::uint32_t, std::uint32_t>> expected = {{1, 14}, {2, 18}, {0, 6}};
    EXPECT_EQ(host.errors, expected);
    put32(aer + 8, 0xffffffff);
    fail_next(1, 12);
    EXPECT_EQ(host.errors.size(), 3u) << "masked";
    EXPECT_NE(get(aer + 4) & 1u << 12, 0u);
}

// A second opinion: lspci decodes a dump of the 4096 bytes.
TEST_F(ConfigTest, LspciAgrees) {
    if (std::system("lspci --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "lspci (pciutils) is not installed";
    const std::string dump = testing::TempDir() + "farlane_config.txt";
    {
        std::ofstream f(dump);
        f << "00:01.0 Non-Volatile memory controller: dump\n" << std::hex;
        for (std::uint32_t at = 0; at < 4096; at += 16) {
            char line[80];
            int n = std::snprintf(line, sizeof line, "%02x:", at);
            for (std::uint32_t i = 0; i < 16; ++i)
                n += std::snprintf(line + n, sizeof line - static_cast<std::size_t>(n), " %02x",
                                   get(at + (i & ~3u)) >> (8 * (i & 3)) & 0xff);
            f << line << '\n';
        }
        f << '\n';
    }
    FILE* p = ::popen(("lspci -n -vvv -F " + dump).c_str(), "r");
    ASSERT_NE(p, nullptr);
    std::string text;
    char chunk[4096];
    for (std::size_t n; (n = std::fread(chunk, 1, sizeof chunk, p)) > 0;) text.append(chunk, n);
    EXPECT_EQ(::pclose(p), 0);
    for (const char* expected :
         {"f1a0:0001", "Power Management version 3", "NoSoftRst+", "MSI: Enable- Count=1/8 Maskable+ 64bit+",
          "Express (v2) Endpoint", "FLReset+", "MaxPayload 4096 bytes", "Speed 16GT/s, Width x4",
          "MSI-X: Enable- Count=8 Masked-", "Vector table: BAR=0 offset=00002000", "PBA: BAR=0 offset=00003000",
          "Advanced Error Reporting", "Device Serial Number", "UESvrt:"})
        EXPECT_NE(text.find(expected), std::string::npos) << "missing: " << expected << "\n" << text;
    EXPECT_EQ(text.find("<access denied>"), std::string::npos);
    EXPECT_EQ(text.find("Unknown"), std::string::npos) << text;
}

}  // namespace
}  // namespace farlane::firmware::test
