// SPDX-License-Identifier: Apache-2.0
// Receives: doorbells, queue registers, ends of DMA and of jobs. Hands on: completions,
// interrupts, DMA, jobs. Owns: queue pairs, contexts, the map of device memory.
// docs/accelerator.md. One lane.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "backend/backend.hpp"
#include "backend/executor.hpp"
#include "core/dma_engine.hpp"
#include "core/msix.hpp"
#include "devices/accel/context.hpp"
#include "devices/accel/hazards.hpp"
#include "devices/accel/memory_map.hpp"
#include "devices/accel/queue.hpp"

namespace farlane::firmware::accel {

inline constexpr std::uint32_t kSqEntries = FL_ACCEL_MAX_ENTRIES;
inline constexpr std::uint64_t kReadTag = std::uint64_t{1} << 31;  // of a DMA tag
inline constexpr std::uint64_t kSqBytes = std::uint64_t{kSqEntries} * FL_ACCEL_COMMAND_BYTES;

/// What a begun command does next.
enum class Step : std::uint8_t {
    done,   ///< its outcome is set
    wait,   ///< something else has to happen first; begin again then
    run,    ///< a job or DMA of it is on the way
    flown,  ///< the executor has it; the next may begin (Flight)
};

/// The command processor. Everything that comes from the host is hostile: counts are checked at
/// the doorbell, commands after they were copied out of the queue.
class Processor {
public:
    struct Layout {
        backend::MemoryPlan plan;  ///< of the executor
        std::uint32_t queues = 0;
        std::uint32_t vectors = 0;
        Shares shares;
    };
    static constexpr std::uint32_t kChunks = 8;  ///< of bounce memory, of one context
    /// Jobs in flight at most.
    [[nodiscard]] static constexpr std::uint32_t max_jobs(std::uint32_t queues) noexcept {
        return queues * (1 + kMaxFlights) + kMaxContexts * kChunks + 1;
    }
    Processor(backend::Executor& executor, DmaEngine& dma, Interrupts& interrupts, const Layout& layout);

    /// nullptr: nobody is attached.
    void set_port(backend::HostPort* port) noexcept {
        port_ = port;
        if (port != nullptr) clean_ = false;
    }

    // --- registers
    [[nodiscard]] const QueuePair& queue(std::uint32_t n) const noexcept { return queues_[n]; }
    [[nodiscard]] std::uint64_t sq_address(std::uint32_t n) const noexcept {
        return layout_.plan.address + n * kSqBytes;
    }
    [[nodiscard]] const MemoryMap& memory() const noexcept { return map_; }
    /// A field of fl_accel_queue_registers, by offset; ignored when it is read-only or the pair not disabled.
    void write_queue(std::uint32_t n, std::uint32_t offset, std::uint32_t value) noexcept;
    void write_context(std::uint32_t n, std::uint32_t offset, std::uint32_t value) noexcept;
    /// A field of fl_accel_doorbell, by offset; ignored when the pair is not enabled.
    void ring(std::uint32_t n, std::uint32_t offset, std::uint32_t value) noexcept;
    struct QueueError {
        bool pending = false;  ///< not acknowledged yet
        std::uint32_t queue = 0;
        fl_accel_reason reason = FL_ACCEL_REASON_NONE;
    };
    [[nodiscard]] const QueueError& error() const noexcept { return error_; }
    void acknowledge_error() noexcept { error_.pending = false; }
    /// Bit c: context c.
    [[nodiscard]] std::uint32_t lost_contexts() const noexcept;

    // --- life
    /// Everything as after power-on; ready() becomes true once what was in flight has ended and
    /// memory is zero again.
    void reset() noexcept;
    [[nodiscard]] bool ready() const noexcept { return life_ == Life::ready; }
    /// What DMA may do changed.
    void enables_changed() noexcept;

    // --- work
    bool work() noexcept;
    [[nodiscard]] bool has_work() const noexcept;
    void dma_ordered(std::uint64_t tag, Status status) noexcept;
    void dma_done(std::uint64_t tag, Status status) noexcept;
    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const;
    [[nodiscard]] std::vector<backend::AcceleratorUse::Context> contexts_used() const;

private:
    enum class Life : std::uint8_t {
        ready,
        draining,   ///< after a reset: jobs or DMA of before are still in flight
        scrubbing,  ///< after that: memory is being made zero
    };

