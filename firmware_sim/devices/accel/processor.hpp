// SPDX-License-Identifier: Apache-2.0
// Receives: doorbells, queue registers, ends of DMA and of jobs. Hands on: completions,
// interrupts, DMA, jobs. Owns: queue pairs, contexts, the map of device memory.
// docs/accelerator.md. One lane.
#pragma once

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
inline constexpr std::uint64_t kSqBytes = std::uint64_t{kSqEntries} * FL_ACCEL_COMMAND_BYTES;

/// What a begun command does next.
enum class Step : std::uint8_t {
    done,  ///< its outcome is set
    wait,  ///< something else has to happen first; begin again then
    run,   ///< a job or DMA of it is on the way
};

/// The command processor. Everything that comes from the host is hostile: counts are checked at
/// the doorbell, commands after they were copied out of the queue.
class Processor {
public:
    struct Layout {
        std::uint64_t base_address = 0;  ///< device address of the executor's first byte
        std::uint32_t queues = 0;
        std::uint32_t vectors = 0;
    };
    Processor(backend::Executor& executor, DmaEngine& dma, Interrupts& interrupts, const Layout& layout);

    /// nullptr: nobody is attached.
    void set_port(backend::HostPort* port) noexcept {
        port_ = port;
        if (port != nullptr) clean_ = false;
    }

    // --- registers
    [[nodiscard]] const QueuePair& queue(std::uint32_t n) const noexcept { return queues_[n]; }
    [[nodiscard]] std::uint64_t sq_address(std::uint32_t n) const noexcept {
        return layout_.base_address + n * kSqBytes;
    }
    [[nodiscard]] const MemoryMap& memory() const noexcept { return map_; }
    /// A field of fl_accel_queue_registers, by offset; ignored when it is read-only or the pair not disabled.
    void write_queue(std::uint32_t n, std::uint32_t offset, std::uint32_t value) noexcept;
    /// A field of fl_accel_doorbell, by offset; ignored when the pair is not enabled.
    void ring(std::uint32_t n, std::uint32_t offset, std::uint32_t value) noexcept;
    struct QueueError {
        bool pending = false;  ///< not acknowledged yet
        std::uint32_t queue = 0;
        fl_accel_reason reason = FL_ACCEL_REASON_NONE;
    };
    [[nodiscard]] const QueueError& error() const noexcept { return error_; }
    void acknowledge_error() noexcept { error_.pending = false; }

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

private:
    enum class Life : std::uint8_t {
        ready,
        draining,   ///< after a reset: jobs or DMA of before are still in flight
        scrubbing,  ///< after that: memory is being made zero
    };

    // processor.cpp: turns
    bool visit(QueuePair& q) noexcept;
    bool turn(QueuePair& q) noexcept;
    void block(QueuePair& q) noexcept;
    void unblock_all() noexcept;
    bool collect_jobs() noexcept;
    void job_done(const backend::JobDone& done) noexcept;
    void settle() noexcept;
    [[nodiscard]] std::uint64_t job_of(const QueuePair& q) const noexcept;

    // processor_queue.cpp: life of a pair, completions
    void enable(QueuePair& q) noexcept;
    [[nodiscard]] fl_accel_reason check_enable(const QueuePair& q) const noexcept;
    void disable(QueuePair& q) noexcept;
    bool disabling(QueuePair& q) noexcept;
    bool end_context(QueuePair& q) noexcept;
    void stop(QueuePair& q, fl_accel_reason reason) noexcept;
    void arm(QueuePair& q, std::uint32_t value) noexcept;
    void interrupt_if_due(QueuePair& q) noexcept;
    [[nodiscard]] Status post(QueuePair& q, fl_accel_completion completion) noexcept;
    bool complete(QueuePair& q) noexcept;
    bool report_stop(QueuePair& q) noexcept;
    void account(QueuePair& q) noexcept;

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
    [[nodiscard]] std::uint64_t tag_of(std::uint32_t index, bool read) const noexcept;
    void host_failed(QueuePair& q, Status status) noexcept;
    /// Range checks, poison, pins: none = go on.
    [[nodiscard]] std::optional<Step> admit(QueuePair& q) noexcept;
    [[nodiscard]] bool in_use_elsewhere(const QueuePair& q, std::uint64_t address, std::uint64_t bytes) const noexcept;
    void start_job(QueuePair& q) noexcept;

    // commands_kernel.cpp
    [[nodiscard]] Step begin_module_load(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_module_unload(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_bind(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_launch(QueuePair& q) noexcept;
    void touch_unknown(QueuePair& q) noexcept;

    // commands_sync.cpp
    [[nodiscard]] Step begin_fence(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_record(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_wait(QueuePair& q) noexcept;
    [[nodiscard]] Step begin_query(QueuePair& q) noexcept;
    [[nodiscard]] Step fail(QueuePair& q, fl_accel_reason reason, std::uint32_t detail) noexcept;
    [[nodiscard]] Step succeed(QueuePair& q, std::uint64_t value, std::uint32_t detail = 0) noexcept;
    [[nodiscard]] Step depends(QueuePair& q, std::uint32_t culprit) noexcept;
    [[nodiscard]] std::optional<std::uint32_t> poisoned_by(const QueuePair& q, Object kind, std::uint64_t base,
                                                           std::uint64_t bytes) const noexcept;
    [[nodiscard]] std::optional<std::uint32_t> poisoned_by(const QueuePair& q) const noexcept;
    void spread_poison(QueuePair& q) noexcept;
    void fail_event(QueuePair& q, const fl_accel_event& c, std::uint32_t culprit) noexcept;

    [[nodiscard]] Context& context_of(const QueuePair& q) noexcept { return contexts_[q.context]; }
    [[nodiscard]] std::span<std::byte> bytes_at(std::uint64_t address, std::uint64_t bytes) const noexcept {
        return executor_.memory().subspan(address - layout_.base_address, bytes);
    }
    /// Device time. Not the lane's, which stands still during a turn.
    [[nodiscard]] static std::uint64_t now_ns() noexcept;
    void hurry() noexcept {
        if (port_ != nullptr) port_->hurry();
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
    QueueError error_;
    Life life_ = Life::ready;
    bool clean_ = true;             ///< memory is zero and nobody has had access since
    std::uint32_t generation_ = 0;  ///< of resets; part of every tag and job number
    std::uint32_t jobs_ = 0;        ///< in flight at the executor
    std::uint64_t completed_ = 0, failed_ = 0, stopped_ = 0, bytes_out_ = 0, bytes_in_ = 0;
};

}  // namespace farlane::firmware::accel
