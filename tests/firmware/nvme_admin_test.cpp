// SPDX-License-Identifier: Apache-2.0
// Receives: admin commands, good and bad. Hands on: whether status and effect are as NVM Express 1.4 says.
// Owns: nothing.
#include "firmware/nvme_fixture.hpp"

namespace farlane::firmware::test {
namespace {

using namespace nvme_user;

struct NvmeAdmin : NvmeFixture {
    std::uint32_t size(unsigned qid, unsigned entries) { return (entries - 1) << 16 | qid; }
    Memory ring = rig.host.allocate(65536);
    Completion create_cq(unsigned qid, unsigned entries = 16, std::uint32_t dw11 = 1) {
        return admin({.opcode = kCreateCq, .prp1 = ring.iova, .dw10 = size(qid, entries), .dw11 = dw11});
    }
    Completion create_sq(unsigned qid, unsigned cqid, unsigned entries = 16) {
        return admin(
            {.opcode = kCreateSq, .prp1 = ring.iova + 4096, .dw10 = size(qid, entries), .dw11 = cqid << 16 | 1});
    }
};

TEST_F(NvmeAdmin, Registers) {
    const std::uint64_t cap = rig.host.read64(0);
    EXPECT_EQ(cap & 0xffff, 1023u);
    EXPECT_EQ(cap >> 16 & 1, 1u);
    EXPECT_EQ(cap >> 32 & 0xf, 0u);  // doorbell stride
    EXPECT_EQ(cap >> 37 & 0xff, 1u);
    EXPECT_EQ(cap >> 48 & 0xff, 0u);
    EXPECT_EQ(rig.host.read32(0x1c), 1u);
    rig.host.write32(0x24, 0);  // AQA can not change while enabled
    EXPECT_EQ(rig.host.read32(0x24), 0x001f001fu);
    rig.host.write32(0x0c, 0x5);
    EXPECT_EQ(rig.host.read32(0x0c), 0x5u);
    rig.host.write32(0x10, 0x1);
    EXPECT_EQ(rig.host.read32(0x10), 0x4u);
    std::byte odd[3];
    EXPECT_EQ(rig.device->bar_write(0, 0x14, odd, 0x7), Status::completer_abort);
    EXPECT_EQ(rig.device->bar_write(0, 0x16, std::span(odd).first(2), 0x3), Status::completer_abort);
    std::byte bulk[64];
    ASSERT_EQ(rig.device->bar_read(0, 0, bulk), Status::ok);
    EXPECT_EQ(number<std::uint32_t>(bulk, 8), 0x00010400u);
}

TEST_F(NvmeAdmin, UnknownCommands) {
    for (const unsigned op : {0x03u, 0x0du, 0x10u, 0x18u, 0x7fu, 0x81u, 0x84u, 0xffu})
        EXPECT_CODE(admin({.opcode = static_cast<std::uint8_t>(op)}), kInvalidOpcode) << op;
    const Completion c = admin({.opcode = 0xff});
    EXPECT_NE(c.status & 0x4000, 0) << "do not retry";
    EXPECT_CODE(admin({.opcode = kIdentify, .flags = 0x01, .dw10 = 1}), kInvalidField) << "fused";
    EXPECT_CODE(admin({.opcode = kIdentify, .flags = 0x40, .dw10 = 1}), kInvalidField) << "SGL";
}

TEST_F(NvmeAdmin, Identify) {
    const Memory page = rig.host.allocate(4096);
    ASSERT_TRUE(driver->admin({.opcode = kIdentify, .dw10 = 1}, page, 4096).ok());
    EXPECT_EQ(number<std::uint16_t>(page.bytes, 0), 0xf1a0);
    EXPECT_EQ(number<std::uint8_t>(page.bytes, 77), 6);
    EXPECT_EQ(number<std::uint8_t>(page.bytes, 111), 1);
    EXPECT_EQ(number<std::uint8_t>(page.bytes, 512), 0x66);
    EXPECT_EQ(number<std::uint8_t>(page.bytes, 513), 0x44);
    EXPECT_EQ(number<std::uint32_t>(page.bytes, 536), 0u) << "SGLs are not supported";
    ASSERT_TRUE(driver->admin({.opcode = kIdentify, .nsid = 1, .dw10 = 0}, page, 4096).ok());
    EXPECT_EQ(number<std::uint64_t>(page.bytes, 0), 8192u);
    EXPECT_EQ(number<std::uint8_t>(page.bytes, 25), 1);
    EXPECT_EQ(number<std::uint32_t>(page.bytes, 128), 0x01090000u) << "512 bytes, no metadata, the slower one";
    EXPECT_EQ(number<std::uint32_t>(page.bytes, 132), 0x000c0000u) << "4096 bytes, no metadata, best";
    for (std::size_t unused = 136; unused < 384; unused += 4)
        EXPECT_EQ(number<std::uint32_t>(page.bytes, unused), 0u) << "LBA format " << (unused - 128) / 4;
    ASSERT_TRUE(driver->admin({.opcode = kIdentify, .nsid = 0, .dw10 = 2}, page, 4096).ok());
    EXPECT_EQ(number<std::uint32_t>(page.bytes, 0), 1u);
    EXPECT_EQ(number<std::uint32_t>(page.bytes, 4), 0u);
    ASSERT_TRUE(driver->admin({.opcode = kIdentify, .nsid = 1, .dw10 = 2}, page, 4096).ok());
    EXPECT_EQ(number<std::uint32_t>(page.bytes, 0), 0u) << "namespaces above 1";
    ASSERT_TRUE(driver->admin({.opcode = kIdentify, .nsid = 1, .dw10 = 3}, page, 4096).ok());
    EXPECT_EQ(number<std::uint16_t>(page.bytes, 0), 0x1003);  // UUID, 16 bytes
    EXPECT_EQ(number<std::uint8_t>(page.bytes, 20), 0) << "end of the list";

    EXPECT_CODE(driver->admin({.opcode = kIdentify, .nsid = 2, .dw10 = 0}, page, 4096), kInvalidNamespace);
    EXPECT_CODE(driver->admin({.opcode = kIdentify, .nsid = 0, .dw10 = 3}, page, 4096), kInvalidNamespace);
    EXPECT_CODE(driver->admin({.opcode = kIdentify, .nsid = 0xffffffff, .dw10 = 2}, page, 4096), kInvalidNamespace);
    EXPECT_CODE(driver->admin({.opcode = kIdentify, .dw10 = 6}, page, 4096), kInvalidField);
}

TEST_F(NvmeAdmin, CreateQueues) {
    EXPECT_CODE(create_cq(0), kQueueId);
    EXPECT_CODE(create_cq(5), kQueueId);
    EXPECT_CODE(create_cq(1), kQueueId) << "exists";
    EXPECT_CODE(create_cq(3, 1), kQueueSize);
    EXPECT_CODE(create_cq(3, 1025), kQueueSize);
    EXPECT_CODE(create_cq(3, 16, 0), kInvalidField) << "not contiguous";
    EXPECT_CODE(create_cq(3, 16, 5u << 16 | 3), kVector);
    EXPECT_CODE(admin({.opcode = kCreateCq, .prp1 = ring.iova + 8, .dw10 = size(3, 16), .dw11 = 1}), kPrpOffset);
    EXPECT_CODE(create_sq(3, 3), kCqInvalid);
    EXPECT_CODE(create_sq(3, 0), kQueueId);
    EXPECT_CODE(create_sq(3, 9), kQueueId);
    EXPECT_TRUE(create_cq(3, 1024).ok());
    EXPECT_TRUE(create_sq(3, 3, 2).ok());
    EXPECT_CODE(create_sq(3, 3), kQueueId);
    EXPECT_TRUE(create_sq(4, 3).ok()) << "two queues may share one";
}

TEST_F(NvmeAdmin, DeleteQueues) {
    EXPECT_CODE(admin({.opcode = kDeleteSq, .dw10 = 0}), kQueueId);
    EXPECT_CODE(admin({.opcode = kDeleteSq, .dw10 = 3}), kQueueId);
    EXPECT_CODE(admin({.opcode = kDeleteCq, .dw10 = 0}), kQueueId);
    EXPECT_CODE(admin({.opcode = kDeleteCq, .dw10 = 3}), kQueueId);
    EXPECT_CODE(admin({.opcode = kDeleteCq, .dw10 = 1}), kDeletion) << "still used";
    EXPECT_TRUE(admin({.opcode = kDeleteSq, .dw10 = 1}).ok());
    EXPECT_TRUE(admin({.opcode = kDeleteCq, .dw10 = 1}).ok());
    EXPECT_TRUE(create_cq(1).ok());
    EXPECT_TRUE(create_sq(1, 1).ok());
}

TEST_F(NvmeAdmin, DeleteQueueEndsItsCommandsFirst) {
    QueuePair& q = driver->queue(1);
    const Memory data = rig.host.allocate(4096);
    for (unsigned i = 0; i < 20; ++i) q.submit(command(kRead, i, 8), data, 0, 4096);
    q.ring();
    rig.host.step();
    EXPECT_TRUE(admin({.opcode = kDeleteSq, .dw10 = 2}).ok());
    unsigned seen = 0;
    while (q.poll()) ++seen;
    EXPECT_TRUE(seen == 0 || seen == 20) << seen;
    rig.host.settle();
    EXPECT_FALSE(q.poll().has_value()) << "nothing comes after the deletion";
}

TEST_F(NvmeAdmin, NumberOfQueues) {
    EXPECT_CODE(admin({.opcode = kSetFeatures, .dw10 = 7, .dw11 = 0}), kSequence) << "queues exist";
    const Completion got = admin({.opcode = kGetFeatures, .dw10 = 7});
    EXPECT_EQ(got.dw0, 0x00030003u);
    driver->reset();
    EXPECT_EQ(driver->queues(), 2u);
}

TEST_F(NvmeAdmin, Features) {
    for (const unsigned id : {0x00u, 0x03u, 0x0cu, 0x0fu, 0x10u, 0x80u, 0xffu}) {
        EXPECT_CODE(admin({.opcode = kGetFeatures, .dw10 = id}), kInvalidField) << id;
        EXPECT_CODE(admin({.opcode = kSetFeatures, .dw10 = id}), kInvalidField) << id;
    }
    for (const unsigned id : {0x01u, 0x08u}) {
        EXPECT_TRUE(admin({.opcode = kSetFeatures, .dw10 = id, .dw11 = 0x1234}).ok());
        EXPECT_EQ(admin({.opcode = kGetFeatures, .dw10 = id}).dw0, 0x1234u);
    }
    EXPECT_EQ(admin({.opcode = kGetFeatures, .dw10 = 0x108}).dw0, 0u) << "default";
    EXPECT_EQ(admin({.opcode = kGetFeatures, .dw10 = 0x308}).dw0, 4u) << "changeable, not saveable";
    EXPECT_CODE(admin({.opcode = kGetFeatures, .dw10 = 0x408}), kInvalidField);
    EXPECT_CODE(admin({.opcode = kSetFeatures, .dw10 = 0x80000008}), kNotSaveable);
    EXPECT_CODE(admin({.opcode = kSetFeatures, .dw10 = 2, .dw11 = 1}), kInvalidField) << "one power state";
    EXPECT_CODE(admin({.opcode = kSetFeatures, .dw10 = 6, .dw11 = 1}), kNotChangeable) << "memory has no cache";
    EXPECT_TRUE(admin({.opcode = kSetFeatures, .dw10 = 9, .dw11 = 0x10002}).ok());
    EXPECT_EQ(admin({.opcode = kGetFeatures, .dw10 = 9, .dw11 = 2}).dw0, 0x10002u);
    EXPECT_EQ(admin({.opcode = kGetFeatures, .dw10 = 9, .dw11 = 1}).dw0, 1u);
    EXPECT_CODE(admin({.opcode = kSetFeatures, .dw10 = 9, .dw11 = 5}), kInvalidField);
    EXPECT_CODE(admin({.opcode = kSetFeatures, .dw10 = 7, .dw11 = 0xffff}), kInvalidField);
    EXPECT_CODE(admin({.opcode = kSetFeatures, .nsid = 3, .dw10 = 5}), kInvalidNamespace);
    EXPECT_TRUE(admin({.opcode = kSetFeatures, .nsid = 1, .dw10 = 5, .dw11 = 7}).ok());
}

TEST_F(NvmeAdmin, Timestamp) {
    const Memory m = rig.host.allocate(4096);
    std::memset(m.bytes.data(), 0, 8);
    m.bytes[2] = std::byte{1};  // 65,536 ms
    ASSERT_TRUE(driver->admin({.opcode = kSetFeatures, .dw10 = 0x0e}, m, 8).ok());
    rig.host.now_ns_ += 5'000'000'000;
    std::memset(m.bytes.data(), 0, 8);
    ASSERT_TRUE(driver->admin({.opcode = kGetFeatures, .dw10 = 0x0e}, m, 8).ok());
    const auto v = number<std::uint64_t>(m.bytes, 0);
    EXPECT_GE(v & 0xffffffffffff, 65536u + 5000);
    EXPECT_LE(v & 0xffffffffffff, 65536u + 5100);
    EXPECT_EQ(v >> 48, 2u) << "set by the host";
    EXPECT_EQ(number<std::uint64_t>(m.bytes, 8), 0u) << "8 bytes, no more";
}

TEST_F(NvmeAdmin, Logs) {
    const Memory m = rig.host.allocate(8192);
    const auto log = [&](unsigned id, std::size_t bytes, std::uint64_t offset = 0, std::uint32_t nsid = 0xffffffff) {
        return driver->admin({.opcode = kGetLogPage,
                              .nsid = nsid,
                              .dw10 = static_cast<std::uint32_t>((bytes / 4 - 1) << 16) | id,
                              .dw12 = static_cast<std::uint32_t>(offset),
                              .dw13 = static_cast<std::uint32_t>(offset >> 32)},
                             m, bytes);
    };
    EXPECT_CODE(admin({.opcode = kIdentify, .nsid = 77, .dw10 = 0}), kInvalidNamespace);
    ASSERT_TRUE(log(1, 64).ok());
    const auto errors = number<std::uint64_t>(m.bytes, 0);
    EXPECT_GE(errors, 1u);
    EXPECT_EQ(number<std::uint16_t>(m.bytes, 8), 0u);
    EXPECT_EQ(number<std::uint16_t>(m.bytes, 12) >> 1 & 0x7ff, kInvalidNamespace);
    EXPECT_EQ(number<std::uint32_t>(m.bytes, 24), 77u);

    ASSERT_TRUE(blocks(kWrite, 0, 8, m).ok());
    ASSERT_TRUE(blocks(kRead, 0, 16, m).ok());
    ASSERT_TRUE(log(2, 512).ok());
    EXPECT_EQ(number<std::uint8_t>(m.bytes, 0), 0u);
    EXPECT_EQ(number<std::uint16_t>(m.bytes, 1), 313u);
    EXPECT_EQ(number<std::uint64_t>(m.bytes, 64), 1u);
    EXPECT_EQ(number<std::uint64_t>(m.bytes, 80), 1u);
    EXPECT_EQ(number<std::uint64_t>(m.bytes, 112), 1u);
    EXPECT_EQ(number<std::uint64_t>(m.bytes, 176), errors);

    ASSERT_TRUE(log(3, 512).ok());
    EXPECT_EQ(number<std::uint8_t>(m.bytes, 0), 1u);
    ASSERT_TRUE(log(4, 4096).ok());
    EXPECT_EQ(number<std::uint32_t>(m.bytes, 0), 0u);
    ASSERT_TRUE(log(5, 4096).ok());
    EXPECT_EQ(number<std::uint32_t>(m.bytes, kIdentify * 4) & 1, 1u);
    EXPECT_EQ(number<std::uint32_t>(m.bytes, 1024 + kWrite * 4) & 3, 3u);
    EXPECT_EQ(number<std::uint32_t>(m.bytes, 1024 + 0x7f * 4), 0u);
    // A part of a page, and more than a page
    ASSERT_TRUE(log(5, 16, 1024).ok());
    EXPECT_EQ(number<std::uint32_t>(m.bytes, kWrite * 4) & 3, 3u);
    m.bytes[8191] = std::byte{0xff};
    ASSERT_TRUE(log(5, 8192).ok());
    EXPECT_EQ(m.bytes[8191], std::byte{0});

    EXPECT_CODE(log(0, 512), kLogPage);
    EXPECT_CODE(log(0x70, 512), kLogPage);
    EXPECT_CODE(log(2, 512, 2), kInvalidField) << "offset in dwords";
    EXPECT_CODE(log(2, 512, 516), kInvalidField) << "beyond the page";
    EXPECT_CODE(log(2, 512, std::uint64_t{1} << 40), kInvalidField);
    EXPECT_CODE(log(2, 512, 0, 1), kInvalidField) << "health is of the controller";
    EXPECT_CODE(admin({.opcode = kGetLogPage, .nsid = 0xffffffff, .dw10 = 0xffff0002, .dw11 = 0xffff}), kInvalidField)
        << "more than MDTS";
}

TEST_F(NvmeAdmin, AsyncEvents) {
    QueuePair& q = driver->admin_queue();
    for (unsigned i = 0; i < 4; ++i) q.submit({.opcode = kAsyncEvent});
    const auto fifth = admin({.opcode = kAsyncEvent});
    EXPECT_CODE(fifth, kAerLimit);
    // A doorbell of a queue that does not exist, a doorbell value that does not either
    rig.host.write32(0x1000 + 8 * 9, 1);
    const auto first = driver->wait(q);
    EXPECT_EQ(first.dw0, 0x00010000u);
    rig.host.write32(0x1000 + 8, 5000);
    rig.host.settle();
    EXPECT_FALSE(q.poll().has_value()) << "masked until the log page is read";
    const Memory m = rig.host.allocate(4096);
    q.submit({.opcode = kGetLogPage, .nsid = 0xffffffff, .dw10 = 15u << 16 | 1}, m, 0, 64);
    std::vector<std::uint32_t> results = {driver->wait(q).dw0, driver->wait(q).dw0};
    EXPECT_EQ(std::count(results.begin(), results.end(), 0x00010100u), 1);
    // Too hot by its own threshold
    EXPECT_TRUE(admin({.opcode = kSetFeatures, .dw10 = 0x0b, .dw11 = 0x102}).ok());
    q.submit({.opcode = kSetFeatures, .dw10 = 0x04, .dw11 = 300});
    results = {driver->wait(q).dw0, driver->wait(q).dw0};
    EXPECT_EQ(std::count(results.begin(), results.end(), 0x00020101u), 1);
    // Abort takes one that waits
    const std::uint16_t cid = q.submit({.opcode = kAsyncEvent});
    q.ring();
    rig.host.settle();
    q.submit({.opcode = kAbort, .dw10 = std::uint32_t{cid} << 16});
    const auto a = driver->wait(q), b = driver->wait(q);
    EXPECT_TRUE((a.code() == kAborted && b.dw0 == 0) || (b.code() == kAborted && a.dw0 == 0));
    EXPECT_EQ(admin({.opcode = kAbort, .dw10 = 0x7777u << 16}).dw0, 1u) << "not found";
    EXPECT_EQ(rig.counter("nvme_doorbells_bad"), 2u);
}

TEST_F(NvmeAdmin, Format) {
    const Memory m = rig.host.allocate(4096);
    fill(m.bytes, 1);
    ASSERT_TRUE(blocks(kWrite, 0, 8, m).ok());
    EXPECT_CODE(admin({.opcode = kFormat, .nsid = 1, .dw10 = 2}), kBadFormat);
    EXPECT_CODE(admin({.opcode = kFormat, .nsid = 1, .dw10 = 1 | 1u << 5}), kBadFormat);
    EXPECT_CODE(admin({.opcode = kFormat, .nsid = 1, .dw10 = 1 | 2u << 9}), kInvalidField);
    EXPECT_CODE(admin({.opcode = kFormat, .nsid = 2, .dw10 = 1}), kInvalidNamespace);
    ASSERT_TRUE(blocks(kRead, 0, 8, m).ok());
    EXPECT_NE(m.bytes[0], std::byte{0}) << "nothing has happened yet";
    EXPECT_TRUE(admin({.opcode = kSetFeatures, .dw10 = 0x0b, .dw11 = 0x100}).ok());
    driver->admin_queue().submit({.opcode = kAsyncEvent});
    driver->admin_queue().submit({.opcode = kFormat, .nsid = 0xffffffff, .dw10 = 1});
    const auto a = driver->wait(driver->admin_queue()), b = driver->wait(driver->admin_queue());
    EXPECT_TRUE(a.ok() && b.ok());
    EXPECT_EQ(a.dw0 | b.dw0, 0x00040002u) << "namespace attribute changed";
    driver->identify_namespace();
    EXPECT_EQ(driver->space().block_bytes, 4096u);
    EXPECT_EQ(driver->space().blocks, 1024u);
    ASSERT_TRUE(blocks(kRead, 0, 1, m).ok());
    for (const std::byte x : m.bytes) ASSERT_EQ(x, std::byte{0});
    ASSERT_TRUE(driver->admin({.opcode = kGetLogPage, .nsid = 0xffffffff, .dw10 = 1023u << 16 | 4}, m, 4096).ok());
    EXPECT_EQ(number<std::uint32_t>(m.bytes, 0), 1u);
    ASSERT_TRUE(driver->admin({.opcode = kGetLogPage, .nsid = 0xffffffff, .dw10 = 1023u << 16 | 4}, m, 4096).ok());
    EXPECT_EQ(number<std::uint32_t>(m.bytes, 0), 0u) << "cleared by reading it";
}

TEST(NvmeOptions, AreChecked) {
    const auto memory = backend::process_memory();
    const auto fails = [&](Options o, const char* expected) {
        const auto r = backend::make_device({"nvme0", "nvme", std::move(o)}, *memory);
        ASSERT_EQ(r.status(), Status::invalid);
        EXPECT_NE(r.failure().detail.find(expected), std::string::npos) << r.failure().detail;
    };
    fails({{"sise", "4M"}}, "valid: size=<");
    fails({{"size", "4X"}}, "for instance 64M");
    fails({{"size", "4M"}, {"lba", "1024"}}, "one of 512|4096");
    fails({{"size", "1048577"}}, "multiple of 4096");
    fails({{"size", "1K"}}, "size from 1M");
    fails({{"size", "99999999999999999999"}}, "not valid");
    fails({{"queues", "0"}}, "from 1 to 63");
    fails({{"queues", "64"}}, "from 1 to 63");
    fails({{"serial", "123456789012345678901"}}, "1 to 20");
    fails({{"model", "a\tb"}}, "printable");
    fails({{"size", "4M"}, {"size", "8M"}}, "twice");
    fails({{"faults", "explode=1"}}, "valid faults:");
    fails({{"faults", "delay_us=x"}}, "valid faults:");
    const auto r = backend::make_device({"x", "floppy", {}}, *memory);
    ASSERT_EQ(r.status(), Status::invalid);
    EXPECT_NE(r.failure().detail.find("nvme"), std::string::npos);
    EXPECT_EQ(backend::make_device({"../x", "nvme", {}}, *memory).status(), Status::invalid);
    for (const std::string& k : backend::device_kinds()) EXPECT_FALSE(k.empty());
    EXPECT_TRUE(backend::make_device(
                    {"nvme1", "nvme", {{"queues", "63"}, {"vendor", "0x1234"}, {"faults", "delay_us=5"}}}, *memory)
                    .ok());
}

}  // namespace
}  // namespace farlane::firmware::test
