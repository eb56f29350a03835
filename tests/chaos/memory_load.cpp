// SPDX-License-Identifier: Apache-2.0
// Receives: an attached accelerator. Hands on: verified memory behind its BAR. Owns: the attachment, a model.
#include "chaos/memory_load.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include <farlane/uapi/accel.h>

#include "chaos/patience.hpp"

namespace farlane::chaos {
namespace {

constexpr unsigned kRegisters = 0, kMemory = 2;
constexpr std::size_t kPageBytes = 4096, kPages = 64, kWordBytes = 8, kSourcePages = 16, kMostAtOnce = 12;
constexpr std::uint64_t kFirst = 1 << 20;

std::uint64_t pattern(std::size_t page, std::uint64_t generation, std::size_t word) {
    if (generation == 0) return 0;
    return word == 0 ? generation : (generation << 16 | page) * 0x9e3779b97f4a7c15 + word * 0xd1342543de82ef95;
}

void fill(std::span<std::byte> bytes, std::size_t page, std::uint64_t generation) {
    for (std::size_t i = 0; i < kPageBytes / kWordBytes; ++i) {
        const fl_le64 word(pattern(page, generation, i));
        std::memcpy(bytes.data() + i * kWordBytes, &word, sizeof word);
    }
}

}  // namespace

MemoryLoad::MemoryLoad(Fabric& fabric, Chronicle& chronicle, Milliseconds completion_timeout, std::uint64_t seed)
    : Load("accel0", chronicle, completion_timeout),
      chronicle_(chronicle),
      device_(patiently([&] { return fabric.attach("accel0"); })),
      random_(seed),
      source_(device_.domain().allocate(kSourcePages * kPageBytes)),
      page_(kPageBytes),
      generation_(kPages) {
    wait_ready();
}

// For what may be asked twice. What is outstanding when it turns out that the device's state is gone is aborted
// (docs/wire.md, "Resumption"), also when it began after the target's end. An answer says that every end before its
// question is known; that a reset was heard does not, for it may be that of the end before.
void MemoryLoad::insist(const std::function<void()>& call) {
    (void)reader().insist([&] {
        for (;;) {
            const Time begun = Clock::now();
            try {
                call();
                settled_ = begun;
                return std::uint64_t{0};
            } catch (const Error& e) {
                if (e.status() != Status::completer_abort || !chronicle_.daemon_ended_since(settled_)) throw;
                ++aborted_;
            }
        }
    });
}

// After power-on, it scrubs its memory first.
void MemoryLoad::wait_ready() {
    insist([this] { device_.enable(); });
    std::uint32_t status = 0;
    while ((status & FL_ACCEL_STATUS_READY) == 0)
        insist([&] { status = device_.read32(kRegisters, offsetof(fl_accel_registers, status)); });
}

void MemoryLoad::step() {
    try {
        work();
    } catch (const Error& e) {
        if (e.status() != Status::device_reset) throw;
        start_over();
    }
}

// Relaxed writes may pass any other: two to one page would have no order. So each page once, then a look, which pushes.
void MemoryLoad::work() {
    const std::size_t first = random_.below(kPages), count = random_.between(1, kMostAtOnce);
    for (std::size_t i = 0; i < count; ++i) write((first + i) % kPages);
    for (std::size_t i = 0; i < count; ++i) check((first + i) % kPages);
    check(random_.below(kPages));
}

void MemoryLoad::write(std::size_t page) {
    const std::uint64_t at = kFirst + page * kPageBytes;
    generation_[page] = ++last_;
    ++written_;
    if (random_.percent(60)) {
        fill(page_, page, last_);
        return device_.write(kMemory, at, page_, random_.percent(50));
    }
    if (source_used_ == kSourcePages) {
        insist([this] { device_.flush(); });
        source_used_ = 0;
    }
    const std::size_t from = source_used_++ * kPageBytes;
    fill(source_.bytes().subspan(from, kPageBytes), page, last_);
    device_.write_from(kMemory, at, source_, from, kPageBytes);
}

void MemoryLoad::check(std::size_t page) {
    insist([&] { device_.read(kMemory, kFirst + page * kPageBytes, page_); });
    ++read_;
    for (std::size_t i = 0; i < kPageBytes / kWordBytes; ++i) {
        fl_le64 got;
        std::memcpy(&got, page_.data() + i * kWordBytes, sizeof got);
        if (got.get() == pattern(page, generation_[page], i)) continue;
        throw Broken("page " + std::to_string(page) + " was written last with generation " +
                     std::to_string(generation_[page]) + ", and word " + std::to_string(i) + " of it is " +
                     std::to_string(got.get()) +
                     (generation_[page] == 0 ? "; it should be zero since the device was reset" : ""));
    }
}

// Its state is gone. Nothing that was written before may be there, nor come later. Until that is acknowledged it may be
// said again: the initiator's farlaned may end meanwhile, and its next life does not know what was heard.
void MemoryLoad::start_over() {
    ++losses_;
    for (;;) {
        ++resets_;
        try {
            patiently([this] { device_.acknowledge_reset(); });
            wait_ready();
            std::ranges::fill(generation_, 0);
            source_used_ = 0;
            for (std::size_t page = 0; page < kPages; ++page) check(page);
            return;
        } catch (const Error& e) {
            if (e.status() != Status::device_reset) throw;
        }
    }
}

void MemoryLoad::verify(const Ends& target) {
    for (bool whole = false; !whole;) {
        try {
            for (std::size_t page = 0; page < kPages; ++page) check(page);
            whole = true;
        } catch (const Error& e) {  // that of the last fault may be noticed only now
            if (e.status() != Status::device_reset) throw;
            start_over();
        }
    }
    if (losses_ > target.all())
        throw Broken(std::to_string(losses_) + " times it said that its state is gone, and its farlaned ended " +
                     std::to_string(target.all()) + " times");
}

nlohmann::json MemoryLoad::counts() const {
    return {{"pages_written", written_.load()},
            {"pages_read", read_.load()},
            {"resets", resets_.load()},
            {"reads_aborted", aborted_.load()}};
}

}  // namespace farlane::chaos
