// SPDX-License-Identifier: Apache-2.0
// Receives: an embedded fabric at work. Hands on: what it allocates and how much memory it takes.
// Owns: the process-wide allocation counter.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include <farlane/fabric.hpp>

#include "lane/scratch_device.hpp"
#include "lane/target_thread.hpp"

namespace {
std::atomic<std::uint64_t> allocations{0};
}

#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // all of them end in malloc and free here

void* operator new(std::size_t bytes) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* p = std::malloc(bytes)) return p;
    throw std::bad_alloc();
}
void* operator new(std::size_t bytes, std::align_val_t align) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    const auto a = static_cast<std::size_t>(align);
    if (void* p = std::aligned_alloc(a, (bytes + a - 1) / a * a)) return p;
    throw std::bad_alloc();
}
void operator delete(void* p) noexcept {
    std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
    std::free(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
    std::free(p);
}

namespace farlane {
namespace {

using namespace std::chrono_literals;
using D = test::ScratchDevice;

std::uint64_t resident_kib() {
    std::FILE* f = std::fopen("/proc/self/status", "r");
    char line[256];
    unsigned long long kib = 0;
    while (std::fgets(line, sizeof line, f) != nullptr)
        if (std::sscanf(line, "VmRSS: %llu", &kib) == 1) break;
    std::fclose(f);
    return kib;
}

class Footprint : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        const std::string port = std::string("loop:footprint?mtu=") + GetParam();
        target_ = std::make_unique<test::TargetThread>(port);
        auto device = std::make_unique<D>();
        std::memset(device->memory().data(), 1, device->memory().size());  // resident before anything is measured
        target_->add("scratch0", std::move(device));
        target_->start();
        FabricOptions o;
        o.provider = ProviderKind::embedded;
        o.port = port;
        o.progress = Progress::caller;
        o.connect_timeout = 20s;
        fabric_.emplace(Fabric::open(o));
        device_ = fabric_->attach("scratch0");
        device_.enable();
        device_.enable_interrupts(1);
        buffer_ = device_.domain().allocate(D::kBar2Bytes);
        std::memset(buffer_.data(), 2, buffer_.size());
        mapping_ = device_.domain().map(buffer_, DmaDirection::bidirectional);
    }
    void transfer(std::uint64_t go, bool relaxed) {
        device_.write64(0, D::kRelaxed, relaxed ? 1 : 0);
        device_.write64(0, D::kIova, mapping_.iova());
        device_.write64(0, D::kLength, buffer_.size());
        device_.write64(0, D::kMemory, 0);
        device_.write64(0, D::kGo, go);
        ASSERT_TRUE(device_.wait_interrupt(0, 60s));
    }
    void work() {
        for (std::uint64_t i = 0; i < 200; ++i) {
            device_.write64(0, D::kScratch, i);
            ASSERT_EQ(device_.read64(0, D::kScratch), i);
        }
        transfer(1, true);
        transfer(1, false);
        transfer(2, false);
        device_.write(2, 0, std::span(bytes_), false);
        device_.write_from(2, 0, buffer_, 0, buffer_.size());
        device_.flush();
        device_.read(2, 0, std::span(bytes_));
    }
    std::unique_ptr<test::TargetThread> target_;
    std::optional<Fabric> fabric_;
    DmaBuffer buffer_;
    Mapping mapping_;
    Device device_;
    std::vector<std::byte> bytes_ = std::vector<std::byte>(1 << 20);
};

TEST_P(Footprint, NothingIsAllocatedOnTheHotPath) {
    // Windows grow as they are used, and how much of them is used depends on the scheduler: what
    // counts is that work without any allocation is reached, and lasts.
    int quiet = 0;
    for (int round = 0; round < 40 && quiet < 5; ++round) {
        const auto before = allocations.load();
        work();
        quiet = allocations.load() == before ? quiet + 1 : 0;
    }
    EXPECT_EQ(quiet, 5);
}

TEST_P(Footprint, SixtyFourMebibytesCostLessThanSixteen) {
    const auto before = resident_kib();
    for (int i = 0; i < 8; ++i) transfer(1, true);   // 64 MiB to the host
    for (int i = 0; i < 8; ++i) transfer(2, false);  // and 64 MiB from it
    const auto extra = resident_kib() - std::min(before, resident_kib());
    std::printf("extra resident memory of both ends: %llu KiB\n", static_cast<unsigned long long>(extra));
    EXPECT_LT(extra, 16U * 1024);
}

INSTANTIATE_TEST_SUITE_P(Frames, Footprint, testing::Values("9600", "1500"),
                         [](const auto& i) { return "Mtu" + std::string(i.param); });

}  // namespace
}  // namespace farlane