    // --- bounce memory: how copies get from local memory, which the lane can not reach, to the host and back
    enum class ChunkState : std::uint8_t { unused, filling, full, emptying };
    struct Chunk {
        ChunkState state = ChunkState::unused;
        std::uint32_t queue = 0;
        std::uint64_t offset = 0, bytes = 0;  ///< of the copy
    };
    using Chunks = std::array<Chunk, kChunks>;

    // processor.cpp: turns
    bool visit(QueuePair& q) noexcept;
    bool turn(QueuePair& q) noexcept;
    void block(QueuePair& q) noexcept;
    void tell_lost(std::uint32_t context) noexcept;
    void unblock_all() noexcept;
    bool collect_jobs() noexcept;
    void job_done(const backend::JobDone& done) noexcept;
    void settle() noexcept;
    /// Number of a job: `slot` 0 is the active command, then flights, then bounce chunks.
    [[nodiscard]] std::uint64_t job_of(const QueuePair& q, std::uint32_t slot = 0) const noexcept;
    void flight_done(QueuePair& q, std::uint32_t slot, const backend::Outcome& outcome) noexcept;
    void landed(QueuePair& q, const backend::Outcome& outcome) noexcept;
    [[nodiscard]] Step given(QueuePair& q, const backend::Executor::Answer& answer) noexcept;
    [[nodiscard]] Step flown(QueuePair& q, const backend::Executor::Answer& answer) noexcept;

    // processor_queue.cpp: life of a pair, completions
    void enable(QueuePair& q) noexcept;
    [[nodiscard]] fl_accel_reason check_enable(const QueuePair& q) const noexcept;
    void disable(QueuePair& q) noexcept;
    void cancel_jobs(QueuePair& q, bool free_too) noexcept;
    bool disabling(QueuePair& q) noexcept;
    void give_up_active(QueuePair& q) noexcept;
    bool end_context(QueuePair& q) noexcept;
    void stop(QueuePair& q, fl_accel_reason reason) noexcept;
    void arm(QueuePair& q, std::uint32_t value) noexcept;
    void interrupt_if_due(QueuePair& q) noexcept;
    [[nodiscard]] Status post(QueuePair& q, fl_accel_completion completion) noexcept;
    bool complete(QueuePair& q) noexcept;
    bool complete_flight(QueuePair& q) noexcept;
    bool report_stop(QueuePair& q) noexcept;
    void account(QueuePair& q, const fl_accel_header& head, bool ok) noexcept;

    // processor.cpp: dispatch
    [[nodiscard]] Step begin(QueuePair& q) noexcept;

