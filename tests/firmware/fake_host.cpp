// SPDX-License-Identifier: Apache-2.0
// Receives: DMA and interrupts of one device. Hands on: accesses of a driver. Owns: a host (fake_host.hpp).
#include "firmware/fake_host.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <farlane/uapi/types.h>

namespace farlane::firmware::test {
namespace {

constexpr std::uint64_t kIovaBase = 0x100000000;
constexpr std::size_t kMemoryBytes = 256u << 20;  // sparse
constexpr std::uint64_t kMessageAddress = 0xfee00000;

std::uint64_t checksum(std::span<const std::byte> b) {
    std::uint64_t h = 14695981039346656037u;
    for (const std::byte x : b) h = (h ^ std::to_integer<std::uint64_t>(x)) * 1099511628211u;
    return h;
}

}  // namespace

FakeHost::FakeHost(const HostFaults& f) : faults(f), random_(f.seed) {
    void* p = ::mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::runtime_error("no memory for a host");
    memory_ = static_cast<std::byte*>(p);
}

FakeHost::~FakeHost() {
    if (device_ != nullptr) detach();
    ::munmap(memory_, kMemoryBytes);
}

void FakeHost::attach(backend::Device& device, bool enable) {
    device_ = &device;
    device.attached(*this);
    if (enable) config_write(0x04, 0x0006, 2);
}

void FakeHost::detach() {
    backend::Device* d = device_;
    device_ = nullptr;
    d->detached();
    writes_.clear();
    reads_.clear();
}

void FakeHost::lose_device(bool some) {
    device_ = nullptr;
    if (some) (void)execute(random_() % (writes_.size() + 1));
    writes_.clear();
    reads_.clear();
    // The origin goes on where the host stands
    submitted_ = told_released_ = released_;
}

bool FakeHost::restore(backend::Device& device) {
    device_ = &device;
    bool whole = false;
    const bool killed = guarded([&] { whole = device.restored(*this, released_); });
    return killed || whole;
}

bool FakeHost::guarded(const std::function<void()>& call) {
    if (inside_) {  // on_killed() bringing up the next life inside another call
        call();
        return false;
    }
    inside_ = true;
    if (setjmp(here_) == 0) {
        call();
        inside_ = false;
        return false;
    }
    inside_ = false;
    on_killed();
    return true;
}

nvme_user::Memory FakeHost::allocate(std::size_t bytes) {
    const std::size_t whole = (bytes + 4095) & ~std::size_t{4095};
    if (next_offset_ + whole + 4096 > kMemoryBytes) throw Error(Status::no_memory, "fake host is full");
    const std::uint64_t iova = kIovaBase + next_offset_;
    maps_.push_back({iova, whole});
    std::byte* p = memory_ + next_offset_;
    next_offset_ += whole + 4096;  // a hole behind every mapping
    return {{p, whole}, iova, nullptr};
}

void FakeHost::unmap(std::uint64_t iova) {
    std::erase_if(maps_, [iova](const Mapped& m) { return m.iova == iova; });
}

std::byte* FakeHost::at(std::uint64_t iova) noexcept {
    return memory_ + (iova - kIovaBase);
}

bool FakeHost::mapped(std::uint64_t iova, std::size_t bytes) const noexcept {
    return std::any_of(maps_.begin(), maps_.end(), [&](const Mapped& m) {
        return iova >= m.iova && iova - m.iova <= m.bytes && bytes <= m.bytes - (iova - m.iova);
    });
}

std::uint32_t FakeHost::read32(std::uint32_t offset) {
    fl_le32 v;
    Status s = Status::ok;
    do {  // a read in doubt after a kill is made again by this driver
        if (device_ == nullptr) return 0xffffffff;
    } while (guarded([&] { s = device_->bar_read(0, offset, std::as_writable_bytes(std::span{&v, 1})); }));
    // A completion pushes what the device has written before it (PCIe 6.0, 2.4.1)
    if (!hold_writes) execute_writes();
    return s == Status::ok ? v.get() : 0xffffffff;
}

std::uint64_t FakeHost::read64(std::uint32_t offset) {
    return std::uint64_t{read32(offset + 4)} << 32 | read32(offset);
}

void FakeHost::bar_write(std::uint32_t offset, std::span<const std::byte> data) {
    // A posted write in doubt after a kill is repeated
    while (device_ != nullptr && guarded([&] { (void)device_->bar_write(0, offset, data, 0xff); })) {
    }
}

void FakeHost::write32(std::uint32_t offset, std::uint32_t value) {
    const fl_le32 v(value);
    bar_write(offset, std::as_bytes(std::span{&v, 1}));
}

void FakeHost::write64(std::uint32_t offset, std::uint64_t value) {
    const fl_le64 v(value);
    bar_write(offset, std::as_bytes(std::span{&v, 1}));
}

std::uint32_t FakeHost::config_read32(std::uint32_t offset) {
    fl_le32 v;
    EXPECT_EQ(device_->config_read(offset, std::as_writable_bytes(std::span{&v, 1})), Status::ok);
    return v.get();
}

void FakeHost::config_write(std::uint32_t offset, std::uint32_t value, unsigned bytes) {
    const fl_le32 v(value);
    EXPECT_EQ(device_->config_write(offset, std::as_bytes(std::span{&v, 1}).first(bytes), 0xf >> (4 - bytes)),
              Status::ok);
}

void FakeHost::enable_interrupts(unsigned count) {
    // The MSI-X capability is found by walking the list, as a driver does
    std::uint32_t cap = config_read32(0x34) & 0xff;
    while (cap != 0 && (config_read32(cap) & 0xff) != 0x11) cap = config_read32(cap) >> 8 & 0xff;
    ASSERT_NE(cap, 0u);
    const std::uint32_t table = config_read32(cap + 4) & ~7u;
    for (unsigned v = 0; v < count; ++v) {
        write32(table + v * 16, kMessageAddress);
        write32(table + v * 16 + 4, 0);
        write32(table + v * 16 + 8, v);
        write32(table + v * 16 + 12, 0);
    }
    config_write(cap + 2, 0x8000, 2);
}

void FakeHost::wait_interrupt(unsigned vector, std::chrono::milliseconds) {
    for (unsigned turns = 0; turns < 100000 && interrupts[vector] == 0; ++turns)
        if (!step()) break;
    interrupts[vector] = 0;
}

Status FakeHost::dma_write(std::uint64_t iova, std::span<const std::byte> source, bool relaxed, std::uint64_t cookie,
                           bool notify, std::uint32_t) noexcept {
    max_record_bytes = std::max<std::uint64_t>(max_record_bytes, source.size());
    if ((iova & 4095) + source.size() > 4096) ++crossed_pages;
    if (deny_writes != 0 && --deny_writes + 1 != 0) {
        ++refused;
        return Status::out_of_bounds;
    }
    if (source.size() > 4096 || !mapped(iova, source.size())) {
        ++refused;
        return Status::out_of_bounds;
    }
    if (chance(faults.would_block_percent)) return Status::would_block;
    if (relaxed) ++relaxed_writes;
    Write w{++submitted_, iova,  cookie, checksum(source), source.data(), {}, source.size(), relaxed, notify,
            false,        false, 0};
    if (source.size() <= 64) {
        w.copy.assign(source.begin(), source.end());
        w.source = nullptr;
    }
    writes_.push_back(std::move(w));
    return Status::ok;
}

Status FakeHost::dma_read(std::uint64_t iova, std::span<std::byte> into, std::uint64_t cookie, std::uint32_t) noexcept {
    max_record_bytes = std::max<std::uint64_t>(max_record_bytes, into.size());
    if ((iova & 4095) + into.size() > 4096) ++crossed_pages;
    if (deny_reads != 0) {
        --deny_reads;
        ++refused;
        return Status::out_of_bounds;
    }
    if (into.size() > 4096 || !mapped(iova, into.size())) {
        ++refused;
        return Status::out_of_bounds;
    }
    if (chance(faults.would_block_percent)) return Status::would_block;
    reads_.push_back({iova, cookie, into});
    return Status::ok;
}

Status FakeHost::interrupt(std::uint64_t address, std::uint32_t data) noexcept {
    if (chance(faults.would_block_percent)) return Status::would_block;
    if ((address & ~std::uint64_t{0xfffff}) != kMessageAddress) {
        ++refused;
        return Status::out_of_bounds;
    }
    writes_.push_back({++submitted_, address, 0, 0, nullptr, {}, 0, false, false, false, true, data});
    return Status::ok;
}

Status FakeHost::error(std::uint32_t severity, std::uint32_t source) noexcept {
    errors.emplace_back(severity, source);
    return Status::ok;
}

void FakeHost::place(Write& w) {
    if (w.placed) return;
    w.placed = true;
    const std::span<const std::byte> source = w.source != nullptr ? std::span(w.source, w.bytes) : std::span(w.copy);
    EXPECT_EQ(checksum(source), w.checksum) << "a source was changed before it was released";
    if (!mapped(w.iova, w.bytes)) return;  // unmapped meanwhile
    std::byte* to = at(w.iova);
    for (const auto& [iova, bytes] : watched_) {
        if (w.iova < iova || w.iova >= iova + bytes || w.bytes != 16) continue;
        if (((to[14] ^ source[14]) & std::byte{1}) == std::byte{0}) ++repeated_completions;
    }
    std::memcpy(to, source.data(), w.bytes);
}

// Cookies of those whose release the device wants to hear of.
std::vector<std::uint64_t> FakeHost::execute(std::size_t n) {
    std::vector<std::uint64_t> notify;
    for (; n != 0; --n) {
        Write& w = writes_.front();
        if (w.message)
            ++interrupts[w.data];
        else
            place(w);
        released_ = w.sequence;
        if (w.notify) notify.push_back(w.cookie);
        writes_.pop_front();
    }
    return notify;
}

void FakeHost::execute_writes() {
    if (faults.place_relaxed_early)
        for (Write& w : writes_)
            if (w.relaxed && chance(50)) place(w);
    const std::size_t all = writes_.size();
    const auto notify = execute(faults.slow_percent != 0 && all != 0 ? random_() % (all + 1) : all);
    if (!chance(faults.lag_percent)) told_released_ = released_;
    for (const std::uint64_t cookie : notify)
        if (device_ != nullptr && guarded([&] { device_->released(cookie); })) return;
}

void FakeHost::answer_reads() {
    for (std::size_t n = reads_.size(); n != 0 && !reads_.empty(); --n) {
        const std::size_t which = faults.answer_reads_in_any_order ? random_() % reads_.size() : 0;
        if (chance(faults.slow_percent)) continue;
        const Read r = reads_[which];
        reads_.erase(reads_.begin() + static_cast<std::ptrdiff_t>(which));
        const bool there = mapped(r.iova, r.into.size());
        if (there && read_status == Status::ok)
            std::memcpy(r.into.data(), at(r.iova), r.into.size());
        else
            std::memset(r.into.data(), 0xff, r.into.size());
        const Status s = there ? read_status : Status::unsupported_request;
        if (device_ == nullptr || guarded([&] { device_->read_done(r.cookie, s); })) return;
    }
}

// A device that has nothing to do will not have later either, unless a thread of its storage is at work.
void FakeHost::progress() {
    idle_ = step() ? 0 : idle_ + 1;
    if (idle_ < 1000) return;
    if (idle_ > 6000) throw Error(Status::timeout, "nothing moves any more");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

bool FakeHost::step() {
    now_ns_ += 1000;
    const bool something = !writes_.empty() || !reads_.empty();
    if (!chance(faults.slow_percent)) {
        if (!hold_writes) execute_writes();
        if (!hold_reads) answer_reads();
    }
    if (device_ == nullptr) return false;
    bool did = false;
    if (device_->busy()) guarded([&] { did = device_->poll(); });
    return did || something || (device_ != nullptr && device_->busy());
}

void FakeHost::settle() {
    for (unsigned turns = 0; turns < 1000000; ++turns)
        if (!step() && told_released_ == released_) return;
    FAIL() << "the device does not come to rest";
}

}  // namespace farlane::firmware::test
