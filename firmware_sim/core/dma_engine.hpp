// SPDX-License-Identifier: Apache-2.0
// Receives: transfers of any length from a device. Hands on: memory reads and writes of at most 4096 bytes to
// the host port, and outcomes to the device. Owns: the pool of transfers; their memory stays the device's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.hpp"
#include "core/faults.hpp"

namespace farlane::firmware {

/// Who is told how transfers end. Called from DmaEngine::poll(), read_done(), released(), abort() and
/// disconnect(), never from read() or write(). May start new transfers.
class DmaClient {
public:
    virtual ~DmaClient() = default;
    /// A write that read as `pending` has now been given to the host (or failed: `status`): whatever is
    /// written from here on comes after it.
    virtual void dma_ordered(std::uint64_t tag, Status status) noexcept { (void)tag, (void)status; }
    /// The transfer is over, its memory is the device's again. `canceled` after a reset or detach.
    virtual void dma_done(std::uint64_t tag, Status status) noexcept = 0;
};

enum class DmaOrder : std::uint8_t {
    strict,   ///< after everything before it (PCIe 6.0, 2.4.1)
    relaxed,  ///< bulk data; may be placed on arrival. Strict when the driver has cleared Enable Relaxed Ordering
};

/// Cuts transfers into records that do not cross 4 KiB boundaries (2.2.7.1), keeps several in flight, retries
/// when the port has no room. Writes keep their order among each other, and so do reads. No allocation after
/// construction. One lane.
class DmaEngine {
public:
    static constexpr std::size_t kRecordBytes = 4096;

    DmaEngine(DmaClient& client, Faults& faults, std::uint32_t transfers = 4096);
    DmaEngine(const DmaEngine&) = delete;
    DmaEngine& operator=(const DmaEngine&) = delete;

    void connect(backend::HostPort& port) noexcept { port_ = &port; }
    /// The port is gone: every transfer ends now with `canceled`, no memory of theirs is touched any more.
    void disconnect() noexcept;
    /// Reset: nothing more is sent. What was not sent ends now with `canceled` (dma_done alone); what is in flight ends
    /// so when the host has answered, and its memory must stay until then.
    void abort() noexcept;
    /// Command register and device control; without bus mastering transfers are refused (`denied`).
    void set_bus_master(bool on) noexcept { bus_master_ = on; }
    void set_relaxed_ordering(bool on) noexcept { relaxed_ordering_ = on; }
    /// A read that had no answer in time is asked for again, until there is one or a reset (PCIe 6.0, 2.8 allows that
    /// for reads of memory). For devices whose drivers have no recovery. Off: it fails with `timeout`.
    void set_patient(bool on) noexcept { patient_ = on; }
    [[nodiscard]] bool ready() const noexcept { return port_ != nullptr && bus_master_; }

    /// Host memory <- `source`. ok: given to the host; pending: it waits for room (dma_ordered follows). Both
    /// are followed by dma_done, until then `source` must not change. Anything else: refused, nothing follows.
    /// `pasid`, here and below: whose address space `iova` is of; 0 = the function's own.
    [[nodiscard]] Status write(std::uint64_t iova, std::span<const std::byte> source, DmaOrder order, std::uint64_t tag,
                               std::uint32_t pasid = 0) noexcept;
    /// `into` <- host memory. ok: dma_done follows. Anything else: refused.
    [[nodiscard]] Status read(std::uint64_t iova, std::span<std::byte> into, std::uint64_t tag,
                              std::uint32_t pasid = 0) noexcept;
    /// At most 64 bytes, strict, at once or not at all (would_block). Not ordered behind writes that are
    /// still `pending`, and not counted among them.
    [[nodiscard]] Status write_now(std::uint64_t iova, std::span<const std::byte> source,
                                   std::uint32_t pasid = 0) noexcept;

    bool poll() noexcept;
    [[nodiscard]] bool busy() const noexcept { return ready() && (writes_.head != kNone || reads_.head != kNone); }
    void read_done(std::uint64_t cookie, Status status) noexcept;
    void released(std::uint64_t cookie) noexcept;

    /// Transfers that can be started now; transfers that have not ended.
    [[nodiscard]] std::uint32_t room() const noexcept { return free_count_; }
    [[nodiscard]] std::uint32_t in_use() const noexcept {
        return static_cast<std::uint32_t>(transfers_.size()) - free_count_;
    }

    struct Counters {
        std::uint64_t bytes_read = 0, bytes_written = 0;
        std::uint64_t records_read = 0, records_written = 0;
        std::uint64_t refused = 0;  ///< bus mastering off
        std::uint64_t failed = 0;   ///< transfers the host answered with an error
        std::uint64_t canceled = 0;
        std::uint64_t asked_again = 0;  ///< reads that had timed out
    };
    [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

private:
    static constexpr std::uint32_t kNone = 0xffffffffu;
    enum class Kind : std::uint8_t { free, read, write };

    struct Transfer {
        std::uint64_t iova = 0;
        std::byte* memory = nullptr;  // source of a write (never written), destination of a read
        std::size_t bytes = 0, given = 0;
        std::uint64_t tag = 0;
        std::uint32_t outstanding = 0;  // records the host has not answered
        std::uint32_t records = 0;      // records given
        std::uint32_t pasid = 0;
        std::uint32_t generation = 0;  // part of the cookie: late answers to an earlier use are told apart
        std::uint32_t next = kNone;
        Status status = Status::ok;
        Kind kind = Kind::free;
        bool relaxed = false;
        bool queued = false;
        bool ordered_due = false;  // the caller was told `pending`
    };
    struct Queue {
        std::uint32_t head = kNone, tail = kNone;
    };

    [[nodiscard]] Status start(Kind kind, std::uint64_t iova, std::byte* memory, std::size_t bytes, bool relaxed,
                               std::uint64_t tag, std::uint32_t pasid, Queue& queue) noexcept;
    [[nodiscard]] Status give_record(Transfer& t, std::uint32_t index, std::size_t bytes) noexcept;
    [[nodiscard]] Status give(std::uint32_t index) noexcept;
    bool drain(Queue& queue) noexcept;
    void append(Queue& queue, std::uint32_t index) noexcept;
    void answered(std::uint64_t cookie, Kind kind, Status status) noexcept;
    void ended(std::uint32_t index) noexcept;
    void finish(std::uint32_t index) noexcept;
    void free(std::uint32_t index) noexcept;

    DmaClient& client_;
    Faults& faults_;
    backend::HostPort* port_ = nullptr;
    bool bus_master_ = false, relaxed_ordering_ = true, patient_ = false;
    std::vector<Transfer> transfers_;
    std::uint32_t free_head_ = kNone, free_count_ = 0;
    Queue writes_, reads_;
    Counters counters_;
};

}  // namespace farlane::firmware