    // commands_memory.cpp
    [[nodiscard]] Step begin_alloc(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_free(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_copy(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_fill(QueuePair& q) noexcept;
    [[nodiscard]] Step copy_within(QueuePair& q) noexcept;
    [[nodiscard]] Step copy_out(QueuePair& q) noexcept;
    [[nodiscard]] Step copy_in(QueuePair& q) noexcept;
    [[nodiscard]] Step host_step(QueuePair& q) noexcept;
    [[nodiscard]] Step fill_job(QueuePair& q) noexcept;

    // commands_local.cpp
    [[nodiscard]] Step copy_out_local(QueuePair& q) noexcept;
    [[nodiscard]] Step copy_in_local(QueuePair& q) noexcept;
    [[nodiscard]] Chunks& chunks_of(const QueuePair& q) noexcept { return chunks_[q.context]; }
    [[nodiscard]] std::uint64_t chunk_address(const QueuePair& q, std::uint32_t index) const noexcept;
    [[nodiscard]] std::optional<std::uint32_t> chunk_at(std::uint64_t address) const noexcept;
    [[nodiscard]] std::optional<std::uint32_t> find_chunk(const QueuePair& q, ChunkState state) noexcept;
    std::uint32_t take_chunk(QueuePair& q, std::uint32_t index, std::uint64_t bytes) noexcept;
    void drop_full_chunks(QueuePair& q) noexcept;
    void free_chunk(QueuePair& q, std::uint32_t index) noexcept;
    void chunk_moved(QueuePair& q, std::uint32_t index, const backend::Outcome& outcome) noexcept;
    [[nodiscard]] std::uint64_t tag_of(std::uint32_t index, bool read) const noexcept;
    void host_failed(QueuePair& q, Status status) noexcept;
    /// Range checks, poison, pins: none = go on.
    [[nodiscard]] std::optional<Step> admit(QueuePair& q) noexcept;
    [[nodiscard]] bool in_use_elsewhere(const QueuePair& q, std::uint64_t address, std::uint64_t bytes) const noexcept;

    // commands_kernel.cpp
    [[nodiscard]] Step begin_module_load(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_module_unload(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_bind(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_launch(QueuePair& q) noexcept;
    void touch_unknown(QueuePair& q) noexcept;
    [[nodiscard]] bool add_report(QueuePair& q, std::uint64_t address, std::uint32_t bytes,
                                  std::uint32_t field) noexcept;
    [[nodiscard]] static std::string_view payload_text(const QueuePair& q, std::uint32_t bytes) noexcept;

    // commands_sync.cpp
    [[nodiscard]] Step begin_fence(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_record(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_wait(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_query(QueuePair& q) noexcept;
    [[nodiscard]] Step report(QueuePair& q, std::span<const std::byte> text) noexcept;
    [[nodiscard]] Step report_output(QueuePair& q) noexcept;
    [[nodiscard]] Step fail(QueuePair& q, fl_accel_reason reason, std::uint32_t detail) noexcept;
    [[nodiscard]] Step succeed(QueuePair& q, std::uint64_t value, std::uint32_t detail = 0) noexcept;
    [[nodiscard]] Step depends(QueuePair& q, std::uint32_t culprit) noexcept;
    [[nodiscard]] std::optional<std::uint32_t> poisoned_by(const QueuePair& q, Object kind, std::uint64_t base,
                                                           std::uint64_t bytes) const noexcept;
    [[nodiscard]] std::optional<std::uint32_t> poisoned_by(const QueuePair& q) const noexcept;
    void spread_poison(QueuePair& q) noexcept;
    void poison_written(QueuePair& q, const backend::AccessList& touches, std::uint32_t culprit) noexcept;
    void fail_event(QueuePair& q, const fl_accel_event_command& c, std::uint32_t culprit) noexcept;

    [[nodiscard]] Context& context_of(const QueuePair& q) noexcept { return contexts_[q.context]; }
    [[nodiscard]] static backend::JobOwner owner_of(const QueuePair& q) noexcept { return {q.context, q.number}; }
    /// What the aperture shows; precondition: not local memory.
    [[nodiscard]] std::span<std::byte> bytes_at(std::uint64_t address, std::uint64_t bytes) const noexcept {
        return executor_.memory().subspan(address - layout_.plan.address, bytes);
    }
    /// Device time. Not the lane's, which stands still during a turn.
    [[nodiscard]] static std::uint64_t now_ns() noexcept;
    void hurry() noexcept {
        if (port_ != nullptr) port_->hurry();
    }
    [[nodiscard]] Step wait_for_host() noexcept {
        hurry();
        return Step::wait;
    }

    backend::Executor& executor_;
    DmaEngine& dma_;
    Interrupts& interrupts_;
    Layout layout_;
    backend::HostPort* port_ = nullptr;
    MemoryMap map_;
    Pins pins_;
    std::vector<QueuePair> queues_;
    std::vector<Context> contexts_;
    std::uint32_t open_contexts_ = 0;  ///< that have a queue pair
    std::size_t next_visit_ = 0;       ///< the pair that a turn begins with: each has what is scarce first in its turn
    std::vector<Chunks> chunks_;       ///< by context
    QueueError error_;
    Life life_ = Life::ready;
    bool clean_ = true;             ///< memory is zero and nobody has had access since
    std::uint32_t generation_ = 0;  ///< of resets; part of every tag and job number
    std::uint32_t jobs_ = 0;        ///< in flight at the executor
    std::uint64_t completed_ = 0, failed_ = 0, stopped_ = 0, bytes_out_ = 0, bytes_in_ = 0;
};

}  // namespace farlane::firmware::accel
