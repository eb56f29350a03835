// SPDX-License-Identifier: Apache-2.0
// Receives: accesses of an initiator. Hands on: DMA and interrupts on request. Owns: two BARs.
// The smallest device that can do everything a function can: BAR0 registers, BAR2 memory.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "backend/backend.hpp"

namespace farlane::test {

class ScratchDevice : public backend::Device {
public:
    // BAR0
    static constexpr std::uint64_t kIdent = 0x00;  // read: kIdentValue
    static constexpr std::uint64_t kScratch = 0x08;
    static constexpr std::uint64_t kReads = 0x10;  // read: how often it has been read (not idempotent)
    static constexpr std::uint64_t kIova = 0x18;
    static constexpr std::uint64_t kLength = 0x20;
    static constexpr std::uint64_t kMemory = 0x28;   // offset in BAR2
    static constexpr std::uint64_t kGo = 0x30;       // 1 = memory to host, 2 = host to memory, 3 = interrupt only
    static constexpr std::uint64_t kDone = 0x38;     // transfers done
    static constexpr std::uint64_t kRefused = 0x40;  // DMA requests refused
    static constexpr std::uint64_t kRelaxed = 0x48;  // 1 = relaxed writes
    static constexpr std::uint64_t kCounter = 0x50;  // each write must be the value before + 1
    static constexpr std::uint64_t kCounterErrors = 0x58;
    static constexpr std::uint64_t kRepeat = 0x60;  // a transfer is done this often (0 = once)
    static constexpr std::uint64_t kMsixTable = 0x800;
    static constexpr std::uint64_t kIdentValue = 0x46524c414e450001;
    static constexpr std::size_t kBar0Bytes = 4096;
    static constexpr std::size_t kBar2Bytes = 8U << 20;
    static constexpr unsigned kVectors = 4;
    bool keeps_state = false;  ///< over the end of its target

    ScratchDevice() : memory_(kBar2Bytes) {
        desc_.vendor_id.set(0x1d1d);
        desc_.device_id.set(0x0001);
        desc_.class_code.set(0xff000001);
        desc_.msix_vectors.set(kVectors);
        desc_.bar[0].size_bytes.set(kBar0Bytes);
        desc_.bar[2].size_bytes.set(kBar2Bytes);
        desc_.bar[2].flags.set(FL_BAR_64BIT | FL_BAR_PREFETCHABLE);
        std::strcpy(desc_.model, "scratch device");
        put16(0x00, 0x1d1d);
        put16(0x02, 0x0001);
        put16(0x06, 0x10);
        config_[0x34] = 0x40;
        put16(0x40, 0x0011);  // MSI-X, end of list
        put16(0x42, kVectors - 1);
        config_[0x44] = 0x00;
        config_[0x45] = 0x08;  // table: BAR0 + 0x800
    }

    const fl_function_desc& describe() const noexcept override { return desc_; }

    Status config_read(std::uint32_t offset, std::span<std::byte> out) noexcept override {
        std::memcpy(out.data(), config_.data() + offset, out.size());
        return Status::ok;
    }
    Status config_write(std::uint32_t offset, std::span<const std::byte> in, std::uint8_t enables) noexcept override {
        for (std::size_t i = 0; i < in.size(); ++i)
            if ((enables >> i & 1) != 0 && writable(offset + static_cast<std::uint32_t>(i)))
                config_[offset + i] = std::to_integer<std::uint8_t>(in[i]);
        return Status::ok;
    }
    Status bar_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept override {
        if (bar != 0) return Status::unsupported_request;
        if (offset == kReads) ++registers_[kReads / 8];
        std::memcpy(out.data(), reinterpret_cast<const std::byte*>(registers_.data()) + offset, out.size());
        return Status::ok;
    }
    Status bar_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                     std::uint8_t) noexcept override {
        if (bar == 2) {
            std::memcpy(memory_.data() + offset, in.data(), in.size());
            return Status::ok;
        }
        const auto before = registers_[kCounter / 8];
        std::memcpy(reinterpret_cast<std::byte*>(registers_.data()) + offset, in.data(), in.size());
        if (offset == kCounter && registers_[kCounter / 8] != before + 1) ++registers_[kCounterErrors / 8];
        if (offset == kGo) start();
        return Status::ok;
    }
    std::span<std::byte> bar_memory(unsigned bar) noexcept override {
        return bar == 2 ? std::span(memory_) : std::span<std::byte>{};
    }

