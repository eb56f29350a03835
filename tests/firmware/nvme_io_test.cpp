// SPDX-License-Identifier: Apache-2.0
// Receives: I/O commands with PRPs of every shape. Hands on: whether data and status are right. Owns: nothing.
#include <filesystem>
#include <fstream>

#include "firmware/nvme_fixture.hpp"

namespace farlane::firmware::test {
namespace {

using namespace nvme_user;

struct NvmeIo : NvmeFixture {
    Memory a = rig.host.allocate(512u << 10), b = rig.host.allocate(512u << 10);
    void put64(const Memory& m, std::size_t at, std::uint64_t v) {
        for (unsigned i = 0; i < 8; ++i) m.bytes[at + i] = static_cast<std::byte>(v >> (8 * i));
    }
};

TEST_F(NvmeIo, EveryAlignmentOfABuffer) {
    fill(a.bytes, 1);
    for (const std::size_t offset : {0u, 4u, 508u, 512u, 2048u, 3584u, 4092u}) {
        for (const unsigned count : {1u, 7u, 8u, 9u, 16u, 17u, 64u, 511u, 512u}) {
            SCOPED_TRACE(testing::Message() << "offset " << offset << " blocks " << count);
            std::memset(b.bytes.data(), 0xee, b.bytes.size());
            ASSERT_TRUE(blocks(kWrite, 100, count, a, offset).ok());
            ASSERT_TRUE(blocks(kRead, 100, count, b, offset + 8192).ok());
            const std::size_t n = count * 512u;
            ASSERT_TRUE(same(a.bytes.subspan(offset, n), b.bytes.subspan(offset + 8192, n)));
            ASSERT_EQ(b.bytes[offset + 8191], std::byte{0xee});
            ASSERT_EQ(b.bytes[offset + 8192 + n], std::byte{0xee});
        }
    }
}

// A list that begins near the end of its page goes on in another one; pages of the data lie anywhere.
TEST_F(NvmeIo, ScatteredPagesAndChainedLists) {
    const Memory lists = rig.host.allocate(3 * 4096);
    fill(a.bytes, 2);
    std::vector<unsigned> order(64);
    for (unsigned i = 0; i < 64; ++i) order[i] = (i * 37 + 11) % 64;
    for (const unsigned in_first : {1u, 2u, 5u, 40u, 63u}) {
        SCOPED_TRACE(in_first);
        const std::size_t begin = 4096 - in_first * 8;
        std::uint64_t at = begin;
        for (unsigned i = 1, entry = 0; i < 64; ++i, ++entry) {
            const bool last_of_page = at == 4096 - 8 && 64 - i > 1;
            if (last_of_page) {
                put64(lists, at, lists.iova + 8192);
                at = 8192;
            }
            put64(lists, at, a.iova + order[i] * 4096);
            at += 8;
        }
        Command w = command(kWrite, 0, 512);
        w.prp1 = a.iova + order[0] * 4096;
        w.prp2 = lists.iova + begin;
        ASSERT_TRUE(io(w).ok());
        ASSERT_TRUE(blocks(kRead, 0, 512, b).ok());
        for (unsigned i = 0; i < 64; ++i)
            ASSERT_TRUE(same(a.bytes.subspan(order[i] * 4096, 4096), b.bytes.subspan(i * 4096, 4096))) << i;
        std::memset(b.bytes.data(), 0, 64 * 4096);
        Command r = w;
        r.opcode = kRead;
        ASSERT_TRUE(io(r).ok()) << "the same list the other way";
    }
}

TEST_F(NvmeIo, BadPrps) {
    const auto with = [&](std::uint64_t prp1, std::uint64_t prp2, unsigned count, std::uint8_t opcode = kWrite) {
        Command c = command(opcode, 0, count);
        c.prp1 = prp1;
        c.prp2 = prp2;
        return io(c);
    };
    const Memory list = rig.host.allocate(4096);
    EXPECT_CODE(with(a.iova + 1, 0, 1), kPrpOffset);
    EXPECT_CODE(with(a.iova + 2048, b.iova + 4, 8), kPrpOffset) << "second page with an offset";
    EXPECT_CODE(with(a.iova, list.iova + 4, 32), kPrpOffset) << "list not qword aligned";
    put64(list, 0, b.iova);
    put64(list, 8, b.iova + 4096 + 8);
    put64(list, 16, b.iova + 8192);
    EXPECT_CODE(with(a.iova, list.iova, 32), kPrpOffset) << "entry with an offset";
    for (const std::uint8_t op : {kWrite, kRead}) {
        EXPECT_CODE(with(0, 0, 1, op), kDataTransfer);
        EXPECT_CODE(with(a.iova, 0xdead000, 16, op), kDataTransfer);
        EXPECT_CODE(with(a.iova, 0xdead000, 32, op), kDataTransfer) << "list that is not mapped";
        EXPECT_CODE(with(a.iova + a.bytes.size() - 512, 0, 2, op), kDataTransfer) << "beyond the mapping";
        put64(list, 8, 0xfffffffffffff000);
        EXPECT_CODE(with(a.iova, list.iova, 32, op), kDataTransfer);
    }
    // A chain that points to itself is followed only as far as entries are needed
    for (unsigned i = 0; i < 512; ++i) put64(list, i * 8, list.iova);
    EXPECT_TRUE(with(a.iova, list.iova + 4088, 512, kWrite).ok());
    EXPECT_EQ(rig.host.read32(0x1c), 1u) << "the controller goes on";
    EXPECT_TRUE(blocks(kRead, 0, 1, a).ok());
}

TEST_F(NvmeIo, BadCommands) {
    EXPECT_CODE(blocks(0x04, 0, 1, a), kInvalidOpcode);
    EXPECT_CODE(blocks(0x0d, 0, 1, a), kInvalidOpcode);
    EXPECT_CODE(io({.opcode = kRead, .nsid = 0, .prp1 = a.iova}), kInvalidNamespace);
    EXPECT_CODE(io({.opcode = kRead, .nsid = 2, .prp1 = a.iova}), kInvalidNamespace);
    EXPECT_CODE(io({.opcode = kRead, .nsid = 0xffffffff, .prp1 = a.iova}), kInvalidNamespace);
    EXPECT_CODE(io({.opcode = kRead, .flags = 0x80, .nsid = 1, .prp1 = a.iova}), kInvalidField);
    EXPECT_CODE(blocks(kRead, 8192, 1, a), kLbaRange);
    EXPECT_CODE(blocks(kRead, 8191, 2, a), kLbaRange);
    EXPECT_CODE(blocks(kWrite, ~std::uint64_t{0}, 1, a), kLbaRange);
    EXPECT_CODE(blocks(kWriteZeroes, 8000, 193, a), kLbaRange);
    EXPECT_CODE(blocks(kRead, 0, 513, a), kInvalidField) << "more than MDTS";
    EXPECT_TRUE(blocks(kRead, 8191, 1, a).ok());
}

TEST_F(NvmeIo, Compare) {
    fill(a.bytes, 3);
    ASSERT_TRUE(blocks(kWrite, 50, 100, a).ok());
    EXPECT_TRUE(blocks(kCompare, 50, 100, a).ok());
    a.bytes[99 * 512 + 17] ^= std::byte{1};
    EXPECT_CODE(blocks(kCompare, 50, 100, a), kCompareFailure);
    EXPECT_TRUE(blocks(kCompare, 50, 99, a).ok());
    ASSERT_TRUE(blocks(kRead, 149, 1, b).ok());
    EXPECT_NE(b.bytes[17], a.bytes[99 * 512 + 17]) << "compare writes nothing";
}

TEST_F(NvmeIo, WriteZeroes) {
    fill(a.bytes, 4);
    ASSERT_TRUE(blocks(kWrite, 0, 512, a).ok());
    EXPECT_TRUE(io(command(kWriteZeroes, 3, 300)).ok());
    ASSERT_TRUE(blocks(kRead, 0, 512, b).ok());
    std::memset(a.bytes.data() + 3 * 512, 0, 300 * 512);
    EXPECT_TRUE(same(a.bytes.first(512 * 512), b.bytes.first(512 * 512)));
    EXPECT_TRUE(io(command(kWriteZeroes, 0, 8192)).ok()) << "not bound by MDTS";
    ASSERT_TRUE(blocks(kRead, 400, 100, b).ok());
    for (const std::byte x : b.bytes.first(51200)) ASSERT_EQ(x, std::byte{0});
}

TEST_F(NvmeIo, DatasetManagement) {
    fill(a.bytes, 5);
    ASSERT_TRUE(blocks(kWrite, 0, 512, a).ok());
    const Memory ranges = rig.host.allocate(8192);
    const auto range = [&](unsigned i, std::uint32_t count, std::uint64_t lba, std::size_t at = 0) {
        put64(ranges, at + i * 16, std::uint64_t{count} << 32);
        put64(ranges, at + i * 16 + 8, lba);
    };
    const auto dsm = [&](unsigned n, std::uint32_t attributes, std::size_t at = 0) {
        return driver->io({.opcode = kDatasetManagement, .nsid = 1, .dw10 = n - 1, .dw11 = attributes}, ranges, at,
                          n * 16);
    };
    range(0, 10, 20);
    range(1, 0, 0);
    range(2, 100, 300);
    EXPECT_TRUE(dsm(3, 1).ok()) << "a hint";
    ASSERT_TRUE(blocks(kRead, 0, 512, b).ok());
    EXPECT_TRUE(same(a.bytes.first(512 * 512), b.bytes.first(512 * 512)));
    EXPECT_TRUE(dsm(3, 4).ok());
    std::memset(a.bytes.data() + 20 * 512, 0, 10 * 512);
    std::memset(a.bytes.data() + 300 * 512, 0, 100 * 512);
    ASSERT_TRUE(blocks(kRead, 0, 512, b).ok());
    EXPECT_TRUE(same(a.bytes.first(512 * 512), b.bytes.first(512 * 512)));
    range(1, 10, 8190);
    EXPECT_CODE(dsm(3, 4), kLbaRange);
    range(1, 1, ~std::uint64_t{0});
    EXPECT_CODE(dsm(3, 4), kLbaRange);
    for (unsigned i = 0; i < 256; ++i) range(i, 1, i, 2040);
    EXPECT_TRUE(dsm(256, 4, 2040).ok()) << "256 ranges over two pages";
    ASSERT_TRUE(blocks(kRead, 0, 257, b).ok());
    for (const std::byte x : b.bytes.first(256 * 512)) ASSERT_EQ(x, std::byte{0});
    EXPECT_NE(b.bytes[256 * 512], std::byte{0});
}

TEST_F(NvmeIo, MoreDatasetCommandsThanScratchMemory) {
    rig.host.hold_reads = false;
    QueuePair& q = driver->queue();
    const Memory ranges = rig.host.allocate(4096);
    put64(ranges, 0, std::uint64_t{1} << 32);
    for (unsigned i = 0; i < 60; ++i)
        q.submit({.opcode = kDatasetManagement, .nsid = 1, .dw10 = 0, .dw11 = 4}, ranges, 0, 16);
    q.ring();
    rig.host.faults.slow_percent = 80;
    for (unsigned i = 0; i < 60; ++i) EXPECT_TRUE(driver->wait(q).ok());
}

TEST_F(NvmeIo, Flush) {
    EXPECT_TRUE(io({.opcode = kFlush, .nsid = 1}).ok());
    EXPECT_TRUE(io({.opcode = kFlush, .nsid = 0xffffffff}).ok());
    EXPECT_CODE(io({.opcode = kFlush, .nsid = 2}), kInvalidNamespace);
}

TEST_F(NvmeIo, CompletionQueueFullWaits) {
    QueuePair& q = driver->queue();
    for (unsigned round = 0; round < 5; ++round) {
        for (unsigned i = 0; i < 63; ++i) q.submit(command(kRead, i, 1), a, i * 512, 512);
        q.ring();
        rig.host.settle();
        for (unsigned i = 0; i < 63; ++i) ASSERT_TRUE(driver->wait(q).ok());
    }
    // Two submission queues onto one completion queue that is not emptied: it never overflows
    const Memory ring = rig.host.allocate(12288);
    ASSERT_TRUE(admin({.opcode = kCreateCq, .prp1 = ring.iova, .dw10 = 3u << 16 | 4, .dw11 = 1}).ok());
    ASSERT_TRUE(
        admin({.opcode = kCreateSq, .prp1 = ring.iova + 4096, .dw10 = 15u << 16 | 4, .dw11 = 4u << 16 | 1}).ok());
    rig.host.watch_completions(ring.iova, 4096);
    for (unsigned i = 0; i < 10; ++i) ring.bytes[4096 + i * 64 + 4] = std::byte{1};  // flush of namespace 1
    rig.host.write32(0x1000 + 8 * 4, 10);
    rig.host.settle();
    EXPECT_EQ(ring.bytes[14] & std::byte{1}, std::byte{1});
    EXPECT_EQ(ring.bytes[2 * 16 + 14] & std::byte{1}, std::byte{1});
    EXPECT_EQ(ring.bytes[3 * 16 + 14] & std::byte{1}, std::byte{0}) << "three fit into a queue of four";
    for (const unsigned head : {3u, 2u, 1u, 0u}) {
        rig.host.write32(0x1004 + 8 * 4, head);
        rig.host.settle();
    }
    EXPECT_EQ(rig.host.repeated_completions, 0u);
}

TEST_F(NvmeIo, DelayedCompletions) {
    rig.function().faults().delay_completion_ns = 100'000;
    const std::int64_t before = rig.host.now_ns_;
    EXPECT_TRUE(io({.opcode = kFlush, .nsid = 1}).ok());
    EXPECT_GE(rig.host.now_ns_ - before, 100'000);
}

struct NvmeFile : testing::Test {
    std::string path = testing::TempDir() + "farlane_nvme_" + std::to_string(::getpid()) + ".img";
    NvmeFile() { std::filesystem::remove(path); }
    ~NvmeFile() override { std::filesystem::remove(path); }
};

TEST_F(NvmeFile, KeepsItsBytes) {
    std::vector<std::byte> expected(1u << 20);
    fill(expected, 6);
    {
        Rig rig({{"size", "2M"}, {"file", path}});
        Controller c(rig.host, {});
        EXPECT_TRUE(c.info().volatile_cache);
        const Memory m = c.allocate(1u << 20);
        std::memcpy(m.bytes.data(), expected.data(), expected.size());
        c.write(16, m, 0, m.bytes.size());
        c.flush();
        // Forced unit access, and the cache switched off: each waits for the storage
        EXPECT_TRUE(c.io({.opcode = kWrite, .nsid = 1, .dw10 = 300, .dw12 = 1u << 30}, m, 0, 4096).ok());
        EXPECT_TRUE(c.admin({.opcode = kSetFeatures, .dw10 = 6, .dw11 = 0}).ok());
        EXPECT_TRUE(c.io({.opcode = kWrite, .nsid = 1, .dw10 = 301}, m, 0, 4096).ok());
        EXPECT_TRUE(c.io({.opcode = kWriteZeroes, .nsid = 1, .dw10 = 300}).ok());
        const auto second = backend::make_device({"other", "nvme", {{"file", path}}}, *rig.memory);
        EXPECT_EQ(second.status(), Status::busy) << "one file, one device";
    }
    EXPECT_EQ(std::filesystem::file_size(path), 2u << 20);
    Rig rig({{"file", path}});
    Controller c(rig.host, {});
    EXPECT_EQ(c.space().bytes(), 2u << 20);
    const Memory m = c.allocate(1u << 20);
    c.read(16, m, 0, m.bytes.size());
    EXPECT_TRUE(same(m.bytes, expected));
    c.read(300, m, 0, 8192);
    for (const std::byte x : m.bytes.first(4096)) ASSERT_EQ(x, std::byte{0});
    EXPECT_TRUE(same(m.bytes.subspan(4096, 4096), std::span(expected).first(4096)));
}

TEST_F(NvmeFile, FailingStorageIsAStatus) {
    Rig rig({{"size", "2M"}, {"file", path}});
    Controller c(rig.host, {});
    const Memory m = c.allocate(4096);
    std::filesystem::resize_file(path, 4096);  // somebody cuts the file off
    EXPECT_EQ(c.io({.opcode = kRead, .nsid = 1, .dw10 = 100}, m, 0, 4096).code(), 0x281u);
    EXPECT_TRUE(c.io({.opcode = kRead, .nsid = 1, .dw10 = 0}, m, 0, 4096).ok());
}

TEST_F(NvmeFile, BadFilesAreRefused) {
    const auto memory = backend::process_memory();
    const auto make = [&](Options o) { return backend::make_device({"nvme0", "nvme", std::move(o)}, *memory); };
    EXPECT_EQ(make({{"file", path}}).status(), Status::not_found);
    EXPECT_EQ(make({{"file", "/"}, {"size", "1M"}}).ok(), false);
    EXPECT_EQ(make({{"file", "/dev/null"}, {"size", "1M"}}).status(), Status::invalid);
    std::ofstream(path) << "short";
    EXPECT_EQ(make({{"file", path}}).status(), Status::invalid);
    EXPECT_EQ(make({{"file", path}, {"size", "1M"}}).status(), Status::invalid);
    std::filesystem::remove(path);
    std::filesystem::create_symlink("/tmp/nowhere", path);
    EXPECT_EQ(make({{"file", path}, {"size", "1M"}}).status(), Status::denied);
}

}  // namespace
}  // namespace farlane::firmware::test
