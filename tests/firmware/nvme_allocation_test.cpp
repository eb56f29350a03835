// SPDX-License-Identifier: Apache-2.0
// Receives: a load of reads and writes. Hands on: whether the controller allocated anything for it.
// Owns: operator new of this program, and a host port that allocates nothing itself.
#include <cstdlib>
#include <new>

#include "firmware/nvme_fixture.hpp"

namespace {
std::size_t allocations = 0;
}

void* operator new(std::size_t n) {
    ++allocations;
    if (void* p = std::malloc(n)) return p;
    throw std::bad_alloc();
}
void* operator new(std::size_t n, std::align_val_t a) {
    ++allocations;
    const auto align = static_cast<std::size_t>(a);
    if (void* p = std::aligned_alloc(align, (n + align - 1) / align * align)) return p;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
    std::free(p);
}

namespace farlane::firmware::test {
namespace {

/// Memory at [0, 1 MiB); everything arrives at once and is released in the next turn.
class PlainPort final : public backend::HostPort {
public:
    Status dma_write(std::uint64_t iova, std::span<const std::byte> source, bool, std::uint64_t cookie, bool notify,
                     std::uint32_t) noexcept override {
        if (iova + source.size() > sizeof memory) return Status::out_of_bounds;
        if (notify && events == std::size(cookies)) return Status::would_block;
        std::memcpy(memory + iova, source.data(), source.size());
        ++writes;
        if (notify) cookies[events++] = {cookie, false};
        return Status::ok;
    }
    Status dma_read(std::uint64_t iova, std::span<std::byte> into, std::uint64_t cookie,
                    std::uint32_t) noexcept override {
        if (iova + into.size() > sizeof memory) return Status::out_of_bounds;
        if (events == std::size(cookies)) return Status::would_block;
        std::memcpy(into.data(), memory + iova, into.size());
        cookies[events++] = {cookie, true};
        return Status::ok;
    }
    Status interrupt(std::uint64_t, std::uint32_t) noexcept override { return Status::ok; }
    Status error(std::uint32_t, std::uint32_t) noexcept override { return Status::ok; }
    std::uint64_t writes_submitted() const noexcept override { return writes; }
    std::uint64_t writes_released() const noexcept override { return writes; }
    void hurry() noexcept override {}
    std::int64_t now_ns() const noexcept override { return 1; }
    void wake() noexcept override {}

    void turn(backend::Device& d) {
        const std::size_t n = events;
        Event due[256];
        std::copy_n(cookies, n, due);
        events = 0;
        for (std::size_t i = 0; i < n; ++i)
            due[i].read ? d.read_done(due[i].cookie, Status::ok) : d.released(due[i].cookie);
        (void)d.poll();
    }

    struct Event {
        std::uint64_t cookie;
        bool read;
    };
    alignas(4096) std::byte memory[1u << 20] = {};
    Event cookies[256] = {};
    std::size_t events = 0;
    std::uint64_t writes = 0;
};

// Queues at 4096 (admin), 12288 (I/O); data from 64 KiB on.
struct Bench {
    std::unique_ptr<backend::Memory> memory = backend::process_memory();
    std::unique_ptr<backend::Device> device =
        backend::make_device({"nvme0", "nvme", {{"size", "16M"}}}, *memory).take();
    std::unique_ptr<PlainPort> port = std::make_unique<PlainPort>();
    unsigned tail[2] = {0, 0};

    void write(std::uint32_t offset, std::uint32_t v) {
        const fl_le32 le(v);
        (void)device->bar_write(0, offset, std::as_bytes(std::span{&le, 1}), 0xf);
    }
    void submit(unsigned q, std::uint8_t op, std::uint64_t prp1, std::uint32_t dw10, std::uint32_t dw11,
                std::uint32_t dw12 = 0, std::uint64_t prp2 = 0) {
        std::uint32_t e[16] = {op, 1};
        std::memcpy(&e[6], &prp1, 8);
        std::memcpy(&e[8], &prp2, 8);
        e[10] = dw10;
        e[11] = dw11;
        e[12] = dw12;
        std::memcpy(port->memory + 4096 + q * 16384 + tail[q] * 64, e, sizeof e);
        tail[q] = (tail[q] + 1) % 64;
        write(0x1000 + q * 8, tail[q]);
    }
    // The host consumes as fast as completions come
    void settle() {
        for (unsigned i = 0; i < 40; ++i) port->turn(*device);
        for (unsigned q = 0; q < 2; ++q) write(0x1004 + q * 8, tail[q]);
    }
    Bench() {
        device->attached(*port);
        const std::byte command[2] = {std::byte{6}, std::byte{0}};
        (void)device->config_write(4, command, 3);
        write(0x24, 63u << 16 | 63);
        write(0x28, 4096);
        write(0x30, 8192);
        write(0x14, 0x00460001);
        submit(0, nvme_user::kCreateCq, 24576, 63u << 16 | 1, 3);
        settle();
        submit(0, nvme_user::kCreateSq, 4096 + 16384, 63u << 16 | 1, 1u << 16 | 1);
        settle();
    }
    ~Bench() { device->detached(); }
};

TEST(NvmeAllocation, NoneInSteadyState) {
    Bench b;
    const auto round = [&b] {
        for (unsigned i = 0; i < 16; ++i) b.submit(1, nvme_user::kWrite, 65536 + i * 4096, i, 0);
        b.settle();
        for (unsigned i = 0; i < 16; ++i)
            b.submit(1, nvme_user::kRead, 65536 + 16384 + i * 8192, i, 0, 1, 65536 + 20480 + i * 8192);
        b.submit(1, nvme_user::kFlush, 0, 0, 0);
        b.submit(1, nvme_user::kWriteZeroes, 0, 100, 0, 7);
        b.settle();
    };
    round();
    const std::uint64_t writes = b.port->writes;
    const std::size_t before = allocations;
    for (unsigned i = 0; i < 50; ++i) round();
    EXPECT_EQ(allocations, before);
    EXPECT_GE(b.port->writes - writes, 50u * (34 + 32)) << "completions and pages did arrive";
}

}  // namespace
}  // namespace farlane::firmware::test