    void attached(backend::HostPort& port) noexcept override { port_ = &port; }
    void detached() noexcept override {
        port_ = nullptr;
        first_ = last_;
        in_flight_ = 0;
        registers_.fill(0);
        registers_[0] = kIdentValue;
        put16(4, 0);
        put16(0x42, kVectors - 1);
    }
    void reset() noexcept override {}
    bool restored(backend::HostPort& port, std::uint64_t) noexcept override {
        port_ = keeps_state ? &port : nullptr;
        return keeps_state;
    }

    bool poll() noexcept override {
        bool did = false;
        while (first_ != last_ && step(jobs_[first_ % kJobs])) {
            ++first_;
            did = true;
        }
        return did;
    }
    [[nodiscard]] bool busy() const noexcept override { return port_ != nullptr && first_ != last_; }
    void read_done(std::uint64_t, Status status) noexcept override {
        if (status != Status::ok) ++registers_[kRefused / 8];
        finish_part();
    }
    void released(std::uint64_t) noexcept override { finish_part(); }
    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const override {
        each("transfers", registers_[kDone / 8]);
    }

    [[nodiscard]] std::span<std::byte> memory() noexcept { return memory_; }

private:
    static constexpr unsigned kJobs = 64;
    struct Job {
        std::uint64_t go = 0, iova = 0, length = 0, at = 0, repeat = 1;
        std::uint64_t sent = 0;
    };

    void put16(std::size_t at, unsigned v) noexcept {
        config_[at] = static_cast<std::uint8_t>(v);
        config_[at + 1] = static_cast<std::uint8_t>(v >> 8);
    }
    static bool writable(std::uint32_t at) noexcept { return at == 4 || at == 5 || at == 0x43; }

    void start() noexcept {
        const auto r = [this](std::uint64_t at) { return registers_[at / 8]; };
        if (r(kGo) != 3 && (r(kMemory) >= kBar2Bytes || r(kLength) > kBar2Bytes - r(kMemory))) return;
        if (last_ - first_ < kJobs)
            jobs_[last_++ % kJobs] = {r(kGo), r(kIova), r(kLength), r(kMemory), std::max<std::uint64_t>(r(kRepeat), 1)};
    }

    // One job is started when all its parts are on their way; the interrupt follows the last release.
    bool step(Job& j) noexcept {
        if (j.go == 3) {
            raise();
            return true;
        }
        while (j.sent < j.length) {
            const auto n = std::min<std::uint64_t>(4096, j.length - j.sent);
            const auto part = std::span(memory_).subspan(j.at + j.sent, n);
            const auto status = j.go == 1
                                    ? port_->dma_write(j.iova + j.sent, part, registers_[kRelaxed / 8] != 0, 1, true)
                                    : port_->dma_read(j.iova + j.sent, part, 1);
            if (status == Status::would_block) return false;
            if (status == Status::ok)
                ++in_flight_;
            else
                ++registers_[kRefused / 8];
            j.sent += n;
            if (j.sent == j.length && --j.repeat != 0) j.sent = 0;
        }
        last_sent_ = true;
        port_->hurry();
        if (in_flight_ == 0) done();
        return true;
    }
    void finish_part() noexcept {
        if (in_flight_ > 0 && --in_flight_ == 0 && last_sent_) done();
    }
    void done() noexcept {
        last_sent_ = false;
        ++registers_[kDone / 8];
        raise();
    }
    void raise() noexcept {
        if (port_ == nullptr || (config_[0x43] & 0x80) == 0) return;
        const auto base = kMsixTable / 8;
        const auto address = registers_[base];
        (void)port_->interrupt(address, static_cast<std::uint32_t>(registers_[base + 1]));
    }

    fl_function_desc desc_{};
    std::array<std::uint8_t, 4096> config_{};
    std::array<std::uint64_t, kBar0Bytes / 8> registers_{kIdentValue};
    std::vector<std::byte> memory_;
    backend::HostPort* port_ = nullptr;
    std::array<Job, kJobs> jobs_{};
    unsigned first_ = 0, last_ = 0;
    unsigned in_flight_ = 0;
    bool last_sent_ = false;
};

}  // namespace farlane::test
