// SPDX-License-Identifier: Apache-2.0
// Receives: DMA and interrupts of one device. Hands on: register accesses of a driver to it.
// Owns: the memory of a host, its mappings, and everything that is on its way. No threads, no clock.
#pragma once

#include <atomic>
#include <csetjmp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.hpp"
#include "nvme_user/access.hpp"

namespace farlane::firmware::test {

/// What the way to the host does on a bad day; everything repeatable from `seed`.
struct HostFaults {
    unsigned seed = 1;
    unsigned would_block_percent = 0;  ///< of DMA requests and interrupts
    bool place_relaxed_early = false;  ///< relaxed writes land before strict ones in front of them
    unsigned slow_percent = 0;         ///< of turns in which the host does nothing
    unsigned lag_percent = 0;          ///< of turns in which the device does not hear what was released
    bool answer_reads_in_any_order = false;
};

/// A host as a device sees it (HostPort) and as a driver sees it (Access). Like the fabric it executes posted
/// records in order, answers reads, and tells the device what it has released.
class FakeHost final : public backend::HostPort, public nvme_user::Access {
public:
    explicit FakeHost(const HostFaults& faults = {});
    ~FakeHost() override;

    /// The device that is attached; it is enabled as a host does (memory decoding, bus mastering, MSI-X).
    void attach(backend::Device& device, bool enable = true);
    void detach();
    /// The device's process is killed: of what was on its way to the host some arrives yet (`some`: a random part),
    /// the rest is lost. Memory and mappings stay. The memory of the device must still be there.
    void lose_device(bool some = false);
    /// A new life of the device. What Device::restored() says.
    [[nodiscard]] bool restore(backend::Device& device);
    [[nodiscard]] backend::Device* device() noexcept { return device_; }

    // --- host memory
    [[nodiscard]] nvme_user::Memory allocate(std::size_t bytes) override;
    void unmap(std::uint64_t iova);
    [[nodiscard]] std::byte* at(std::uint64_t iova) noexcept;

    // --- driver side; each call is a guarded call into the device
    [[nodiscard]] std::uint32_t read32(std::uint32_t offset) override;
    [[nodiscard]] std::uint64_t read64(std::uint32_t offset) override;
    void write32(std::uint32_t offset, std::uint32_t value) override;
    void write64(std::uint32_t offset, std::uint64_t value) override;
    [[nodiscard]] std::uint32_t config_read32(std::uint32_t offset);
    void config_write(std::uint32_t offset, std::uint32_t value, unsigned bytes);
    void enable_interrupts(unsigned count) override;
    void wait_interrupt(unsigned vector, std::chrono::milliseconds timeout) override;
    void progress() override;
    /// One turn: some of what is on its way arrives, the device works if it wants to. False = nothing is left.
    bool step();
    /// Turns until nothing is left; fails the test when that does not happen.
    void settle();

    // --- HostPort
    Status dma_write(std::uint64_t iova, std::span<const std::byte> source, bool relaxed, std::uint64_t cookie,
                     bool notify, std::uint32_t pasid) noexcept override;
    Status dma_read(std::uint64_t iova, std::span<std::byte> into, std::uint64_t cookie,
                    std::uint32_t pasid) noexcept override;
    Status interrupt(std::uint64_t address, std::uint32_t data) noexcept override;
    Status error(std::uint32_t severity, std::uint32_t source) noexcept override;
    [[nodiscard]] std::uint64_t writes_submitted() const noexcept override { return submitted_; }
    [[nodiscard]] std::uint64_t writes_released() const noexcept override { return told_released_; }
    void hurry() noexcept override { ++hurries; }
    [[nodiscard]] std::int64_t now_ns() const noexcept override { return now_ns_; }
    void wake() noexcept override { ++wakes; }

    // --- observation
    std::map<std::uint32_t, unsigned> interrupts;  ///< by message data
    std::vector<std::pair<std::uint32_t, std::uint32_t>> errors;
    std::uint64_t refused = 0, hurries = 0, max_record_bytes = 0, crossed_pages = 0, relaxed_writes = 0;
    std::atomic<std::uint64_t> wakes{0};
    std::int64_t now_ns_ = 1'000'000'000;
    bool hold_writes = false, hold_reads = false;  ///< nothing arrives while set
    unsigned deny_writes = 0, deny_reads = 0;      ///< so many are refused from now on
    Status read_status = Status::ok;               ///< how reads end
    [[nodiscard]] std::size_t writes_on_their_way() const noexcept { return writes_.size(); }
    [[nodiscard]] std::size_t reads_on_their_way() const noexcept { return reads_.size(); }
    HostFaults faults;

    /// Reports every 16-byte strict write into [iova, +bytes) whose phase bit does not change.
    void watch_completions(std::uint64_t iova, std::size_t bytes) { watched_.emplace_back(iova, bytes); }
    unsigned repeated_completions = 0;

    // --- killing the device inside one of its calls
    /// From inside a device call: ends it, as a kill would. on_killed() is called in its place.
    [[noreturn]] void kill_here() { std::longjmp(here_, 1); }
    std::function<void()> on_killed;

private:
    struct Write {
        std::uint64_t sequence, iova, cookie, checksum;
        const std::byte* source;
        std::vector<std::byte> copy;
        std::size_t bytes;
        bool relaxed, notify, placed, message;
        std::uint32_t data;
    };
    struct Read {
        std::uint64_t iova, cookie;
        std::span<std::byte> into;
    };
    struct Mapped {
        std::uint64_t iova;
        std::size_t bytes;
    };

    /// Calls into the device; a kill inside it ends the call and brings up the next life. True = killed.
    bool guarded(const std::function<void()>& call);
    [[nodiscard]] bool chance(unsigned percent) { return percent != 0 && random_() % 100 < percent; }
    [[nodiscard]] bool mapped(std::uint64_t iova, std::size_t bytes) const noexcept;
    void place(Write& w);
    void execute_writes();
    [[nodiscard]] std::vector<std::uint64_t> execute(std::size_t n);
    void answer_reads();
    void bar_write(std::uint32_t offset, std::span<const std::byte> data);

    std::mt19937 random_;
    backend::Device* device_ = nullptr;
    std::byte* memory_ = nullptr;
    std::vector<Mapped> maps_;
    std::vector<std::pair<std::uint64_t, std::size_t>> watched_;
    std::uint64_t next_offset_ = 0x1000;
    std::deque<Write> writes_;
    std::deque<Read> reads_;
    std::uint64_t submitted_ = 0, released_ = 0, told_released_ = 0;
    std::jmp_buf here_{};
    bool inside_ = false;
    unsigned idle_ = 0;
};

}  // namespace farlane::firmware::test
